"""The judges: a recogniser and a singer verifier that took no part in training the voices they judge.

A student can please the network that it was trained with and no other network. So evaluation alone loads these twins,
of another seed and architecture (``gru`` and ``conv2d``), and refuses the engine's own content encoder.
"""

from __future__ import annotations

from torch import nn

from fastsvc.artifact.engine_folder import sha256
from fastsvc.checkpoints import read
from fastsvc.errors import CheckpointError
from fastsvc.model.recogniser import Recogniser
from fastsvc.model.verifier import Verifier


def recogniser(path, engine=None) -> Recogniser:
    """The frozen recogniser of a checkpoint. Raises CheckpointError, also for the engine's own encoder."""
    checkpoint = read(path).require(("recogniser",), "a recogniser for evaluation")
    content = engine.manifest.content if engine is not None else None
    if content is not None and content.source.sha256 == sha256(checkpoint.path):
        raise CheckpointError(
            f"{path} is the content encoder of this engine, so it cannot judge it",
            "use a recogniser that was trained with another seed and architecture",
        )
    return _ready(Recogniser(checkpoint.config), checkpoint)


def verifier(path) -> Verifier:
    """The frozen singer verifier of a checkpoint. Raises CheckpointError."""
    checkpoint = read(path).require(("singer",), "a singer verifier for evaluation")
    return _ready(Verifier(checkpoint.config), checkpoint)


def _ready(model: nn.Module, checkpoint) -> nn.Module:
    model.load_state_dict(checkpoint.tensors)
    return model.eval().requires_grad_(False)
