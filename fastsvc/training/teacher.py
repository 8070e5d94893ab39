"""The teacher: an EDM denoiser of mel, conditioned on content, f0, loudness and singer."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from fastsvc.config import (
    AcousticConfig,
    ConditionConfig,
    DenoiserConfig,
    EdmConfig,
    FeatureConfig,
    NormConfig,
    from_dict,
    to_dict,
)
from fastsvc.config.limits import CROPS, FRAMES, SHARE
from fastsvc.config.plain import within
from fastsvc.model.acoustic import AcousticModel
from fastsvc.training import checkpoint, diffusion, listen, start
from fastsvc.training.acoustic import AcousticTask, AugmentSettings
from fastsvc.training.task import Sample, Turn


@dataclass(frozen=True)
class TeacherSettings:
    """The YAML's ``task`` part; mel, features, normalisation and speakers come from the corpus."""

    denoiser: DenoiserConfig = field(
        default_factory=lambda: DenoiserConfig(channels=256, layers=20, dilation_cycle=4, cond_channels=256)
    )
    # The normalised mel's deviation is 0.5, but about 0.15 for a known condition. sigma_data is the latter: with 0.5
    # the network must cancel the noise that c_skip passes, and short trainings stay noisy.
    edm: EdmConfig = field(default_factory=lambda: EdmConfig(sigma_data=0.15, sigma_max=20.0, noise_scale=10.0))
    voicing: bool = True
    pulses: bool = False  # the mel of a pulse train at f0 as a condition (fastsvc/model/pulse_mel.py)
    # A teacher or student to start from: sizes, edm, voicing and normalisation are then its own, and pulses if it has
    # weights for them.
    init: str = ""
    speaker_dropout: float = 0.1  # share trained without a singer, for guidance
    sigma_mean: float = -1.2
    sigma_std: float = 1.2
    karras_share: float = 0.2
    augment: AugmentSettings = field(default_factory=AugmentSettings)
    vocoder: str = ""  # a checkpoint, to hear the samples; without, they are pictures
    valid_crops: int = 16
    valid_frames: int = 192

    def __post_init__(self):
        within("task", self, speaker_dropout=SHARE, karras_share=SHARE, sigma_mean=(-100, 100), sigma_std=(0, 100))
        within("task", self, valid_crops=CROPS, valid_frames=FRAMES)


def normalisation(mean: Tensor, std: Tensor) -> NormConfig:
    """Bounds with which the normalised mel has mean 0 and standard deviation 0.5 in every bin."""
    half = 2 * std.clamp(min=1e-2)  # x = (mel − low)/(high − low)·2 − 1 = (mel − mean)/half
    return NormConfig(low=tuple((mean - half).tolist()), high=tuple((mean + half).tolist()))


class TeacherTask(AcousticTask):
    kind = "teacher"
    best = ("loss", "min")

    def __init__(self, config: dict, corpus, device, **loop):
        super().__init__(config, corpus, device, **loop)
        self.settings = from_dict(TeacherSettings, config or {}, "task")
        self.augment = self.settings.augment
        base = checkpoint.load(self.settings.init, start.KINDS) if self.settings.init else None
        self.choose_speakers(base=base)
        config = (
            self.acoustic_config()
            if base is None
            else start.config_of(base, self.settings.init, self, self.settings.pulses)
        )
        self.agree(config, self.settings)
        self.model = AcousticModel(config).to(self.device)
        if base is not None:
            start.load_into(self.model, base, self.settings.init, self.speakers)
        self.valid = self.validation_batch(self.settings.valid_crops, self.settings.valid_frames)
        self.vocoder = listen.vocoder_of(self.settings.vocoder, self.corpus.mel, self.device)

    def acoustic_config(self) -> AcousticConfig:
        settings, encoder = self.settings, self.corpus.encoder
        plain = {"encoder": encoder["name"], "unit_channels": encoder["channels"]}
        features = from_dict(FeatureConfig, to_dict(self.corpus.features) | plain)
        mean, std = (torch.as_tensor(v, dtype=torch.float64) for v in (self.corpus.mel_mean, self.corpus.mel_std))
        plain = to_dict(settings.denoiser) | {"mel_bins": self.corpus.mel.bins}
        return AcousticConfig(
            mel=self.corpus.mel,
            features=features,
            condition=ConditionConfig(
                unit_channels=features.unit_channels,
                channels=settings.denoiser.cond_channels,
                speakers=len(self.speakers),
                key_shift=False,
                voicing=settings.voicing,
                pulses=settings.pulses,
            ),
            denoiser=from_dict(DenoiserConfig, plain),
            edm=settings.edm,
            norm=self._norm_before() or normalisation(mean, std),
        )

    def _norm_before(self) -> NormConfig | None:
        """The range of a resumed run: its weights were learnt in it, whatever the corpus's statistics are by now."""
        if self.resume_point is None:
            return None
        norm = from_dict(NormConfig, self.resume_point.config.get("norm") or {}, f"{self.resume_point.path}: norm")
        return norm if len(norm.low) == self.corpus.mel.bins else None

    def turns(self, step: int) -> list[Turn]:
        return [Turn("teacher", self.model, self._loss)]

    def _loss(self, batch: dict, step: int):
        settings = self.settings
        x0 = self.model.normalise(batch["mel"])
        sigma = diffusion.mixed_sigmas(
            len(x0), settings.edm, self.generator, settings.sigma_mean, settings.sigma_std, settings.karras_share
        )
        cond = self.condition(self.model, batch, self._dropped(batch))
        denoise = self.denoiser(self.model, cond, batch["valid"])
        return diffusion.edm_loss(denoise, settings.edm, x0, sigma, self.noise(x0), batch["valid"]), {}

    def _dropped(self, batch: dict) -> Tensor | None:
        """Speaker weights [B, S], one-hot or, for a share of the batch, zero."""
        if len(self.speakers) == 1:
            return None
        weights = torch.nn.functional.one_hot(batch["singer"], len(self.speakers)).float()
        draws = torch.rand(len(weights), 1, generator=self.generator, device=self.device)
        return weights * (draws >= self.settings.speaker_dropout)

    def validate(self, model: nn.Module) -> dict[str, float]:
        """The loss over fixed noise at levels spread over the grid, and mel L1 of one step and of Heun's 9."""
        batch, config = self.valid, self.settings.edm
        x0 = model.normalise(batch["mel"])
        denoise = self.denoiser(model, self.condition(model, batch), batch["valid"])
        generator = torch.Generator().manual_seed(self.seed)
        sigma = diffusion.mixed_sigmas(len(x0), config, generator, share=self.settings.karras_share).to(self.device)
        z = diffusion.fixed_noise(x0, self.seed)(1)
        return {
            "loss": float(diffusion.edm_loss(denoise, config, x0, sigma, z, batch["valid"])),
            "mel_l1_1": self.mel_error(model, 1, "consistency"),
            "mel_l1_heun9": self.mel_error(model, 9, "heun"),
        }

    def samples(self, model: nn.Module) -> dict[str, Sample]:
        mels = {"sampled": self.sampled(model, 9, "heun"), "true": self.valid["mel"]}
        return self.audible(mels, model, 9, "heun")
