"""Training of the vocoder: mel and multi-resolution STFT losses, then discriminators as well.

The generator goes first and leaves its output to the discriminators' turn, so that it runs once a step. The
adversarial part may look at a share of the batch only: it costs more than the generator itself.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import nn

from fastsvc.audio.mel import log_mel
from fastsvc.config import VocoderConfig, from_dict, to_dict, vocoder_config
from fastsvc.config.limits import CROPS, SHARE
from fastsvc.config.plain import check, within
from fastsvc.model import source
from fastsvc.model.modules import module
from fastsvc.model.vocoder import Generator
from fastsvc.training import augment, losses
from fastsvc.training.discriminator import Discriminators
from fastsvc.training.task import Sample, Task, Turn
from fastsvc.training.warm import start_from


@dataclass(frozen=True)
class VocoderTaskConfig:
    """The YAML's ``task`` part. ``model.mel`` is taken from the corpus."""

    model: dict = field(default_factory=dict)
    init: str = ""  # a vocoder to start from: its checkpoint, used wherever names and shapes agree
    stft: float = 1.0
    mel: float = 15.0
    adversarial: float = 1.0
    feature_matching: float = 3.0
    adversarial_from: float = 0.5  # share of the budget after which the discriminators come in; 1: never
    adversarial_items: int = 8  # of each batch
    equaliser: float = 0.5  # share of the items that pass a random equaliser
    even_from: float = 1.0  # share of the budget after which upsampling is kept even (:func:`even_out`); 1: never
    mel_noise: float = 0.02  # standard deviation, in the mel's own logarithm
    valid_batches: int = 2

    def __post_init__(self):
        within("task", self, stft=(0, 1e4), mel=(0, 1e4), adversarial=(0, 1e4), feature_matching=(0, 1e4))
        within("task", self, adversarial_from=SHARE, equaliser=SHARE, even_from=SHARE, mel_noise=(0, 10))
        within("task", self, adversarial_items=CROPS, valid_batches=(0, 10_000))


class VocoderTask(Task):
    kind = "vocoder"
    best = ("mel_l1", "min")
    settings_class: type[VocoderTaskConfig] = VocoderTaskConfig

    def __init__(self, config, corpus, device, **loop):
        super().__init__(config, corpus, device, **loop)
        self.settings = from_dict(self.settings_class, config or {}, "task")
        plain = self.settings.model | {"mel": to_dict(corpus.mel)}
        self.model_config = vocoder_config(plain, "task.model")
        if isinstance(self.model_config, VocoderConfig):
            trained = self.model_config.source != "none" and not self.model_config.speakers
            check(trained, "task.model: no generator with speakers, or without a source, can be trained")
        self.agree(self.model_config, self.settings)
        self.mel = self.model_config.mel
        self.model = module("vocoder", self.model_config).to(self.device)
        if self.settings.init:
            start_from(self.model, self.settings.init, self.kind)
        self.after_step(0)
        self.discriminators = Discriminators().to(self.device)
        if self.settings.adversarial_from < 1:
            self.extra = {"discriminators": self.discriminators}

    @staticmethod
    def lasting(settings: VocoderTaskConfig) -> dict:
        return {"task.adversarial_from": "on" if settings.adversarial_from < 1 else "off"}

    def config_for_checkpoint(self) -> dict:
        return to_dict(self.model_config)

    def batch(self, rng: np.random.Generator) -> dict:
        crops = self.corpus.batch(rng, "train", self.batch_size, self.batch_frames)
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        audio = torch.as_tensor(crops["audio"]).float()
        shaped = augment.random_equaliser(audio, self.mel.rate_hz, generator, 8.0, 8.0)
        gain = 10 ** (augment.uniform(generator, -12, 3, len(audio), 1) / 20)
        shaped = (shaped * gain).clamp(-1, 1)
        chosen = augment.often(generator, self.settings.equaliser, len(audio), 1)
        return self._item(torch.where(chosen, shaped, audio), crops)

    def _item(self, audio: torch.Tensor, crops: dict) -> dict:
        f0_hz = torch.as_tensor(crops["f0_hz"]) * torch.as_tensor(crops["voiced"])
        return {"audio": audio, "mel": log_mel(audio, self.mel), "f0_hz": f0_hz.float()}

    def excitation(self, f0_hz: torch.Tensor, generator: torch.Generator | None = None) -> torch.Tensor:
        """Sines with random starting phases, and noise: [B, T*hop, source_channels]."""
        batch, frames = f0_hz.shape
        order = self.model_config.source_channels
        generator = generator or self.generator
        start = torch.rand(batch, 1, order, generator=generator, device=f0_hz.device)
        shape = (batch, frames * self.mel.hop_samples, order)
        draws = torch.randn(shape, generator=generator, device=f0_hz.device)
        return source.harmonics(f0_hz, source.frame_phase(f0_hz, self.model_config), start, draws, self.model_config)

    def turns(self, step: int) -> list[Turn]:
        turns = [Turn("generator", self.model, self._generator_loss)]
        if self.adversarial:
            turns.append(Turn("discriminators", self.discriminators, self._discriminator_loss))
        return turns

    @property
    def adversarial(self) -> bool:
        return self.progress >= self.settings.adversarial_from

    def after_step(self, step: int) -> None:
        if self.settings.even_from < 1 and self.progress >= self.settings.even_from:
            even_out(self.model)

    def _generator_loss(self, batch: dict, step: int):
        real, mel = batch["audio"], batch["mel"]
        with torch.autocast(self.device.type, enabled=False):
            excitation = self.model.source(self.excitation(batch["f0_hz"]))
        fake = self.model(mel + self.settings.mel_noise * self.noise(mel), excitation)
        with torch.autocast(self.device.type, enabled=False):
            stft = losses.multi_resolution_stft(fake, real)
            mel_l1 = (log_mel(fake, self.mel) - mel).abs().mean() * self._nepers()
            loss = self.settings.stft * stft + self.settings.mel * mel_l1
        figures = {"stft": stft.detach(), "mel": mel_l1.detach()}
        return self._with_adversary(loss, figures, real, fake)

    def _with_adversary(self, loss, figures: dict, real: torch.Tensor, fake: torch.Tensor):
        if not self.adversarial:
            return loss, figures
        items = slice(0, self.settings.adversarial_items)
        self._pair = (real[items], fake[items].detach())
        with torch.no_grad():
            _, wanted = self.discriminators(real[items])
        scores, layers = self.discriminators(fake[items])
        fooled, match = losses.generator_loss(scores), losses.feature_matching(wanted, layers)
        loss = loss + self.settings.adversarial * fooled + self.settings.feature_matching * match
        return loss, figures | {"fooled": fooled.detach(), "match": match.detach()}

    def _discriminator_loss(self, batch: dict, step: int):
        real, fake = self._pair
        scores, _ = self.discriminators(torch.cat([real, fake]))
        # a discriminator keeps the items of a batch together and in order, whatever it folds them into
        halves = [score.chunk(2) for score in scores]
        return losses.discriminator_loss([r for r, _ in halves], [f for _, f in halves]), {}

    def _nepers(self) -> float:
        return math.log(10) if self.mel.log_base == "10" else 1.0

    def _render(self, model: nn.Module, item: dict, seed: int) -> torch.Tensor:
        generator = torch.Generator(self.device).manual_seed(seed)
        f0_hz = item["f0_hz"].to(self.device)
        return model(item["mel"].to(self.device), model.source(self.excitation(f0_hz, generator)))

    def _valid_items(self, count: int):
        rng = np.random.default_rng(1234)
        for _ in range(count):
            crops = self.corpus.batch(rng, "valid", self.batch_size, 2 * self.batch_frames)
            yield self._item(torch.as_tensor(crops["audio"]).float(), crops)

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Held-out songs, as they are: L1 of the natural-log mel, and the STFT loss."""
        figures = []
        for i, item in enumerate(self._valid_items(self.settings.valid_batches)):
            fake = self._render(model, item, i)
            mel_l1 = (log_mel(fake, self.mel) - item["mel"].to(self.device)).abs().mean() * self._nepers()
            figures.append((float(mel_l1), float(losses.multi_resolution_stft(fake, item["audio"].to(self.device)))))
        mel_l1, stft = np.mean(figures, axis=0)
        return {"mel_l1": float(mel_l1), "stft": float(stft)}

    def samples(self, model: nn.Module) -> dict[str, Sample]:
        """The first held-out crops, real and made."""
        item = next(self._valid_items(1))
        fake = self._render(model, item, 0).cpu()
        out = {}
        for i in range(min(3, len(fake))):
            for name, audio in (("real", item["audio"][i]), ("vocoder", fake[i])):
                mel = log_mel(audio[None], self.mel)[0]
                out[f"{i}_{name}"] = Sample(audio.numpy(), self.mel.rate_hz, mel.numpy())
        return out


@torch.no_grad()
def even_out(model: Generator) -> None:
    """Project the transposed convolutions onto those that answer a constant with a constant.

    Output sample r·t + p sees the taps p, p + r, …; where their sums differ between the phases p, a steady mel comes
    out as a comb at the frame rate. Short trainings make their noise and upper harmonics of it, instead of taking
    them from the excitation, and the pitch then drowns.
    """
    for up in model.ups:
        rate, (*outer, kernel) = up.stride[0], up.weight.shape
        if kernel % rate:
            continue  # phases have unlike numbers of taps
        taps = up.weight.view(*outer, kernel // rate, rate)
        sums = taps.sum(dim=-2, keepdim=True)
        taps -= (sums - sums.mean(dim=-1, keepdim=True)) * rate / kernel
