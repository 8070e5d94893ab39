"""Weights to begin with: those of an earlier training of the same kind."""

from __future__ import annotations

from torch import nn

from fastsvc.errors import CheckpointError
from fastsvc.training import checkpoint


def start_from(model: nn.Module, path: str, kind: str) -> int:
    """Copy every tensor of a checkpoint of this kind that fits by name and shape. Returns how many; raises
    CheckpointError if none does."""
    held = checkpoint.load(path, kind)["ema"]
    own = model.state_dict()
    fitting = {name: tensor for name, tensor in held.items() if name in own and own[name].shape == tensor.shape}
    if not fitting:
        raise CheckpointError(f"{path} has no tensor that fits this {kind}", f"use a {kind} of about the same sizes")
    model.load_state_dict(fitting, strict=False)
    return len(fitting)
