"""The DMO student: distribution matching with an adversary, a recogniser, a verifier and the melody.

DMOSpeech's method (arXiv 2410.11097) for conversion. Three networks take turns: the fake score learns what the student
makes now, several times a step; the discriminator learns to tell it from recordings; the student moves along the
difference of fake and real score, and along what the listeners say. Its gradient is gathered at x̂, loss by loss,
where their sizes can be compared (fastsvc/training/balance.py), and goes through the student once.
"""

from __future__ import annotations

import copy
import functools
from dataclasses import asdict, replace

import numpy as np
import torch
from torch import Tensor, nn

from fastsvc.config import from_dict, to_dict
from fastsvc.errors import ConfigError
from fastsvc.model.acoustic import AcousticModel
from fastsvc.training import adversary, checkpoint, distribution, listeners, perceptual, simulate
from fastsvc.training.acoustic import AcousticTask
from fastsvc.training.balance import Balance, Term
from fastsvc.training.conversion import converted
from fastsvc.training.dmo_settings import DmoSettings
from fastsvc.training.dmo_validation import Watch
from fastsvc.training.fake import FakeScore, marked
from fastsvc.training.task import Sample, Turn, Verdict


class DmoTask(AcousticTask):
    kind = "dmo"
    best = ("held_out", "max")  # where there is a guard; its twins are not those of evaluation
    fp16 = False  # gradients at x̂ are taken unscaled and would vanish, and the fake score's turn comes several times

    def __init__(self, config: dict, corpus, device, **loop):
        super().__init__(config, corpus, device, **loop)
        if not (config or {}).get("teacher"):
            raise ConfigError("task.teacher is missing", "set task.teacher to the path of the teacher's checkpoint")
        self.settings = from_dict(DmoSettings, config, "task")
        self.augment = self.settings.augment
        content = checkpoint.load(self.settings.teacher, "teacher")
        self.choose_speakers(content, self.settings.teacher)
        self.medians_hz = torch.tensor(self.speaker_f0_hz, device=self.device)
        here = [row for row in range(len(self.speakers)) if row not in self.gone]
        self.rows_here = torch.tensor(here, device=self.device)
        self.teacher = self.load_acoustic(content, self.settings.teacher)
        self.schedules = simulate.schedules(self.teacher.config.edm, self.settings.steps, self.settings.below)
        self.model = self._student()
        self.agree(self.model.config, self.settings)
        self.fake = FakeScore(self.teacher.denoiser, self.schedules).to(self.device)
        self.head = adversary.Head(self.teacher.config, self.settings.head_channels).to(self.device)
        self.terms: dict[str, Term] = dict(vars(self.settings.losses))
        self.balance = Balance(self.terms, self.settings.match_steps).to(self.device)
        self.extra = {"fake": self.fake, "balance": self.balance}
        if self.terms["adversarial"].weight:
            self.extra["head"] = self.head
        self._listen()
        self.valid = self.validation_batch(self.settings.valid_crops, self.settings.valid_frames)
        self.watch = Watch(self)
        self.extra["guard"] = self.watch.guard

    def _student(self) -> AcousticModel:
        """The network to start from, with the levels that it will be trained on in its configuration."""
        first = self.teacher
        if self.settings.init:
            content = checkpoint.load(self.settings.init, ("student", "teacher", "dmo"))
            first = self.load_acoustic(content, self.settings.init)
        edm = replace(first.config.edm, few_steps=())
        if replace(first.config, edm=edm) != self.teacher.config:
            raise ConfigError(
                f"{self.settings.init} and {self.settings.teacher} are configured differently",
                "use a student of this teacher",
            )
        model = copy.deepcopy(first).requires_grad_(True)
        model.config = replace(first.config, edm=replace(edm, few_steps=tuple(map(tuple, self.schedules))))
        if self.settings.train == "denoiser":
            model.condition.requires_grad_(False)
        return model

    def _listen(self) -> None:
        """The frozen networks that are given, and the targets' centroids."""
        wanted = {kind: path for kind, path in asdict(self.settings.listeners).items() if path}
        self.listeners = {
            kind: listeners.listener(path, kind, self.corpus.mel).to(self.device) for kind, path in wanted.items()
        }
        if "recogniser" in wanted:
            listeners.check_phones(self.listeners["recogniser"], self.corpus, wanted["recogniser"])
        if "singer" in wanted:
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
        denoise = self.denoiser(model, self.condition(model, batch), batch["valid"])
        return simulate.chain(
            denoise, levels, last, lambda _: self.noise(batch["mel"]), self.model.config.edm.sigma_min
        )

    def choice(self, step: int, update: int) -> tuple[int, int]:
        """(schedule, evaluation) of one update, the same in all processes, whose work is then equal."""
        rng = np.random.default_rng([self.seed, step, update])
        schedule = int(rng.integers(len(self.schedules)))
        return schedule, int(rng.integers(len(self.schedules[schedule])))

    def made(self, batch: dict, step: int, update: int) -> tuple[dict, Tensor]:
        """(the batch as converted, x̂ without a graph): what fake score and discriminator learn from."""
        choice = self.choice(step, update)
        batch = self.asked(batch, choice)
        with torch.no_grad():
            return batch, self.chain(self.model, batch, choice)

    def asked(self, batch: dict, choice: tuple[int, int]) -> dict:
        """What the student is given in one update: some of the batch for other singers, all for one evaluation."""
        batch = converted(batch, self.settings.conversion, self.medians_hz, self.generator, self.rows_here)
        return marked(batch, self.fake.number(choice))

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
        """As the teacher embeds it, with what made the batch."""
        with torch.no_grad():
            cond = self.condition(self.teacher, batch)
        return fake.condition(cond, batch["origin"])

    def fake_denoiser(self, batch: dict, fake: FakeScore | None = None):
        """The fake score's D for the conditions of a batch."""
        fake = self.fake if fake is None else fake
        return self.denoiser(self.teacher, self.fake_condition(batch, fake), batch["valid"], net=fake.net)

    def _fake_loss(self, batch: dict, step: int, update: int):
        batch, x = self.made(batch, step, update)
        return self.fake_error(self.fake, batch, x), {}

    def fake_error(self, fake: FakeScore, batch: dict, x: Tensor) -> Tensor:
        edm = self.teacher.config.edm
        sigma = distribution.levels(len(x), edm, self.generator)
        return distribution.fake_loss(self.fake_denoiser(batch, fake), edm, x, sigma, self.noise(x), batch["valid"])

    def _scores(self, batch: dict, x: Tensor) -> Tensor:
        config = self.teacher.config
        sigma = distribution.levels(len(x), config.edm, self.generator)
        cond = self.fake_condition(batch, self.fake).detach()
        skips = adversary.features(self.fake.net, config, x, sigma, self.noise(x), cond, batch["valid"])
        return self.head(skips, cond, sigma, batch["valid"])

    def _head_loss(self, batch: dict, step: int):
        """Real: the batch's own mels with their own singers, other clips of those that the rest is converted to."""
        other, x = self.made(batch, step, 0)
        own = batch | {"origin": other["origin"]}  # told the same of both, the head cannot tell them apart by it
        real = self._scores(own, self.model.normalise(batch["mel"]))
        made = self._scores(other, x)
        valid = batch["valid"]
        means = {"score_real": real.detach(), "score_made": made.detach()}
        figures = {name: adversary.frame_mean(score, valid) for name, score in means.items()}
        return adversary.head_loss(real, made, valid), figures

    def _student_loss(self, batch: dict, step: int):
        choice = self.choice(step, 0)
        batch = self.asked(batch, choice)
        x = self.chain(self.model, batch, choice)
        at = x.detach().requires_grad_(True)
        values = self._values(batch, at)
        pulls = {name: torch.autograd.grad(value, at, retain_graph=True)[0] for name, value in values.items()}
        norms = {name: pull.norm() for name, pull in pulls.items()}
        total, pull, figures = 0.0, torch.zeros_like(at), {}
        for name, value in values.items():
            if name != "dmd":
                self.balance.observe(name, norms[name], norms["dmd"])
            weight = self.terms[name].at(self.progress) * self.balance.scale(name)
            total, pull = total + weight * value.detach(), pull + weight * pulls[name]
            figures |= {name: value.detach(), f"pull_{name}": weight * norms[name]}
        # Its gradient is that of the sum, its value the sum's.
        through = (x * pull).sum()
        return through - through.detach() + total, figures

    def _values(self, batch: dict, x: Tensor) -> dict[str, Tensor]:
        """Each loss that takes part now, as a function of x̂."""
        valid = batch["valid"]
        active = {name for name, term in self.terms.items() if term.active(self.progress)}
        sigma = distribution.levels(len(x), self.teacher.config.edm, self.generator)
        real = self.guided(self.teacher, batch, self.settings.guidance)
        values = {"dmd": distribution.matching_loss(x, self.fake_denoiser(batch), real, sigma, self.noise(x), valid)}
        if "adversarial" in active:
            values["adversarial"] = adversary.student_loss(self._scores(batch, x), valid)
        with torch.autocast(self.device.type, enabled=False):
            mel = self.model.denormalise(x)
            if active & {"ctc", "frames"}:
                logits = perceptual.heard(self.listeners["recogniser"], mel, valid)
            if "ctc" in active:
                values["ctc"] = perceptual.ctc_loss(logits, batch["labels"], valid)
            if "frames" in active:
                with torch.no_grad():
                    wanted = perceptual.heard(self.listeners["recogniser"], batch["mel"], valid)
                values["frames"] = perceptual.frame_divergence(logits, wanted, valid)
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
        return self.watch.figures(model)

    def verdict(self, figures: dict[str, float]) -> Verdict:
        return self.watch.verdict(figures)

    def samples(self, model: nn.Module) -> dict[str, Sample]:
        """The fewest steps, and what is true."""
        made = self.sampled(model, min(map(len, self.schedules)), "consistency")
        pictures = {f"made/{i}": Sample(mel=made[i].cpu()) for i in range(min(2, len(made)))}
        return pictures | {f"true/{i}": Sample(mel=self.valid["mel"][i].cpu()) for i in range(min(2, len(made)))}

    def config_for_checkpoint(self) -> dict:
        return to_dict(self.model.config)
