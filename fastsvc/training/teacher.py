"""The teacher: an EDM denoiser of mel, conditioned on content, f0, loudness and singer."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from fastsvc.audio.mel import log_mel
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
from fastsvc.errors import ConfigError
from fastsvc.model import process
from fastsvc.model.acoustic import AcousticModel
from fastsvc.training import checkpoint, diffusion, wavenet_train
from fastsvc.training.task import Sample, Task, Turn

FRAME_KEYS = ("units", "f0_hz", "volume", "voiced", "mask")


@dataclass(frozen=True)
class AugmentSettings:
    """Light changes to what the model hears, so that units of strangers do not surprise it."""

    unit_noise: float = 0.1  # Gaussian, times the units' standard deviation
    unit_dropout: float = 0.02  # share of the frames whose units are replaced by the frame before
    gain_db: float = 6.0  # the recording is played up to this much louder or softer


@dataclass(frozen=True)
class TeacherSettings:
    """The YAML's ``task`` part; mel, features, normalisation and speakers come from the corpus."""

    denoiser: DenoiserConfig = field(
        default_factory=lambda: DenoiserConfig(channels=256, layers=20, dilation_cycle=4, cond_channels=256)
    )
    # The mel's deviation is 0.5, but about 0.15 once the condition is known. What c_skip should trust is the latter:
    # with 0.5 the network must cancel the noise that c_skip passes, and short trainings stay noisy.
    edm: EdmConfig = field(default_factory=lambda: EdmConfig(sigma_data=0.15, sigma_max=20.0, noise_scale=10.0))
    voicing: bool = True
    speaker_dropout: float = 0.1  # share trained without a singer, for guidance
    sigma_mean: float = -1.2
    sigma_std: float = 1.2
    karras_share: float = 0.2
    augment: AugmentSettings = field(default_factory=AugmentSettings)
    valid_crops: int = 16
    valid_frames: int = 192


def normalisation(mean: Tensor, std: Tensor) -> NormConfig:
    """Bounds with which the normalised mel has mean 0 and standard deviation 0.5 in every bin."""
    half = 2 * std.clamp(min=1e-2)  # x = (mel − low)/(high − low)·2 − 1 = (mel − mean)/half
    return NormConfig(low=tuple((mean - half).tolist()), high=tuple((mean + half).tolist()))


class AcousticTask(Task):
    """Crops of the corpus → conditions and normalised mel, common to teacher and student."""

    augment: AugmentSettings
    model: AcousticModel

    def batch(self, rng: np.random.Generator) -> dict:
        return self.augmented(self.crops("train", rng, self.batch_size, self.batch_frames), rng)

    def crops(
        self, split: str, rng: np.random.Generator, size: int, frames: int, labels: bool = False
    ) -> dict[str, Tensor]:
        """mel [B, T, M] and the features of ``size`` crops, CPU tensors.

        ``labels``: also labels [B, T] as a recogniser counts them (0 the blank, −1 unknown).
        """
        config = self.corpus.mel
        # Frames whose windows reach beyond the crop are drawn and thrown away.
        edge = -(-(config.fft_samples - config.hop_samples) // (2 * config.hop_samples))
        raw = self.corpus.batch(rng, split, size, frames + 2 * edge)
        mel = log_mel(raw["audio"], config)
        crop = {name: raw[name][:, edge : edge + frames].float() for name in FRAME_KEYS}
        crop["valid"] = crop.pop("mask")
        if labels:
            phones = raw["phone_labels"][:, edge : edge + frames].long()
            crop["labels"] = torch.where(phones >= 0, phones + 1, phones)
        return crop | {"mel": mel[:, edge : edge + frames], "singer": self.table[raw["singer"]]}

    def augmented(self, crop: dict, rng: np.random.Generator) -> dict:
        settings = self.augment
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        size, frames = crop["valid"].shape
        units = crop["units"]
        if settings.unit_dropout:
            held = torch.rand(size, frames, 1, generator=generator) < settings.unit_dropout
            units = torch.where(held, torch.roll(units, 1, dims=1), units)
        if settings.unit_noise:
            units = units + settings.unit_noise * units.std() * torch.randn(units.shape, generator=generator)
        decibel = settings.gain_db * (2 * torch.rand(size, 1, generator=generator) - 1)
        return crop | {"units": units} | gained(crop, decibel, self.corpus.mel)

    def condition(self, model: AcousticModel, batch: dict, speaker: Tensor | None = None) -> Tensor:
        """[B, T, H], in float32: bf16 would round f0 by up to 9 cents."""
        speaker = batch["singer"] if speaker is None else speaker
        with torch.autocast(self.device.type, enabled=False):
            return model.condition(batch["units"], batch["f0_hz"], batch["volume"], speaker, voiced=batch.get("voiced"))

    def nobody(self, batch: dict) -> Tensor:
        """Mixing weights of no singer at all: zeros [B, S]."""
        return torch.zeros(len(batch["mel"]), len(self.speakers), device=self.device)

    def denoiser(
        self, model: AcousticModel, cond: Tensor, valid: Tensor, net: nn.Module | None = None
    ) -> diffusion.Denoise:
        """D(·, ·) with its condition and mask filled in, in float32 at its ends; ``net``: another WaveNet inside."""
        net = model.denoiser if net is None else net
        if self.device.type == "cpu":
            net = functools.partial(wavenet_train.forward, net)
        return lambda x, sigma: process.denoise(net, model.config, x, sigma, cond, valid).float()

    def guided(self, model: AcousticModel, batch: dict, weight: float, cond: Tensor | None = None) -> diffusion.Denoise:
        """A teacher's D with guidance towards the batch's singers; ``cond``: its condition, where it is at hand."""
        cond = self.condition(model, batch) if cond is None else cond
        named = self.denoiser(model, cond, batch["valid"])
        if weight == 1 or len(self.speakers) == 1:
            return named
        anyone = self.condition(model, batch, self.nobody(batch))
        return diffusion.guided(named, self.denoiser(model, anyone, batch["valid"]), weight)

    def load_acoustic(self, path: str, *kinds: str) -> AcousticModel:
        """The EMA of a checkpoint of one of these kinds, frozen. Raises when it does not belong to this corpus."""
        content = checkpoint.load(path, kinds)
        config = from_dict(AcousticConfig, content["config"]["model"])
        if content["speakers"] != self.speakers:
            raise ConfigError(
                f"{path} knows the singers {', '.join(content['speakers'])}, the corpus {', '.join(self.speakers)}",
                f"train the {self.kind} on the corpus of its {content['kind']}",
            )
        if to_dict(config.mel) != to_dict(self.corpus.mel):
            raise ConfigError(f"{path} was trained on another mel than the corpus has")
        model = AcousticModel(config)
        model.load_state_dict(content["ema"])
        return model.requires_grad_(False).eval().to(self.device)

    def choose_speakers(self) -> None:
        """Fill ``speakers``, their median f0 and the table from the items that are trained on."""
        corpus = self.corpus
        if not corpus.encoder:
            raise ConfigError(f"the corpus {corpus.path} has no units", "prepare it with a content encoder")
        ids = sorted({item.singer for item in corpus.items if item.split == "train"})
        if not ids:
            raise ConfigError(f"the corpus {corpus.path} has no item to train on", "prepare more songs")
        self.singer_ids = ids  # the corpus's numbers of those that are trained on
        self.speakers = [corpus.singers[i] for i in ids]
        self.speaker_f0_hz = [float(corpus.singer_f0_hz[name]) for name in self.speakers]
        # Singers without a training song are outside the table: an index beyond its end.
        self.table = torch.tensor([ids.index(i) if i in ids else len(ids) for i in range(len(corpus.singers))])

    def validation_batch(self, crops: int, frames: int) -> dict:
        """The same held-out crops each time."""
        batch = self.crops("valid", np.random.default_rng([self.seed, 1]), crops, frames)
        return {name: value.to(self.device) for name, value in batch.items()}

    def sampled(self, model: AcousticModel, steps: int, method: str) -> Tensor:
        """Log-mel of the validation crops, always from the same noise."""
        batch = self.valid
        return model.sample(self.condition(model, batch), steps, diffusion.fixed_noise(batch["mel"], self.seed), method)

    def mel_error(self, model: AcousticModel, steps: int, method: str) -> float:
        return diffusion.mel_l1(self.sampled(model, steps, method), self.valid["mel"], self.valid["valid"])

    def config_for_checkpoint(self) -> dict:
        return to_dict(self.model.config)


def gained(crop: dict, decibel: Tensor, mel) -> dict:
    """Mel and volume of the recording played ``decibel`` [B, 1] louder: exact but for the floor of the mel."""
    factor = 10 ** (decibel / 20)
    log = torch.log10 if mel.log_base == "10" else torch.log
    floor = float(log(torch.tensor(mel.clip)))
    louder = (crop["mel"] + log(factor)[..., None]).clamp(min=floor)
    return {"mel": torch.where(crop["mel"] <= floor, crop["mel"], louder), "volume": crop["volume"] * factor}


class TeacherTask(AcousticTask):
    kind = "teacher"
    best = ("loss", "min")

    def __init__(self, config: dict, corpus, device, **loop):
        super().__init__(config, corpus, device, **loop)
        self.settings = from_dict(TeacherSettings, config or {}, "task")
        self.augment = self.settings.augment
        self.choose_speakers()
        self.model = AcousticModel(self.acoustic_config()).to(self.device)
        self.valid = self.validation_batch(self.settings.valid_crops, self.settings.valid_frames)

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
            ),
            denoiser=from_dict(DenoiserConfig, plain),
            edm=settings.edm,
            norm=normalisation(mean, std),
        )

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
        kept = torch.rand(len(weights), 1, generator=self.generator, device=self.device)
        return weights * (kept >= self.settings.speaker_dropout)

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
        mel = self.sampled(model, 9, "heun")
        pictures = {f"sampled/{i}": Sample(mel=mel[i].cpu()) for i in range(min(2, len(mel)))}
        return pictures | {f"true/{i}": Sample(mel=self.valid["mel"][i].cpu()) for i in range(min(2, len(mel)))}
