"""The DMO student: distribution matching with an adversary, a recogniser, a verifier and the melody.

DMOSpeech's method (arXiv 2410.11097) for conversion. Three networks take turns. The fake score learns the student's
present samples, several times a step. The discriminator learns to distinguish them from recordings. The student moves
along the difference of fake and real score and along the gradients of the listeners' losses. All these gradients are
taken at x̂, where their sizes can be compared (fastsvc/training/balance.py); their sum goes through the student once.
"""

from __future__ import annotations

import copy
import functools
from dataclasses import asdict

import numpy as np
import torch
from torch import Tensor, nn

from fastsvc.config import from_dict, to_dict
from fastsvc.errors import ConfigError
from fastsvc.model.acoustic import AcousticModel
from fastsvc.training import adversary, distribution, listen, listeners, perceptual, simulate
from fastsvc.training.acoustic import AcousticTask
from fastsvc.training.balance import Balance, Term
from fastsvc.training.conversion import converted, targets
from fastsvc.training.dmo_settings import DmoSettings
from fastsvc.training.dmo_validation import DmoValidation
from fastsvc.training.fake import FakeScore, with_origin
from fastsvc.training.task import Sample, Turn, Verdict


class DmoTask(AcousticTask):
    kind = "dmo"
    best = ("held_out", "max")  # only with a guard; its twins are not the judges of evaluation
    fp16 = False  # unscaled gradients at x̂ would vanish, and the fake score takes several turns a step

    def __init__(self, config: dict, corpus, device, **loop):
        super().__init__(config, corpus, device, **loop)
        if not (config or {}).get("teacher"):
            raise ConfigError("task.teacher is missing", "set task.teacher to the path of the teacher's checkpoint")
        self.settings = from_dict(DmoSettings, config, "task")
        self.augment = self.settings.augment
        content = self.read_acoustic(self.settings.teacher, ("teacher",))
        self.choose_speakers(content, self.settings.teacher)
        self.medians_hz, self.rows_here = targets(self)
        self.teacher = self.load_acoustic(content, self.settings.teacher)
        self.process = self.process_of(self.teacher)
        self.schedules = self.process.schedules(self.settings.steps, self.settings.below)
        self.model = self._student()
        self.agree(self.model.config, self.settings)
        self.fake = self.process.fake(self.teacher, self.schedules).to(self.device)
        self.head = self.process.head(self.teacher, self.settings.head_channels).to(self.device)
        self.terms: dict[str, Term] = dict(vars(self.settings.losses))
        self.balance = Balance(self.terms, self.settings.match_steps).to(self.device)
        self.extra = {"fake": self.fake, "balance": self.balance}
        if self.terms["adversarial"].weight:
            self.extra["head"] = self.head
        self._load_listeners()
        self.valid = self.validation_batch(self.settings.valid_crops, self.settings.valid_frames)
        self.vocoder = listen.vocoder_of(self.settings.vocoder, self.corpus.mel, self.device)
        self.validation = DmoValidation(self)
        self.extra["guard"] = self.validation.guard

    def _student(self) -> AcousticModel:
        """The network to start from, with the training's levels in its configuration."""
        first = self.teacher
        if self.settings.init:
            content = self.read_acoustic(self.settings.init, ("student", "teacher", "dmo"))
            first = self.load_acoustic(content, self.settings.init)
        if self.process.few_step(first.config, ()) != self.teacher.config:
            raise ConfigError(
                f"{self.settings.init} and {self.settings.teacher} are configured differently",
                "use a student of this teacher",
            )
        model = copy.deepcopy(first).requires_grad_(True)
        model.config = self.process.few_step(first.config, self.schedules)
        if self.settings.train == "denoiser":
            self.process.freeze_condition(model)
        return model

    def _load_listeners(self) -> None:
        """Load the configured listeners, frozen, and the targets' centroids."""
        paths = {kind: path for kind, path in asdict(self.settings.listeners).items() if path}
        self.listeners = {
            kind: listeners.listener(path, kind, self.corpus.mel).to(self.device) for kind, path in paths.items()
        }
        if "recogniser" in paths:
            listeners.check_phones(self.listeners["recogniser"], self.corpus, paths["recogniser"])
        if "singer" in paths:
            self.centroids = listeners.centroids(self.listeners["singer"], self.corpus, self.singer_ids, self.seed)

    @staticmethod
    def lasting(settings: DmoSettings) -> dict:
        return {
            "task.train": settings.train,
            "task.head_channels": settings.head_channels,
            "task.losses.adversarial": "on" if settings.losses.adversarial.weight else "off",
            "task.guard": " and ".join(kind for kind in ("recogniser", "singer") if getattr(settings.guard, kind)),
        }

    # ---- the batch

    def crops(self, split: str, rng: np.random.Generator, size: int, frames: int) -> dict[str, Tensor]:
        return super().crops(split, rng, size, frames, labels=True)

    def chain(self, model: AcousticModel, batch: dict, choice: tuple[int, int]) -> Tensor:
        """x̂ of one schedule's evaluation for the conditions of a batch, from this step's noise."""
        levels, last = self.schedules[choice[0]], choice[1]
        cond, process = self.condition(model, batch), self.process
        denoise = self.denoiser(model, cond, batch["valid"])
        return simulate.chain(
            denoise, levels, last, lambda _: self.noise(batch["mel"]), process.sigma_min, process.origin(cond)
        )

    def choice(self, step: int, update: int) -> tuple[int, int]:
        """(schedule, evaluation) of one update; the same in all processes, so that their work is equal."""
        return simulate.drawn(self.schedules, self.seed, step, update)

    def student_samples(self, batch: dict, step: int, update: int) -> tuple[dict, Tensor]:
        """(the converted batch, x̂ without a graph), for the turns of fake score and discriminator."""
        choice = self.choice(step, update)
        batch = self.student_batch(batch, choice)
        with torch.no_grad():
            return batch, self.chain(self.model, batch, choice)

    def student_batch(self, batch: dict, choice: tuple[int, int]) -> dict:
        """The student's batch in one update: some items with other singers, all with the evaluation's origin."""
        batch = converted(batch, self.settings.conversion, self.medians_hz, self.generator, self.rows_here)
        return with_origin(batch, self.fake.origin_index(choice))

    # ---- the turns

    def turns(self, step: int) -> list[Turn]:
        settings, adversarial = self.settings, self.terms["adversarial"]
        turns = [
            Turn("fake", self.fake, functools.partial(self._fake_loss, update=update), settings.fake_rate)
            for update in range(1, settings.fake_updates + 1)
        ]
        if adversarial.active(self.progress + settings.head_lead):
            turns.append(Turn("head", self.head, self._head_loss, settings.head_rate))
        late = settings.late_rate if self.progress >= settings.late_from else 1.0
        return [*turns, Turn("student", self.model, self._student_loss, late)]

    def fake_condition(self, batch: dict, fake: FakeScore) -> Tensor:
        """The teacher's condition plus the vector of the batch's origin."""
        with torch.no_grad():
            cond = self.condition(self.teacher, batch)
        return fake.condition(cond, batch["origin"])

    def fake_denoiser(self, batch: dict, fake: FakeScore | None = None):
        """The fake score's D for the conditions of a batch."""
        fake = self.fake if fake is None else fake
        return self.denoiser(self.teacher, self.fake_condition(batch, fake), batch["valid"], net=fake.net)

    def _fake_loss(self, batch: dict, step: int, update: int):
        batch, x = self.student_samples(batch, step, update)
        return self.fake_error(self.fake, batch, x), {}

    def fake_error(self, fake: FakeScore, batch: dict, x: Tensor) -> Tensor:
        sigma = self.process.matching_levels(len(x), self.generator)
        return self.process.denoising_loss(self.fake_denoiser(batch, fake), x, sigma, self.noise(x), batch["valid"])

    def _scores(self, batch: dict, x: Tensor) -> Tensor:
        sigma = self.process.matching_levels(len(x), self.generator)
        cond = self.fake_condition(batch, self.fake).detach()
        skips = self.process.features(self.fake.net, x, sigma, self.noise(x), cond, batch["valid"])
        return self.head(skips, cond, sigma, batch["valid"])

    def _head_loss(self, batch: dict, step: int):
        """Real samples: the batch's own mels with their own singers, among them the singers of the conversions."""
        converted_batch, x = self.student_samples(batch, step, 0)
        # Both get the same origin, so that the head cannot distinguish them by it.
        recordings = batch | {"origin": converted_batch["origin"]}
        real = self._scores(recordings, self.model.normalise(batch["mel"]))
        generated = self._scores(converted_batch, x)
        valid = batch["valid"]
        means = {"score_real": real.detach(), "score_made": generated.detach()}
        figures = {name: adversary.frame_mean(score, valid) for name, score in means.items()}
        return adversary.head_loss(real, generated, valid), figures

    def _student_loss(self, batch: dict, step: int):
        choice = self.choice(step, 0)
        batch = self.student_batch(batch, choice)
        x = self.chain(self.model, batch, choice)
        leaf = x.detach().requires_grad_(True)
        return self.balance.summed(self._values(batch, leaf), x, leaf, "dmd", self.progress)

    def _values(self, batch: dict, x: Tensor) -> dict[str, Tensor]:
        """The active losses as functions of x̂."""
        valid = batch["valid"]
        active = {name for name, term in self.terms.items() if term.active(self.progress)}
        sigma = self.process.matching_levels(len(x), self.generator)
        real = self.guided(self.teacher, batch, self.settings.guidance)
        values = {"dmd": distribution.matching_loss(x, self.fake_denoiser(batch), real, sigma, self.noise(x), valid)}
        if "adversarial" in active:
            values["adversarial"] = adversary.student_loss(self._scores(batch, x), valid)
        with torch.autocast(self.device.type, enabled=False):
            mel = self.model.denormalise(x)
            if active & {"ctc", "frames"}:
                logits = perceptual.phone_logits(self.listeners["recogniser"], mel, valid)
            if "ctc" in active:
                values["ctc"] = perceptual.ctc_loss(logits, batch["labels"], valid)
            if "frames" in active:
                with torch.no_grad():
                    target_logits = perceptual.phone_logits(self.listeners["recogniser"], batch["mel"], valid)
                values["frames"] = perceptual.frame_divergence(logits, target_logits, valid)
            if "pitch" in active:
                values["pitch"] = perceptual.pitch_loss(
                    self.listeners["pitch"], mel, valid, batch["f0_hz"], batch["voiced"]
                )
            if "singer" in active:
                goal = self.centroids[batch["singer"]]
                values["singer"] = perceptual.singer_loss(self.listeners["singer"], mel, valid, goal)
        return values

    # ---- validation

    def validate(self, model: nn.Module) -> dict[str, float]:
        return self.validation.figures(model)

    def verdict(self, figures: dict[str, float]) -> Verdict:
        return self.validation.verdict(figures)

    def samples(self, model: nn.Module) -> dict[str, Sample]:
        """Mels of the fewest steps, and the true ones."""
        few = min(map(len, self.schedules)), "consistency"
        return self.audible({"made": self.sampled(model, *few), "true": self.valid["mel"]}, model, *few)

    def config_for_checkpoint(self) -> dict:
        return to_dict(self.model.config)
