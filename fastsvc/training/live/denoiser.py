"""A student with a short future, by regression: from the same noise it learns the mel of one that sees all of it.

The teacher has the corpus's units, those of a content encoder that sees both directions; the student has those of a
live encoder, from the same recordings. Where nothing is voiced the student gets the last pitch, as a stream does, and
the teacher the one between. Half of each batch are conversions: the teacher has an answer for any singer.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from fastsvc.audio.mel import log_mel
from fastsvc.config import from_dict
from fastsvc.config.limits import CROPS, FRAMES, FUTURE_FRAMES, SHARE
from fastsvc.config.plain import within
from fastsvc.data.units import encoder_hash
from fastsvc.errors import ConfigError
from fastsvc.features import align
from fastsvc.features.content import RecogniserEncoder
from fastsvc.features.f0 import hold
from fastsvc.model import schedule
from fastsvc.model.acoustic import AcousticModel
from fastsvc.training import checkpoint, diffusion, encoders, listen
from fastsvc.training.acoustic import AcousticTask
from fastsvc.training.conversion import converted
from fastsvc.training.diffusion import wide
from fastsvc.training.live import taps
from fastsvc.training.task import Sample, Turn

CONTEXT = 48  # frames before a crop that the live encoder hears
LOWER_STEPS = (2, 4)  # whose levels below the first are learned as well


@dataclass(frozen=True)
class LiveStudentSettings:
    """The YAML's ``task`` part."""

    teacher: str  # path of a student's checkpoint
    content: str  # path of the live encoder's
    future_frames: int = 2  # that a frame of the mel may depend on, beyond its own
    f0_future_frames: int = 1  # of which YIN's path decides about a frame
    conversion: float = 0.5  # share of the items that are conversions
    lower: float = 0.2  # share of the steps that learn a level below the first
    gain_db: float = 6.0  # by up to this much the recording becomes louder or softer
    vocoder: str = ""  # a checkpoint, to hear the samples; without, they are pictures
    valid_crops: int = 8
    valid_frames: int = 192

    def __post_init__(self):
        within("task", self, future_frames=FUTURE_FRAMES, f0_future_frames=FUTURE_FRAMES, conversion=SHARE)
        within("task", self, lower=SHARE, gain_db=(0, 120), valid_crops=CROPS, valid_frames=FRAMES)


class LiveStudentTask(AcousticTask):
    kind = "student"
    best = ("to_teacher", "min")
    settings_class = LiveStudentSettings

    def __init__(self, config: dict, corpus, device, **loop):
        super().__init__(config, corpus, device, **loop)
        self.settings = settings = from_dict(LiveStudentSettings, config, "task")
        content = checkpoint.load(settings.teacher, ("student", "dmo"))
        self.choose_speakers(content, settings.teacher)
        self.teacher = self.load_acoustic(content, settings.teacher)
        whole = self.teacher.config
        self.encoder = self._encoder(whole.features.unit_channels)
        net = replace(whole.denoiser, future_frames=settings.future_frames)
        features = replace(whole.features, f0_future_frames=settings.f0_future_frames, unit_align="hops")
        self.model = started(self.teacher, replace(whole, denoiser=net, features=features)).to(self.device)
        self.agree(self.model.config, settings)
        self.medians = torch.tensor(self.speaker_f0_hz)
        self.lower = sorted({s for n in LOWER_STEPS for s in schedule.levels(whole, "consistency", n)[1:]})
        rng = np.random.default_rng([self.seed, 1])
        valid = self._prepared(self._drawn("valid", rng, settings.valid_crops, settings.valid_frames))
        self.valid = {name: value.to(self.device) for name, value in valid.items()}
        self.reference = self.sampled(self.teacher, 1, "consistency")
        self.vocoder = listen.vocoder_of(settings.vocoder, corpus.mel, self.device)

    def _encoder(self, channels: int) -> RecogniserEncoder:
        """The live encoder. Raises ConfigError for one that certainly learned other units than the teacher's."""
        path, wanted = self.settings.content, self.corpus.encoder["hash"]
        config, tensors, content = encoders.read(path)
        train = content["config"].get("train")
        learned = train.get("units_of") if isinstance(train, dict) else None
        other = isinstance(learned, list) and wanted not in learned
        encoder = RecogniserEncoder(config, tensors)
        if other or encoder.channels != channels:
            raise ConfigError(
                f"{path} did not learn the units of {self.corpus.path}, on which {self.settings.teacher} was trained",
                "train a live encoder with the corpus's content encoder as its task.teacher",
            )
        return encoder

    def of_corpus(self) -> dict:
        """The encoder that a checkpoint names is the live one."""
        return super().of_corpus() | {"encoder": encoder_hash(self.encoder)}

    def batch(self, rng: np.random.Generator) -> dict:
        crop = self._drawn("train", rng, self.batch_size, self.batch_frames)
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        louder = self.settings.gain_db * (2 * torch.rand(len(crop["volume"]), 1, generator=generator) - 1)
        crop["volume"] = crop["volume"] * 10 ** (louder / 20)
        return self._prepared(converted(crop, self.settings.conversion, self.medians, generator))

    def _drawn(self, split: str, rng: np.random.Generator, size: int, frames: int) -> dict[str, Tensor]:
        """Crops with CONTEXT frames before them."""
        return self.crops(split, rng, size, CONTEXT + frames, audio=True)

    @torch.no_grad()
    def _prepared(self, crop: dict[str, Tensor]) -> dict[str, Tensor]:
        """The crops proper, and what differs for the student: ``live_units`` and ``held_hz``."""
        audio = crop.pop("audio").float()
        crop["live_units"] = live_units(self.encoder, audio, self.corpus.mel, crop["units"].shape[1])
        rows = zip(crop["f0_hz"], crop["voiced"] > 0)
        crop["held_hz"] = torch.stack([hold.held(f0_hz, voiced) for f0_hz, voiced in rows])
        return {name: value if value.dim() == 1 else value[:, CONTEXT:].contiguous() for name, value in crop.items()}

    def condition(self, model: AcousticModel, batch: dict, speaker: Tensor | None = None) -> Tensor:
        """[B, T, H]: the teacher's of its own features, the student's of those of a stream."""
        if model is not self.teacher:
            batch = batch | {"units": batch["live_units"], "f0_hz": batch["held_hz"]}
        return super().condition(model, batch, speaker)

    def turns(self, step: int) -> list[Turn]:
        return [Turn("student", self.model, self._loss)]

    def _loss(self, batch: dict, step: int) -> tuple[Tensor, dict]:
        valid, highest = batch["valid"], self.model.config.edm.sigma_max
        sigma = torch.full((len(valid),), highest, device=self.device)
        x = highest * self.noise(batch["mel"])
        with torch.no_grad():
            teacher = self.denoiser(self.teacher, self.condition(self.teacher, batch), valid)
            wanted = teacher(x, sigma)
            if self.lower and float(torch.rand(1, generator=self.generator, device=self.device)) < self.settings.lower:
                place = torch.randint(len(self.lower), (len(x),), generator=self.generator, device=self.device)
                sigma = torch.tensor(self.lower, device=self.device)[place]
                x = wanted + wide(sigma) * self.noise(x)
                wanted = teacher(x, sigma)
        student = self.denoiser(self.model, self.condition(self.model, batch), valid)
        return diffusion.batch_mean((student(x, sigma) - wanted).abs(), valid), {}

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Mel L1 of one step against the teacher's from equal noise, and of both against the truth."""
        truth, inside = self.valid["mel"], self.valid["valid"]
        mel = self.sampled(model, 1, "consistency")
        return {
            "to_teacher": diffusion.mel_l1(mel, self.reference, inside),
            "mel_l1": diffusion.mel_l1(mel, truth, inside),
            "teacher_mel_l1": diffusion.mel_l1(self.reference, truth, inside),
        }

    def samples(self, model: nn.Module) -> dict[str, Sample]:
        mels = {"live": self.sampled(model, 1, "consistency"), "teacher": self.reference, "true": self.valid["mel"]}
        return self.audible(mels, model, 1, "consistency")


def live_units(encoder: RecogniserEncoder, audio: Tensor, mel, frames: int) -> Tensor:
    """audio [B, S] at the mel's rate → the unit of each frame [B, frames, D]; ends are as the batch's ends, cut off."""
    rate_hz, config = encoder.rate_hz, encoder.config.mel
    samples = audio.shape[1] * rate_hz // mel.rate_hz
    spectrum = torch.fft.rfft(audio)[:, : samples // 2 + 1]
    units, _ = encoder.model(log_mel(torch.fft.irfft(spectrum, n=samples) * (samples / audio.shape[1]), config))
    ratio = (mel.hop_samples / mel.rate_hz) / (encoder.hop_samples / rate_hz)
    places = align.by_hops(torch.arange(frames), ratio, "hops").clamp(max=units.shape[1] - 1)
    return units[:, places]


@torch.no_grad()
def started(teacher: AcousticModel, config) -> AcousticModel:
    """An acoustic model of ``config`` with the teacher's weights, its taps moved."""
    model = AcousticModel(config)
    state = copy.deepcopy(teacher.state_dict())
    for i, (dilation, reach) in enumerate(zip(config.denoiser.dilations, config.denoiser.reaches)):
        name = f"denoiser.residual_layers.{i}.dilated_conv.weight"
        state[name] = taps.moved(state[name], dilation, reach.ahead)
    model.load_state_dict(state)
    return model
