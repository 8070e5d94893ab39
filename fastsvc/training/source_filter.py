"""Training of the source-filter vocoder: a spectral energy distance of two draws, then discriminators as well.

The filters are made once a step, and two draws of pulses and noise go through them (training/spectral_distance.py).
Mels are partly noisy, blurred over bins, or made by a student of the same recording, as those in use are. Recordings
are partly played faster or slower: other throats, and, of a recording at 16 kHz, a band that is full.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch

from fastsvc.audio.mel import log_mel
from fastsvc.config.limits import SHARE
from fastsvc.config.plain import check, within
from fastsvc.model import filters, pulses
from fastsvc.training import augment
from fastsvc.training.generated import PREFIX, GeneratedSettings, maker_of
from fastsvc.training.spectral_distance import SIZES, energy_distance, levels, log_distance
from fastsvc.training.vocoder import VocoderTask, VocoderTaskConfig

GAIN_DB = (-15.0, 3.0)
CONTEXT = 32  # frames that a student hears on each side of what the vocoder learns from


@dataclass(frozen=True)
class SourceFilterTaskConfig(VocoderTaskConfig):
    """The YAML's ``task`` part. ``stft`` is the weight of the energy distance of spectra, ``mel`` of that of mels."""

    mel: float = 1.0
    level: float = 0.0  # weight of the loudness of each window
    even: float = 1.0  # weight of what the gains do within frames (:func:`_shape`)
    equaliser: float = 0.6
    rooms: float = 0.3  # share of the recordings that get a room
    hiss: float = 0.3  # share of the recordings that get noise, 20 to 60 dB below them
    blurred: float = 0.0  # share of the items whose mel is blurred over bins
    blur: float = 2.0  # widest blur: standard deviation in bins
    noisy: float = 0.2  # share of the items whose mel has noise
    mel_noise: float = 0.15  # largest standard deviation, in the mel's own logarithm
    played: float = 0.5  # share of the batches that are played at another speed
    windows: int = 2  # number of lengths of spectra that a step compares, drawn anew each time
    speeds: tuple[float, ...] = (0.8, 1.5)
    # mels of a student for a share of each batch; all singers of the corpus must be the student's
    generated: GeneratedSettings = field(default_factory=lambda: GeneratedSettings(share=0.0))

    def __post_init__(self):
        super().__post_init__()
        within("task", self, blurred=SHARE, noisy=SHARE, played=SHARE, blur=(0, 100), speeds=(0.25, 4))
        within("task", self, rooms=SHARE, hiss=SHARE)
        within("task", self, windows=(1, len(SIZES)), level=(0, 1e4), even=(0, 1e4))
        check(self.even_from == 1, "task: even_from is for families that upsample", "omit it")


class SourceFilterTask(VocoderTask):
    settings_class = SourceFilterTaskConfig

    def __init__(self, config, corpus, device, **loop):
        super().__init__(config, corpus, device, **loop)
        self.maker = maker_of(self.settings.generated, corpus, self.device, self.mel)

    def batch(self, rng: np.random.Generator) -> dict:
        settings, generator = self.settings, torch.Generator().manual_seed(int(rng.integers(2**62)))
        speed = float(augment.log_uniform(generator, *settings.speeds, 1)) if rng.random() < settings.played else 1.0
        generated = self.maker.count(self.batch_size) if self.maker else 0
        size = self.batch_size - generated
        crops = self.corpus.batch(rng, "train", size, int(np.ceil(self.batch_frames * speed)))
        crops = faster(crops, speed, self.batch_frames, self.mel.hop_samples)
        audio = crops["audio"]
        count = len(audio)
        shaped = augment.random_equaliser(audio, self.mel.rate_hz, generator, 8.0, 8.0)
        audio = torch.where(augment.often(generator, settings.equaliser, count, 1), shaped, audio)
        audio = self._with_room(audio, generator)
        audio = audio * 10 ** (augment.uniform(generator, *GAIN_DB, count, 1) / 20)
        item = self._item(audio, crops)
        width = augment.uniform(generator, 0, settings.blur, count)
        width = torch.where(augment.often(generator, settings.blurred, count), width, 0)
        level = augment.uniform(generator, 0, settings.mel_noise, count, 1, 1)
        level = torch.where(augment.often(generator, settings.noisy, count, 1, 1), level, 0)
        draws = torch.randn(item["mel"].shape, generator=generator)
        item |= {"given": blurred(item["mel"], width) + level * draws}
        if self.maker is None:
            return item
        return item | self.maker.draw(rng, generated, self.batch_frames + 2 * CONTEXT, audio=True)

    def _with_generated(self, batch: dict) -> dict:
        """The batch with a student's mels, and what they are of, as its first items."""
        if self.maker is None:
            return batch
        hop, kept = self.mel.hop_samples, slice(CONTEXT, -CONTEXT)
        mel = self.maker.mel(batch, self.generator)[:, kept]
        audio = batch[PREFIX + "audio"][:, CONTEXT * hop : -CONTEXT * hop].float()
        f0_hz = (batch[PREFIX + "f0_hz"] * batch[PREFIX + "voiced"])[:, kept]
        made = {"audio": audio, "mel": batch[PREFIX + "mel"][:, kept], "f0_hz": f0_hz, "given": mel}
        return {name: torch.cat([value, batch[name]]) for name, value in made.items()}

    def _with_room(self, audio: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Rooms and hiss, of the target too: what is neither dry nor clean shall stay as it is."""
        if self.settings.rooms:
            audio = augment.reverberate(audio, self.mel.rate_hz, generator, self.settings.rooms)
        count = len(audio)
        below_db = augment.uniform(generator, 20, 60, count, 1)
        level = audio.square().mean(1, keepdim=True).sqrt() * 10 ** (-below_db / 20)
        level = torch.where(augment.often(generator, self.settings.hiss, count, 1), level, 0)
        return audio + level * torch.randn(audio.shape, generator=generator)

    def excitation(self, f0_hz: torch.Tensor, generator: torch.Generator | None = None) -> torch.Tensor:
        """Pulses of random starting phases, and noise: [B, T·hop, 2]."""
        generator, config = generator or self.generator, self.model_config
        batch, frames = f0_hz.shape
        start = torch.rand(batch, 1, generator=generator, device=f0_hz.device, dtype=torch.float64)
        draws = torch.randn(batch, frames * config.mel.hop_samples, generator=generator, device=f0_hz.device)
        return pulses.excitation(f0_hz, pulses.frame_phase(f0_hz, config) + start, draws, config)

    def _generator_loss(self, batch: dict, step: int):
        batch = self._with_generated(batch)
        real, mel, f0_hz = batch["audio"], batch["mel"], batch["f0_hz"]
        log_magnitude, gains = self.model.filters(batch["given"], f0_hz)
        with torch.autocast(self.device.type, enabled=False):
            spectra = filters.spectra(log_magnitude)
            first, second = (filters.applied(self.excitation(f0_hz) * gains, spectra) for _ in range(2))
            chosen = torch.randperm(len(SIZES), generator=self.generator, device=self.device)[: self.settings.windows]
            stft, plain = energy_distance(real, first, second, [SIZES[i] for i in chosen.tolist()])
            mels = [log_mel(made, self.mel) for made in (first, second)]
            distance = log_distance(mel, *mels) * self._nepers()
            level = log_distance(*(levels(audio) for audio in (real, first, second)))
            loss = self.settings.stft * stft + self.settings.mel * distance + self.settings.level * level
            shape = _shape(gains, self.mel.hop_samples)
            loss = loss + self.settings.even * shape
        mel_l1 = (mels[0] - mel).detach().abs().mean() * self._nepers()
        figures = {"energy": stft.detach(), "stft": plain, "mel_energy": distance.detach(), "mel": mel_l1}
        figures |= {"level": level.detach(), "shape": shape.detach()}
        return self._with_adversary(loss, figures, real, first)

    def _render(self, model, item: dict, seed: int) -> torch.Tensor:
        generator = torch.Generator(self.device).manual_seed(seed)
        f0_hz = item["f0_hz"].to(self.device)
        return model(item["mel"].to(self.device), f0_hz, self.excitation(f0_hz, generator))

    def validate(self, model) -> dict[str, float]:
        """Held-out songs, as they are: L1 of the natural-log mel, STFT loss, and energy distance of spectra."""
        figures = super().validate(model)
        found = []
        for i, item in enumerate(self._valid_items(self.settings.valid_batches)):
            draws = (self._render(model, item, 2 * i + k) for k in range(2))
            found.append(float(energy_distance(item["audio"].to(self.device), *draws)[0]))
        return figures | {"energy": float(np.mean(found))}


def _shape(gains: torch.Tensor, hop: int) -> torch.Tensor:
    """What gains [B, T·hop, 2] do within frames, in nepers squared, and 2000 times what they do in all frames alike.

    An onset lies anywhere in its frame. What is the same in every frame is a modulation at the frame rate: a network
    soon makes the roughness between harmonics of it.
    """
    within = gains.log().unflatten(1, (-1, hop))
    within = within - within.mean(2, keepdim=True)
    return 0.05 * within.square().mean() + 100 * within.mean((0, 1)).square().mean()


def faster(crops: dict, speed: float, frames: int, hop: int) -> dict:
    """Crops of ceil(frames · speed) frames played ``speed`` times as fast: audio [B, frames·hop], f0_hz and voiced.

    Resampled in the frequency domain, as the crop's ends do not matter more than those of any crop.
    """
    audio = torch.as_tensor(crops["audio"]).float()
    f0_hz, voiced = torch.as_tensor(crops["f0_hz"]).float(), torch.as_tensor(crops["voiced"])
    if speed != 1:
        samples = frames * hop
        taken = min(round(samples * speed), audio.shape[1])
        spectrum = torch.fft.rfft(audio[:, :taken])
        audio = torch.fft.irfft(spectrum[:, : samples // 2 + 1], n=samples) * (samples / taken)
        place = ((torch.arange(frames) + 0.5) * speed).long().clamp(max=f0_hz.shape[1] - 1)
        f0_hz, voiced = f0_hz[:, place] * speed, voiced[:, place]
    return {"audio": audio, "f0_hz": f0_hz, "voiced": voiced}


def blurred(mel: torch.Tensor, width: torch.Tensor) -> torch.Tensor:
    """mel [B, T, M] under Gaussians over bins of standard deviations ``width`` [B]; 0 leaves it as it is."""
    place = torch.arange(mel.shape[2], dtype=mel.dtype)
    near = torch.exp(-0.5 * ((place[:, None] - place) / width.clamp(min=1e-3)[:, None, None]).square())
    return mel @ (near / near.sum(1, keepdim=True))
