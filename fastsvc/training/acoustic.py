"""Shared parts of acoustic trainings: crops of a corpus, light augmentation, a denoiser and its condition."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from fastsvc.audio.mel import log_mel
from fastsvc.config import to_dict
from fastsvc.config.limits import SHARE
from fastsvc.config.plain import within
from fastsvc.data.corpus import Corpus
from fastsvc.errors import ConfigError
from fastsvc.model import process
from fastsvc.model.acoustic import AcousticModel
from fastsvc.model.keys import fit
from fastsvc.model.vocoder import Generator
from fastsvc.training import checkpoint, diffusion, listen, rows, start, wavenet_train
from fastsvc.training.process import EdmProcess, Process
from fastsvc.training.task import Sample, Task

TABLE = "condition.spk_embed.weight"  # a row for each singer; missing in models of one singer
FRAME_KEYS = ("units", "f0_hz", "volume", "voiced", "mask")


@dataclass(frozen=True)
class AugmentSettings:
    """Light augmentation of the features, to make the model robust to the units of unseen voices."""

    unit_noise: float = 0.1  # Gaussian, times the units' standard deviation
    unit_dropout: float = 0.02  # share of the frames whose units are replaced by the frame before
    gain_db: float = 6.0  # the recording becomes up to this much louder or softer

    def __post_init__(self):
        within("task.augment", self, unit_noise=(0, 100), unit_dropout=SHARE, gain_db=(0, 120))


class AcousticTask(Task):
    """Base of the tasks of teacher and student: crops of the corpus → conditions and normalised mel."""

    augment: AugmentSettings
    model: AcousticModel
    vocoder: Generator | None = None  # to hear the samples
    speaker_table = TABLE  # the parameter with a row for each singer

    def batch(self, rng: np.random.Generator) -> dict:
        return self.augmented(self.crops("train", rng, self.batch_size, self.batch_frames), rng)

    def crops(
        self, split: str, rng: np.random.Generator, size: int, frames: int, labels: bool = False, audio: bool = False
    ) -> dict[str, Tensor]:
        """mel [B, T, M] and the features of ``size`` crops, CPU tensors.

        ``labels``: also labels [B, T] in a recogniser's numbers (0 the blank, −1 unknown). ``audio``: also audio
        [B, T·hop].
        """
        crop, raw, inside = self.cropped(self.corpus, split, rng, size, frames)
        if labels:
            phones = raw["phone_labels"][:, inside].long()
            crop["labels"] = torch.where(phones >= 0, phones + 1, phones)
        if audio:
            crop["audio"] = self.sound(raw, inside)
        return crop | {"singer": self.table[raw["singer"]]}

    def sound(self, raw: dict, inside: slice) -> Tensor:
        """The audio of these frames of crops: [B, T·hop]."""
        hop = self.corpus.mel.hop_samples
        return raw["audio"][:, inside.start * hop : inside.stop * hop]

    @staticmethod
    def cropped(
        corpus: Corpus, split: str, rng: np.random.Generator, size: int, frames: int
    ) -> tuple[dict[str, Tensor], dict[str, Tensor], slice]:
        """(mel and features of crops of any corpus, what the corpus gave, which of its frames they are)."""
        config = corpus.mel
        # The crop is drawn longer; edge frames are dropped, because their windows reach beyond its audio.
        edge = -(-(config.fft_samples - config.hop_samples) // (2 * config.hop_samples))
        inside = slice(edge, edge + frames)
        raw = corpus.batch(rng, split, size, frames + 2 * edge)
        crop = {name: raw[name][:, inside].float() for name in FRAME_KEYS}
        crop["valid"] = crop.pop("mask")
        return crop | {"mel": log_mel(raw["audio"], config)[:, inside]}, raw, inside

    def augmented(self, crop: dict, rng: np.random.Generator) -> dict:
        settings = self.augment
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        size, frames = crop["valid"].shape
        units = crop["units"]
        if settings.unit_dropout:
            repeat = torch.rand(size, frames, 1, generator=generator) < settings.unit_dropout
            units = torch.where(repeat, torch.roll(units, 1, dims=1), units)
        if settings.unit_noise:
            units = units + settings.unit_noise * units.std() * torch.randn(units.shape, generator=generator)
        decibel = settings.gain_db * (2 * torch.rand(size, 1, generator=generator) - 1)
        return crop | {"units": units} | gained(crop, decibel, self.corpus.mel)

    def condition(self, model: AcousticModel, batch: dict, speaker: Tensor | None = None) -> Tensor:
        """[B, T, H], in float32: bf16 would round f0 by up to 9 cents."""
        speaker = batch["singer"] if speaker is None else speaker
        with torch.autocast(self.device.type, enabled=False):
            return model.condition(batch["units"], batch["f0_hz"], batch["volume"], speaker, voiced=batch.get("voiced"))

    def no_singer(self, batch: dict) -> Tensor:
        """Speaker weights without any singer: zeros [B, S]."""
        return torch.zeros(len(batch["mel"]), len(self.speakers), device=self.device)

    def denoiser(
        self, model: AcousticModel, cond: Tensor, valid: Tensor, net: nn.Module | None = None
    ) -> diffusion.Denoise:
        """D(x, σ) for a condition and a mask, float32 in and out; ``net``: a WaveNet in place of the model's."""
        net = model.denoiser if net is None else net
        if self.device.type == "cpu":
            net = functools.partial(wavenet_train.forward, net)
        return lambda x, sigma: process.denoise(net, model.config, x, sigma, cond, valid).float()

    def guided(self, model: AcousticModel, batch: dict, weight: float, cond: Tensor | None = None) -> diffusion.Denoise:
        """A teacher's D with guidance towards the batch's singers; ``cond``: its condition, if already computed."""
        cond = self.condition(model, batch) if cond is None else cond
        towards_singer = self.denoiser(model, cond, batch["valid"])
        if weight == 1 or len(self.speakers) == 1:
            return towards_singer
        without_singer = self.condition(model, batch, self.no_singer(batch))
        return diffusion.guided(towards_singer, self.denoiser(model, without_singer, batch["valid"]), weight)

    def read_acoustic(self, path: str, kinds: tuple[str, ...]) -> dict:
        """The content of a checkpoint of one of ``kinds``. Raises CheckpointError for others."""
        return checkpoint.load(path, kinds)

    def process_of(self, model: AcousticModel) -> Process:
        """What the few-step objectives ask of the model's family."""
        return EdmProcess(model.config)

    def load_acoustic(self, content: dict, path: str) -> AcousticModel:
        """The EMA model of a checkpoint, frozen, with its rows in the order of :attr:`speakers`.

        Raises ConfigError where the checkpoint does not belong to this corpus.
        """
        config, names = start.diffusion_of(content, path), content["speakers"]
        if set(map(rows.key, names)) != set(map(rows.key, self.speakers)):
            raise self._other_singers(path, names, self.speakers)
        if to_dict(config.mel) != to_dict(self.corpus.mel):
            raise ConfigError(f"{path} was trained on another mel than the corpus has")
        if start.other_units(content, config, path, self.corpus):
            raise ConfigError(
                f"{path} was trained on units of another encoder than the corpus has",
                f"prepare the corpus with that encoder, or train the {content['kind']} on this corpus",
            )
        model = AcousticModel(config)
        state = fit(content["ema"], lambda: AcousticModel(config), Path(path))
        tables = {TABLE: 1} if TABLE in state else {}
        model.load_state_dict(rows.moved_state(state, model, tables, rows.Move(names, self.speakers)))
        return model.requires_grad_(False).eval().to(self.device)

    def _other_singers(self, path: str, names: Sequence[str], names_here: Sequence[str]) -> ConfigError:
        return ConfigError(
            f"{path} has the singers {', '.join(names)}, the {self.kind} trains {', '.join(names_here)}",
            f"train the {self.kind} on the corpus of its teacher, or continue that training on this corpus first",
        )

    def choose_speakers(self, teacher: dict | None = None, path: str = "", base: dict | None = None) -> None:
        """Set ``speakers``, their median f0 and the table from the training items.

        Singers of the resumed run, of ``teacher`` (the content of the checkpoint ``path``) and of ``base``, which need
        not know all singers, keep their rows; new singers are appended. Singers without songs here keep their rows
        unchanged.
        """
        corpus, resume_point = self.corpus, self.resume_point
        if not corpus.encoder:
            raise ConfigError(f"the corpus {corpus.path} has no units", "prepare it with a content encoder")
        ids = sorted({item.singer for item in corpus.items if item.split == "train"})
        if not ids:
            raise ConfigError(f"the corpus {corpus.path} has no item to train on", "prepare more songs")
        present = [corpus.singers[i] for i in ids]
        previous_singers = resume_point.singers if resume_point else []
        first = teacher or base
        self.speakers = rows.joined(rows.joined(previous_singers, first["speakers"] if first else []), present)
        row_of = rows.positions(self.speakers)
        if teacher and len(rows.positions(teacher["speakers"])) != len(row_of):
            raise self._other_singers(path, teacher["speakers"], self.speakers)
        self.singer_ids: list[int | None] = [None] * len(row_of)  # by row: the corpus's number; None: no songs
        # Singers without a training song get an index beyond the end of the table.
        self.table = torch.full((len(corpus.singers),), len(row_of))
        for singer_id, name in zip(ids, present):
            row = row_of[rows.key(name)]
            self.table[singer_id], self.singer_ids[row] = row, singer_id
        self.rows_without_songs = [row for row, singer_id in enumerate(self.singer_ids) if singer_id is None]
        self._fill_f0(first, present)
        known = set(map(rows.key, base["speakers"])) if base else set()
        missing = [self.speakers[i] for i in self.rows_without_songs if rows.key(self.speakers[i]) not in known]
        if missing:
            names = ", ".join(missing)
            self.notes.append(f"singers without songs in {corpus.path}: {names}: their rows stay unchanged")
        if len(row_of) > 1:
            self.singer_rows["model"] = {self.speaker_table: 1}

    def _fill_f0(self, teacher: dict | None, present: Sequence[str]) -> None:
        """Median f0 by row: the corpus's, else the checkpoints'."""
        f0_hz = dict(zip(teacher["speakers"], teacher.get("speaker_f0_hz") or [])) if teacher else {}
        f0_hz |= self.resume_point.singer_f0_hz if self.resume_point else {}
        f0_hz |= {name: value for name in present if (value := self.corpus.singer_f0_hz[name]) > 0}
        by_key = {rows.key(name): float(value) for name, value in f0_hz.items()}
        self.speaker_f0_hz = [by_key.get(rows.key(name), 0.0) for name in self.speakers]

    def of_corpus(self) -> dict:
        return super().of_corpus() | {"encoder": self.corpus.encoder["hash"]}

    def validation_batch(self, crops: int, frames: int) -> dict:
        """The same held-out crops each time."""
        batch = self.crops("valid", np.random.default_rng([self.seed, 1]), crops, frames)
        return {name: value.to(self.device) for name, value in batch.items()}

    def sampled(self, model: AcousticModel, steps: int, method: str, batch: dict | None = None) -> Tensor:
        """Log-mel of the validation crops, or of ``batch``, always from the same noise."""
        batch = self.valid if batch is None else batch
        return model.sample(self.condition(model, batch), steps, diffusion.fixed_noise(batch["mel"], self.seed), method)

    def mel_error(self, model: AcousticModel, steps: int, method: str) -> float:
        return diffusion.mel_l1(self.sampled(model, steps, method), self.valid["mel"], self.valid["valid"])

    def audible(self, mels: dict[str, Tensor], model: AcousticModel, steps: int, method: str) -> dict[str, Sample]:
        """The first mels [B, T, M] of each name as pictures and, with a vocoder, as sound; besides, where there are
        several singers, "converted": the validation crops in the next singer's voice."""
        crops = dict.fromkeys(mels, self.valid)
        converted = listen.in_the_next_voice(self.valid, self.singer_ids, self.speaker_f0_hz)
        if converted is not None:
            crops["converted"] = converted
            mels = mels | {"converted": self.sampled(model, steps, method, converted)}
        return listen.samples(self.vocoder, mels, crops, self.corpus.mel.rate_hz, self.seed)

    def config_for_checkpoint(self) -> dict:
        return to_dict(self.model.config)


def gained(crop: dict, decibel: Tensor, mel) -> dict:
    """Mel and volume of the recording at a gain of ``decibel`` [B, 1]: exact but for the floor of the mel."""
    factor = 10 ** (decibel / 20)
    log = torch.log10 if mel.log_base == "10" else torch.log
    floor = float(log(torch.tensor(mel.clip)))
    louder = (crop["mel"] + log(factor)[..., None]).clamp(min=floor)
    return {"mel": torch.where(crop["mel"] <= floor, crop["mel"], louder), "volume": crop["volume"] * factor}
