"""The teacher: a synthesiser and a rectified flow, trained together as DDSP-SVC 6 trains them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from fastsvc.config import DdspConfig, FeatureConfig, ddsp, from_dict, to_dict
from fastsvc.config.limits import CROPS, FRAMES, LAYERS, SIZES
from fastsvc.config.plain import check, within
from fastsvc.model.ddsp import flow
from fastsvc.training import diffusion, listen
from fastsvc.training.acoustic import AugmentSettings
from fastsvc.training.flow import velocity
from fastsvc.training.flow.model import STEPS, FlowModel
from fastsvc.training.flow.parts import FlowParts
from fastsvc.training.flow.process import LEAST_START
from fastsvc.training.task import Sample, Turn


@dataclass(frozen=True)
class FlowSizes:
    """Part of the YAML; mel, features and speakers come from the corpus. The synthesiser's windows are the mel's."""

    family: str = ddsp.KIND
    version: str = "6.1"
    hidden: int = 128  # of the control network
    hidden_layers: int = 3
    channels: int = 160  # of the velocity network
    layers: int = 5
    t_start: float = 0.7

    def __post_init__(self):
        check(
            self.family == ddsp.KIND, f"task.model: unknown family {self.family!r}", f"use {ddsp.KIND}, or omit model"
        )
        within("task.model", self, hidden=SIZES, hidden_layers=LAYERS, channels=SIZES, layers=LAYERS)
        within("task.model", self, t_start=(LEAST_START, 0.999))


@dataclass(frozen=True)
class FlowTeacherSettings:
    """The YAML's ``task`` part."""

    model: FlowSizes = field(default_factory=FlowSizes)
    first_weight: float = 1.0  # of the first mel's error
    augment: AugmentSettings = field(default_factory=AugmentSettings)
    vocoder: str = ""  # a checkpoint, to hear the samples; without, they are pictures
    valid_crops: int = 16
    valid_frames: int = 192

    def __post_init__(self):
        within("task", self, first_weight=(0, 1e6), valid_crops=CROPS, valid_frames=FRAMES)


class FlowTeacherTask(FlowParts):
    kind = "teacher"
    best = ("loss", "min")

    def __init__(self, config: dict, corpus, device, **loop):
        super().__init__(config, corpus, device, **loop)
        self.settings = from_dict(FlowTeacherSettings, config or {}, "task")
        self.augment = self.settings.augment
        self.choose_speakers()
        config = self.flow_config()
        self.agree(config, self.settings)
        self.model = FlowModel(config, corpus.mel.log_base).to(self.device)
        self.valid = self.validation_batch(self.settings.valid_crops, self.settings.valid_frames)
        self.vocoder = listen.vocoder_of(self.settings.vocoder, corpus.mel, self.device)

    def flow_config(self) -> DdspConfig:
        sizes, corpus = self.settings.model, self.corpus
        plain = {"encoder": corpus.encoder["name"], "unit_channels": corpus.encoder["channels"]}
        return DdspConfig(
            version=sizes.version,
            mel=replace(corpus.mel, log_base="e"),
            features=from_dict(FeatureConfig, to_dict(corpus.features) | plain),
            speakers=len(self.speakers),
            window_samples=corpus.mel.window_samples,
            hidden=sizes.hidden,
            hidden_layers=sizes.hidden_layers,
            channels=sizes.channels,
            layers=sizes.layers,
            key_shift=False,
            t_start=sizes.t_start,
        )

    def turns(self, step: int) -> list[Turn]:
        return [Turn("teacher", self.model, self._loss)]

    def _loss(self, batch: dict, step: int) -> tuple[Tensor, dict]:
        lowest = self.model.config.t_start
        draws = torch.rand(len(batch["mel"]), generator=self.generator, device=self.device)
        return self.losses(self.model, batch, lowest + (1 - lowest) * draws, self.noise(batch["mel"]))

    def losses(self, model: FlowModel, batch: dict, time: Tensor, z: Tensor) -> tuple[Tensor, dict]:
        """‖v(x_t) − (x1 − z)‖² at t [B], plus the first mel's square error in nepers; both reach the synthesiser."""
        first, valid = self.condition(model, batch), batch["valid"]
        truth = torch.where(valid[..., None] > 0, batch["mel"] / model.per_natural, 0)
        first_error = diffusion.batch_mean((first - truth).square(), valid)
        x1, wide = flow.normalised(truth), diffusion.wide(time)
        found = velocity.forward(model.reflow_model.velocity_fn, wide * x1 + (1 - wide) * z, time, first, valid)
        flow_error = diffusion.batch_mean((found.float() - (x1 - z)).square(), valid)
        figures = {"first_error": first_error.detach(), "flow_error": flow_error.detach()}
        return flow_error + self.settings.first_weight * first_error, figures

    def validate(self, model: nn.Module) -> dict[str, float]:
        """The losses at times spread evenly and fixed noise, and mel L1 of the first mel, 1 Euler step and 20."""
        batch, lowest = self.valid, model.config.t_start
        count = len(batch["mel"])
        time = lowest + (1 - lowest) * (torch.arange(count, device=self.device) + 0.5) / count
        loss, figures = self.losses(model, batch, time, diffusion.fixed_noise(batch["mel"], self.seed)(1))
        first = self.condition(model, batch) * model.per_natural
        return {
            "loss": float(loss),
            **{name: float(value) for name, value in figures.items()},
            "mel_l1_first": diffusion.mel_l1(first, batch["mel"], batch["valid"]),
            "mel_l1_1": self.mel_error(model, 1, "euler"),
            f"mel_l1_{STEPS}": self.mel_error(model, STEPS, "euler"),
        }

    def samples(self, model: nn.Module) -> dict[str, Sample]:
        first = self.condition(model, self.valid) * model.per_natural
        mels = {"first": first, "sampled": self.sampled(model, STEPS, "euler"), "true": self.valid["mel"]}
        return self.audible(mels, model, STEPS, "euler")
