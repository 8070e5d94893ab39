"""What every reader returns, and the choice of the reader by the keys found in the file."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from fastsvc.checkpoints.loading import load
from fastsvc.errors import CheckpointError

ACOUSTIC_KINDS = ("teacher", "student", "dmo")


@dataclass(frozen=True)
class Checkpoint:
    """A checked checkpoint: ``tensors`` are float32, complete, and named as the module of ``config`` names them.

    ``kind`` is teacher, student, dmo (AcousticConfig), vocoder (VocoderConfig), recogniser (RecogniserConfig),
    hubert (HubertConfig) or singer (VerifierConfig); ``format`` is the reader's name. Speaker i of ``speakers`` is
    addressed by the id ``speaker_base`` + i. ``input_peak`` is the peak that recordings were normalised to before
    training, if they were.
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

    @property
    def acoustic(self) -> bool:
        return self.kind in ACOUSTIC_KINDS

    @property
    def parameters(self) -> int:
        return sum(t.numel() for t in self.tensors.values())

    def require(self, kinds: Iterable[str], purpose: str) -> Checkpoint:
        """self, if its kind is among ``kinds``; otherwise CheckpointError."""
        if self.kind not in kinds:
            raise CheckpointError(
                f"{self.path} holds a {self.kind}, but {purpose} is needed", "give another checkpoint"
            )
        return self


def read(path, config=None) -> Checkpoint:
    """Read a checkpoint of any known format, recognised by its keys.

    ``config`` is a YAML file for formats that keep their configuration outside; without it `config.yaml` beside the
    checkpoint is taken. Raises CheckpointError naming every missing or unexpected key and every wrong shape.
    """
    from fastsvc.checkpoints import comosvc, fairseq, huggingface, m4gan, native

    path = huggingface.weights(Path(path))
    content = load(path)
    for reader in (native, comosvc, m4gan, fairseq, huggingface):
        if reader.recognises(content):
            return reader.read(content, path, None if config is None else Path(config))
    keys = ", ".join(sorted(map(str, content))[:8])
    raise CheckpointError(
        f"{path} is of no known format (its keys: {keys})",
        "known are checkpoints of fastsvc, CoMoSVC (model, denoise_fn) and M4Singer's HiFi-GAN (state_dict.model_gen),"
        " HuBERT and ContentVec (of fairseq or transformers)",
    )
