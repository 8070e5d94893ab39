"""`fastsvc train student` with `method: paired`: a student from recordings' own mels and an adversary, no teacher.

A student inherits its teacher's errors, and a short training has no good teacher. In reconstruction the true mel is
known, frame by frame, as in the training of vocoders. So a student that exists (of any kind) goes on with an L1
distance to that mel, and with discriminators of patches, by their scores and by the distance of their features to the
recording's (HiFi-GAN, arXiv 2010.05646), which keep it from the blur that a distance alone would bring. Conversions
have no true mel: they get scores, and are held to what the first student says there.
"""

from __future__ import annotations

import copy

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fastsvc.config import from_dict, to_dict
from fastsvc.errors import ConfigError
from fastsvc.model.acoustic import AcousticModel
from fastsvc.training import checkpoint, diffusion, listen, listeners, perceptual, simulate, start
from fastsvc.training.acoustic import AcousticTask
from fastsvc.training.balance import Balance, Term
from fastsvc.training.conversion import converted, targets
from fastsvc.training.paired import others, patches, phones
from fastsvc.training.paired.disguise import PLAIN, Disguise
from fastsvc.training.paired.settings import PairedSettings
from fastsvc.training.process import EdmProcess
from fastsvc.training.task import Sample, Turn

OTHERS = "others_"  # before a batch's keys: crops of other people
COARSE = 4  # frames and bins of a coarse mel's cell


class PairedTask(AcousticTask):
    kind = "student"
    settings_class = PairedSettings

    def __init__(self, config: dict, corpus, device, **loop):
        super().__init__(config, corpus, device, **loop)
        if not (config or {}).get("init"):
            raise ConfigError("task.init is missing", "set task.init to the path of a student's checkpoint")
        self.settings = from_dict(PairedSettings, config, "task")
        self.augment = self.settings.augment
        self._check_shares()
        if self.resume_point is not None:
            self.resume_point.check_method(self.settings.method)
        base = checkpoint.load(self.settings.init, start.KINDS)
        self.choose_speakers(base=base)
        config = start.config_of(base, self.settings.init, self, new_encoder=self.settings.new_encoder)
        self.process = EdmProcess(config)
        self.schedules = self.process.schedules(self.settings.steps, self.settings.below)
        config = self.process.few_step(config, self.schedules)
        self.agree(config, self.settings)
        self.model = AcousticModel(config).to(self.device)
        start.load_into(self.model, base, self.settings.init, self.speakers)
        self.before = copy.deepcopy(self.model).requires_grad_(False).eval()
        self.medians_hz, self.rows_here = targets(self)
        self.judges = patches.Patches(len(self.speakers), self.settings.channels).to(self.device)
        if tables := self.judges.tables():
            self.singer_rows["judges"] = tables
        self.terms: dict[str, Term] = dict(vars(self.settings.losses))
        self.balance = Balance(self.terms, self.settings.match_steps).to(self.device)
        self.extra = {"judges": self.judges, "balance": self.balance}
        self.disguise = Disguise(self.settings.disguise, self.corpus) if self.settings.disguise.share else None
        self._load_listeners()
        self.others = others.opened(self.settings.others, self.corpus) if self.settings.others else None
        self.valid = self.validation_batch(self.settings.valid_crops, self.settings.valid_frames)
        self.vocoder = listen.vocoder_of(self.settings.vocoder, self.corpus.mel, self.device)

    def batch(self, rng: np.random.Generator) -> dict:
        size, frames = self.batch_size, self.batch_frames
        batch = self._heard(self.crops("train", rng, size, frames, audio=self.disguise is not None), rng)
        if self.others and self.settings.others_share:
            count = max(1, round(self.settings.others_share * size))
            crop, raw, inside = self.cropped(self.others, "train", rng, count, frames)
            if self.disguise:
                crop["audio"] = self.sound(raw, inside)
            batch |= {f"{OTHERS}{name}": value for name, value in self._heard(crop, rng).items()}
        return batch

    def _heard(self, crop: dict, rng: np.random.Generator) -> dict:
        """Crops in disguise, where there is one, and augmented."""
        if self.disguise:
            crop = self.disguise.worn(crop, crop.pop("audio"), self.corpus, rng)
        return self.augmented(crop, rng)

    def _load_listeners(self) -> None:
        paths = self.settings.listeners
        self.listeners: dict[str, nn.Module] = {
            kind: listeners.listener(path, kind, self.corpus.mel).to(self.device)
            for kind, path in (("pitch", paths.pitch), ("singer", paths.singer))
            if path
        }
        if paths.phones:
            self.listeners["phones"] = phones.Ear(paths.phones, self.corpus).to(self.device)
        if paths.singer:
            self.centroids = listeners.centroids(self.listeners["singer"], self.corpus, self.singer_ids, self.seed)

    def _check_shares(self) -> None:
        """Raises ConfigError where no item of a batch would keep its own voice, for which the true mel is known."""
        conversion, size = self.settings.conversion, self.batch_size
        if round(conversion * size) >= size:
            raise ConfigError(
                f"task.conversion {conversion:g} leaves no item of a batch of {size} in its own voice",
                "lower it, or raise batch.size",
            )

    @staticmethod
    def lasting(settings: PairedSettings) -> dict:
        return {"task.method": settings.method, "task.channels": settings.channels}

    def turns(self, step: int) -> list[Turn]:
        judges = Turn("judges", self.judges, self._judges_loss, self.settings.judge_rate)
        return [judges, Turn("student", self.model, self._student_loss)]

    def choice(self, step: int) -> tuple[list[float], int]:
        """(levels, evaluation) of one step; the same in all processes, so that their work is equal."""
        schedule, last = simulate.drawn(self.schedules, self.seed, step)
        return self.schedules[schedule], last

    def made(self, batch: dict, choice: tuple[list[float], int], model: AcousticModel | None = None) -> Tensor:
        """x̂ [B, T, M] of one evaluation, normalised."""
        model = self.model if model is None else model
        denoise = self.denoiser(model, self.condition(model, batch), batch["valid"])
        return simulate.chain(denoise, *choice, lambda _: self.noise(batch["mel"]), self.process.sigma_min)

    def _mixed(self, batch: dict) -> dict:
        """What the student makes: the batch, some of it converted, and others' crops; ``other`` [B]: both of these."""
        mine = {name: value for name, value in batch.items() if not name.startswith(OTHERS)}
        mixed = converted(mine, self.settings.conversion, self.medians_hz, self.generator, self.rows_here)
        crop = {name.removeprefix(OTHERS): value for name, value in batch.items() if name.startswith(OTHERS)}
        if not crop:
            return mixed
        crop = others.sung(crop, self.rows_here, self.medians_hz, self.generator)
        return {name: torch.cat([value, crop[name]]) for name, value in mixed.items()}

    def _judged(self, x: Tensor, batch: dict) -> patches.Judgement:
        """In bfloat16 where the training is, which halves the discriminators' time; never in float16."""
        kind, dtype = self.device.type, torch.bfloat16
        allowed = torch.is_autocast_enabled(kind) and torch.get_autocast_dtype(kind) == dtype
        with torch.autocast(kind, dtype, enabled=allowed):
            judgement = self.judges(torch.where(batch["valid"][..., None] > 0, x.float(), 0), batch["singer"])
        scores, activations = judgement
        return [score.float() for score in scores], [layer.float() for layer in activations]

    def _judges_loss(self, batch: dict, step: int):
        mixed = self._mixed(batch)
        with torch.no_grad():
            made = self.made(mixed, self.choice(step))
        real, _ = self._judged(self.model.normalise(batch["mel"]), batch)
        scores, _ = self._judged(made, mixed)
        means = {"score_real": patches.mean(real).detach(), "score_made": patches.mean(scores).detach()}
        return patches.judge_loss(real, scores), means

    def _student_loss(self, batch: dict, step: int):
        truth, batch = self.model.normalise(batch["mel"]), self._mixed(batch)
        x = self.made(batch, self.choice(step))
        leaf = x.detach().requires_grad_(True)
        return self.balance.summed(self._values(batch, leaf, truth), x, leaf, "mel", self.progress)

    def _values(self, batch: dict, x: Tensor, truth: Tensor) -> dict[str, Tensor]:
        """The active losses as functions of x̂."""
        active = {name for name, term in self.terms.items() if term.active(self.progress)}
        other = batch["other"]
        own = torch.nonzero(~other)[:, 0]  # among the first items, which have a true mel
        values = {"mel": diffusion.batch_mean((x[own] - truth[own]).abs(), batch["valid"][own])}
        if "hold" in active and bool(other.any()):
            conversions = {name: value[other] for name, value in batch.items()}
            plain = {"units": conversions[PLAIN]} if PLAIN in conversions else {}
            with torch.no_grad():
                before = self.made(conversions | plain, (self.schedules[0], 0), self.before)
            values["hold"] = coarse_distance(x[other], before, conversions["valid"])
        if active & {"features", "adversarial"}:
            scores, activations = self._judged(x, batch)
            if "features" in active:
                with torch.no_grad():
                    _, real = self._judged(truth[own], {name: value[own] for name, value in batch.items()})
                values["features"] = patches.feature_distance(real, [layer[own] for layer in activations])
            if "adversarial" in active:
                values["adversarial"] = patches.student_loss(scores)
        return values | self._listened(batch, x, active)

    def _listened(self, batch: dict, x: Tensor, active: set[str]) -> dict[str, Tensor]:
        """The active losses of the listeners."""
        values = {}
        with torch.autocast(self.device.type, enabled=False):
            mel, valid = self.model.denormalise(x), batch["valid"]
            if "phones" in active:
                values["phones"] = phones.divergence(self.listeners["phones"], mel, batch["mel"], valid)
            if "pitch" in active:
                net = self.listeners["pitch"]
                values["pitch"] = perceptual.pitch_loss(net, mel, valid, batch["f0_hz"], batch["voiced"])
            if "singer" in active:
                goal = self.centroids[batch["singer"]]
                values["singer"] = perceptual.singer_loss(self.listeners["singer"], mel, valid, goal)
        return values

    def validate(self, model: nn.Module) -> dict[str, float]:
        """For each schedule: mel L1, and how much the mel changes between bins and frames, as a share of the truth; the
        latter only where the truth changes at all."""
        figures, truth, inside = {}, self.valid["mel"], self.valid["valid"]
        for steps in sorted(map(len, self.schedules)):
            mel = self.sampled(model, steps, "consistency")
            figures[f"mel_l1_{steps}"] = diffusion.mel_l1(mel, truth, inside)
            for name, axis in (("bins", 2), ("time", 1)):
                made, true = (changes(one, inside, axis) for one in (mel, truth))
                figures |= {f"sharpness_{name}_{steps}": made / true} if true else {}
        return figures

    def samples(self, model: nn.Module) -> dict[str, Sample]:
        few = min(map(len, self.schedules)), "consistency"
        return self.audible({"made": self.sampled(model, *few), "true": self.valid["mel"]}, model, *few)

    def config_for_checkpoint(self) -> dict:
        return to_dict(self.model.config)


def coarse_distance(x: Tensor, y: Tensor, valid: Tensor) -> Tensor:
    """Mean distance of x and y [B, T, M] in cells of frames and bins, each bin without its mean over the frames.

    What is said changes from cell to cell; detail and the colour of a voice do not count.
    """
    inside = valid[..., None]
    difference = torch.where(inside > 0, x - y, 0)
    difference = (difference - difference.sum(1, keepdim=True) / inside.sum(1, keepdim=True).clamp(min=1)) * inside
    return F.avg_pool2d(difference[:, None], COARSE, ceil_mode=True).abs().mean()


def changes(mel: Tensor, valid: Tensor, axis: int) -> float:
    """Mean second difference of mel [B, T, M] along ``axis``, 1 or 2, where no padding counts; 0 where none is left."""
    inside = valid[..., None].expand(mel.shape) > 0
    count = max(0, mel.shape[axis] - 2)
    inside = inside.narrow(axis, 0, count) & inside.narrow(axis, mel.shape[axis] - count, count)
    return float(mel.diff(n=2, dim=axis)[inside].abs().mean()) if bool(inside.any()) else 0.0
