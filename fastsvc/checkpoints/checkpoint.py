"""The result of every reader."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from torch import Tensor

from fastsvc.config import MelConfig
from fastsvc.errors import CheckpointError

ACOUSTIC_KINDS = ("teacher", "student", "dmo", "rvc", "ddsp")
# in messages, where the kind's own name is not its description
KIND_NAMES = {"rvc": "voice of RVC", "ddsp": "voice of DDSP-SVC"}
MEL_FIELDS = tuple(field.name for field in dataclasses.fields(MelConfig))
Config = TypeVar("Config")


@dataclass(frozen=True)
class Checkpoint(Generic[Config]):
    """A checked checkpoint: ``tensors`` are float32, complete, and have the names of the module of ``config``.

    ``kind`` is teacher, student, dmo (AcousticConfig), rvc (RvcConfig), ddsp (DdspConfig), vocoder (VocoderConfig),
    recogniser (RecogniserConfig), hubert (HubertConfig) or singer (VerifierConfig); ``format`` is the reader's name.
    Speaker i of ``speakers`` has the id ``speaker_base`` + i. ``input_peak`` is the peak to which recordings were
    normalised before training, if they were. ``missing``: files and options that are needed before it can be built.
    ``mel_fields``: the fields of ``config.mel`` that the file, its configuration or its project's code really defines;
    for an acoustic model the vocoder's recipe supplies the others. The logarithm's base is always known. ``weights``:
    the keys in the file under which the tensors were found. ``encoder``: a hash (fastsvc/model/encoder_hash.py), of an
    acoustic model that of the content encoder whose units it was trained on, of a content encoder its own before an
    engine rounded it; None: unknown. ``vocoder``: the one that the same file holds, as RVC's voices do; ``index``: the
    file of training units that was found with it; out of a zip it lasts as long as this path object.
    """

    path: Path
    format: str
    kind: str
    config: Config
    tensors: dict[str, Tensor]
    speakers: tuple[str, ...] = ()
    speaker_base: int = 0
    speaker_f0_hz: tuple[float, ...] = ()
    step: int = 0
    input_peak: float | None = None
    notes: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    mel_fields: tuple[str, ...] = MEL_FIELDS
    weights: str = ""
    encoder: str | None = None
    vocoder: Checkpoint | None = None
    index: Path | None = None

    @property
    def acoustic(self) -> bool:
        return self.kind in ACOUSTIC_KINDS

    @property
    def parameters(self) -> int:
        return sum(t.numel() for t in self.tensors.values())

    def require(self, kinds: Iterable[str], purpose: str) -> Checkpoint[Config]:
        """Returns self if its kind is one of ``kinds``; raises CheckpointError otherwise."""
        if self.missing:
            raise CheckpointError(
                f"{self.path} cannot be built without {'; '.join(self.missing)}",
                "add what is missing: fastsvc inspect names it",
            )
        if self.kind not in kinds:
            raise CheckpointError(
                f"{self.path} holds a {KIND_NAMES.get(self.kind, self.kind)}, but {purpose} is needed",
                f"name a checkpoint of {purpose}",
            )
        return self
