"""The student: consistency distillation of a teacher (Song et al., arXiv 2303.01469, as CoMoSVC does it), or ECT."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from fastsvc.config import from_dict
from fastsvc.config.limits import CROPS, FRAMES
from fastsvc.config.plain import within
from fastsvc.errors import ConfigError
from fastsvc.training import diffusion, listen
from fastsvc.training.acoustic import AcousticTask, AugmentSettings
from fastsvc.training.diffusion import Denoise, wide
from fastsvc.training.task import Sample, Turn


@dataclass(frozen=True)
class StudentSettings:
    """The YAML's ``task`` part."""

    teacher: str  # path of the teacher's checkpoint
    method: str = "cd"  # cd: distillation along the teacher's ODE; ect: without it, by shrinking steps
    points: int = 32  # N of the grid σ_1 = σmin … σ_N = σmax
    solver: str = "heun"  # heun, euler
    distance: str = "l2"  # l2 with weight 1, or huber with weight 1/(t_{n+1} − t_n)
    target_decay: float = 0.95  # μ of the EMA target; 0: the student's own weights
    guidance: float = 1.0  # w of the teacher's step: D(∅) + w (D(singer) − D(∅)); 1: none
    train: str = "denoiser"  # denoiser: the conditions stay the teacher's; all
    sigma_mean: float = -1.1  # of ECT's levels
    sigma_std: float = 2.0
    augment: AugmentSettings = field(default_factory=AugmentSettings)
    vocoder: str = ""  # a checkpoint, to hear the samples; without, they are pictures
    valid_crops: int = 8
    valid_frames: int = 192

    def __post_init__(self):
        for key, allowed in (
            ("method", ("cd", "ect")),
            ("solver", ("heun", "euler")),
            ("distance", ("l2", "huber")),
            ("train", ("denoiser", "all")),
        ):
            if getattr(self, key) not in allowed:
                raise ConfigError(f"task.{key} is {getattr(self, key)!r}", f"use {' or '.join(allowed)}")
        within("task", self, points=(2, 100_000), guidance=(-100, 100), sigma_mean=(-100, 100), sigma_std=(0, 100))
        within("task", self, valid_crops=CROPS, valid_frames=FRAMES)
        if not 0 <= self.target_decay < 1:
            raise ConfigError(f"task: target_decay is {self.target_decay:g}, outside 0 … 1, without 1")


def distillation_loss(
    student: Denoise,
    target: Denoise,
    teacher: Denoise,
    levels: Tensor,
    n: Tensor,
    x0: Tensor,
    z: Tensor,
    valid: Tensor,
    solver: str = "heun",
    kind: str = "l2",
) -> Tensor:
    """w d(D_θ(x_{n+1}, t_{n+1}), sg D_θ⁻(x̂_n, t_n)), x_{n+1} = x0 + t_{n+1} z, x̂_n one teacher step further down.

    levels [N] rising; n [B] in 0 … N − 2, counted from 0; mean over the batch.
    """
    low, high = levels[n], levels[n + 1]
    x0 = torch.where(valid[..., None] > 0, x0, 0)
    x = x0 + wide(high) * z
    with torch.no_grad():
        ahead = diffusion.solver_step(teacher, x, high, low, solver, float(levels[0]))
        target_x0 = target(ahead, low)
    distance = diffusion.distance(student(x, high), target_x0, valid, kind)
    return (distance if kind == "l2" else distance / (high - low)).mean()


def tuning_loss(student: Denoise, sigma: Tensor, lower: Tensor, x0: Tensor, z: Tensor, valid: Tensor) -> Tensor:
    """ECT (arXiv 2406.14548): ‖D(x_t) − sg D(x_r)‖/(t − r) with the same noise at both levels."""
    x0 = torch.where(valid[..., None] > 0, x0, 0)
    with torch.no_grad():
        target_x0 = student(x0 + wide(lower) * z, lower)
    distance = diffusion.distance(student(x0 + wide(sigma) * z, sigma), target_x0, valid, "huber")
    return (distance / (sigma - lower).clamp(min=1e-4)).mean()


class StudentTask(AcousticTask):
    kind = "student"
    best = ("mel_l1_1", "min")
    settings_class = StudentSettings
    reference_steps = 50  # of the teacher's samples, with which the student's are compared

    def __init__(self, config: dict, corpus, device, **loop):
        super().__init__(config, corpus, device, **loop)
        if not (config or {}).get("teacher"):
            remedy = "set task.teacher to the path of the teacher's checkpoint, or task.method: paired without one"
            raise ConfigError("task.teacher is missing", remedy)
        self.settings = from_dict(self.settings_class, config, "task")
        self.augment = self.settings.augment
        content = self.read_acoustic(self.settings.teacher, ("teacher",))
        self.choose_speakers(content, self.settings.teacher)
        self.teacher = self.load_acoustic(content, self.settings.teacher)
        self.agree(self.teacher.config, self.settings)
        self.process = self.process_of(self.teacher)
        self.model = copy.deepcopy(self.teacher).requires_grad_(True)
        if self.settings.train == "denoiser":
            self.process.freeze_condition(self.model)
        self.target = copy.deepcopy(self.teacher)  # frozen; follows the student in after_step
        self.extra = {"target": self.target}
        if "model" in self.singer_rows:
            self.singer_rows["target"] = self.singer_rows["model"]
        self.levels = self.process.grid(self.settings.points).to(self.device)
        self.valid = self.validation_batch(self.settings.valid_crops, self.settings.valid_frames)
        self.reference = self.sampled(self.teacher, self.reference_steps, "euler")
        self.vocoder = listen.vocoder_of(self.settings.vocoder, self.corpus.mel, self.device)

    @staticmethod
    def lasting(settings: StudentSettings) -> dict:
        return {"task.train": settings.train}  # it decides which parameters the optimiser has

    def turns(self, step: int) -> list[Turn]:
        return [Turn("student", self.model, self._loss)]

    def _loss(self, batch: dict, step: int):
        settings, valid = self.settings, batch["valid"]
        x0 = self.model.normalise(batch["mel"])
        z = self.noise(x0)
        cond = self.condition(self.model, batch)
        student = self.denoiser(self.model, cond, valid)
        if settings.method == "ect":
            edm = self.model.config.edm
            sigma = diffusion.lognormal(len(x0), settings.sigma_mean, settings.sigma_std, edm, self.generator)
            stage = 1 + min(7, math.floor(8 * self.progress))
            lower = diffusion.ect_lower_level(sigma, stage, edm)
            return tuning_loss(student, sigma, lower, x0, z, valid), {"stage": stage}
        n = torch.randint(len(self.levels) - 1, (len(x0),), generator=self.generator, device=self.device)
        with torch.no_grad():
            frozen = cond if settings.train == "denoiser" else self.condition(self.target, batch)
            target = self.denoiser(self.target, frozen, valid)
            teacher = self.guided(
                self.teacher, batch, settings.guidance, cond if settings.train == "denoiser" else None
            )
        x0 = self.process.path(x0, cond, self.levels[n + 1], self.generator)
        loss = distillation_loss(
            student, target, teacher, self.levels, n, x0, z, valid, settings.solver, settings.distance
        )
        return loss, {}

    @torch.no_grad()
    def after_step(self, step: int) -> None:
        """θ⁻ ← μ θ⁻ + (1 − μ) θ, after the optimiser."""
        pairs = list(self.target.parameters()), list(self.model.parameters())
        get_ema_multi_avg_fn(self.settings.target_decay)(*pairs, None)

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Mel L1 of 1, 2 and 4 steps against the truth, and against the teacher's Euler steps from equal noise."""
        truth, inside = self.valid["mel"], self.valid["valid"]
        figures = {f"teacher_l1_{self.reference_steps}": diffusion.mel_l1(self.reference, truth, inside)}
        for steps in (1, 2, 4):
            mel = self.sampled(model, steps, "consistency")
            figures[f"mel_l1_{steps}"] = diffusion.mel_l1(mel, truth, inside)
            figures[f"to_teacher_{steps}"] = diffusion.mel_l1(mel, self.reference, inside)
        return figures

    def samples(self, model: nn.Module) -> dict[str, Sample]:
        mels = {
            "one_step": self.sampled(model, 1, "consistency"),
            "teacher": self.reference,
            "true": self.valid["mel"],
        }
        return self.audible(mels, model, 1, "consistency")
