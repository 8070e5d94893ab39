"""What every reader returns, and the choice of the reader by the keys found in the file."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from fastsvc import arguments
from fastsvc.checkpoints.files import speaker_table
from fastsvc.checkpoints.files.folder import checkpoint_in
from fastsvc.checkpoints.given import Given
from fastsvc.config import MelConfig
from fastsvc.errors import CheckpointError
from fastsvc.reading.loading import load

ACOUSTIC_KINDS = ("teacher", "student", "dmo")
MEL_FIELDS = tuple(field.name for field in dataclasses.fields(MelConfig))


@dataclass(frozen=True)
class Checkpoint:
    """A checked checkpoint: ``tensors`` are float32, complete, and named as the module of ``config`` names them.

    ``kind`` is teacher, student, dmo (AcousticConfig), vocoder (VocoderConfig), recogniser (RecogniserConfig),
    hubert (HubertConfig) or singer (VerifierConfig); ``format`` is the reader's name. Speaker i of ``speakers`` is
    addressed by the id ``speaker_base`` + i. ``input_peak`` is the peak that recordings were normalised to before
    training, if they were. ``missing``: what has to be given beside the file before it can be built. ``mel_stated``
    names the fields of ``config.mel`` that the file, its configuration or its project's code really state; of an
    acoustic model the vocoder's recipe fills in the others. The logarithm's base is always known. ``weights``: the
    place in the file that the tensors were taken from.
    """

    path: Path
    format: str
    kind: str
    config: object
    tensors: dict[str, Tensor]
    speakers: tuple[str, ...] = ()
    speaker_base: int = 0
    speaker_f0_hz: tuple[float, ...] = ()
    step: int = 0
    input_peak: float | None = None
    notes: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    mel_stated: tuple[str, ...] = MEL_FIELDS
    weights: str = ""

    @property
    def acoustic(self) -> bool:
        return self.kind in ACOUSTIC_KINDS

    @property
    def parameters(self) -> int:
        return sum(t.numel() for t in self.tensors.values())

    def require(self, kinds: Iterable[str], purpose: str) -> Checkpoint:
        """self, if its kind is among ``kinds``; otherwise CheckpointError."""
        if self.missing:
            raise CheckpointError(f"{self.path} cannot be built without {'; '.join(self.missing)}", "give it")
        if self.kind not in kinds:
            raise CheckpointError(
                f"{self.path} holds a {self.kind}, but {purpose} is needed", "give another checkpoint"
            )
        return self


def read(path, config=None, era=None, speaker_vectors=None, look=False) -> Checkpoint:
    """Read a checkpoint of any known format, recognised by its keys; a folder stands for the one checkpoint in it.

    ``config`` is a YAML or JSON file for formats that keep their configuration outside; without it `config.yaml`
    (`config.json`, `args.json`) beside the checkpoint is taken. ``era``, ``speaker_vectors`` and ``look``: see
    :class:`fastsvc.checkpoints.given.Given`.
    Raises CheckpointError naming every missing or unexpected key and every wrong shape.
    """
    from fastsvc.checkpoints import foreign
    from fastsvc.checkpoints.files.undress import undress
    from fastsvc.checkpoints.readers import (
        amphion,
        amphion_vocoder,
        comosvc,
        diffusion_svc,
        fairseq,
        huggingface,
        m4gan,
        native,
        nsf_hifigan,
    )

    path = checkpoint_in(arguments.path("path", path))
    given = Given.of(config=config, era=era, speaker_vectors=speaker_vectors, look=look)
    found = undress(load(path), path, given)
    content, given = found.content, found.given
    acoustic, vocoders = (native, comosvc, diffusion_svc, amphion), (m4gan, nsf_hifigan, amphion_vocoder)
    for reader in (*acoustic, *vocoders, fairseq, huggingface):
        if reader.recognises(content):
            checkpoint = reader.read(content, path, given)
            speaker_table.check(checkpoint.speakers, path, checkpoint.speaker_base)
            _refuse_vain(given, getattr(reader, "TAKES", ()), path)
            notes = (*checkpoint.notes, *found.notes, *given.said)
            return dataclasses.replace(checkpoint, weights=found.weights, notes=notes)
    raise foreign.refusal(content, path)


def _refuse_vain(given: Given, taken: tuple[str, ...], path: Path) -> None:
    """An option that the file's format does not know is a mistake about the file."""
    for name in ("era", "speaker_vectors"):
        if getattr(given, name) not in (None, "auto") and name not in taken:
            raise CheckpointError(f"--{name.replace('_', '-')} means nothing for {path}", "leave it away")
