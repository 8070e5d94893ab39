"""Which content encoder it is: a hash of its weights, which corpora, checkpoints and engines carry.

Two encoders of equal width give units that mean different things, and nothing else would notice.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from fastsvc.config import HubertConfig
from fastsvc.model.half import half


def encoder_hash(name: str, tensors: Mapping[str, Tensor]) -> str:
    """64 hexadecimal digits. ``name``: of the units; ``tensors``: float32, as they compute."""
    digest = hashlib.sha256(name.encode())
    for key, tensor in sorted(tensors.items()):
        digest.update(key.encode())
        digest.update(tensor.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


@dataclass(frozen=True)
class KnownEncoder:
    """A content encoder's configuration and tensors. ``original``: its hash before an engine in fp16 rounded it, where
    the engine names that."""

    config: Any
    tensors: Mapping[str, Tensor]
    original: str | None = None

    @cached_property
    def exact(self) -> str:
        """The hash of its weights as they are."""
        return self._hash({name: value.float() for name, value in self.tensors.items()})

    @cached_property
    def rounded(self) -> str:
        """The hash of its weights as an engine in fp16 has them."""
        return self._hash({name: half(name, value).float() for name, value in self.tensors.items()})

    @property
    def before(self) -> str | None:
        """The hash of the weights as they were trained; None where they were rounded and nothing names it."""
        as_stored = all(torch.equal(half(name, value).float(), value.float()) for name, value in self.tensors.items())
        return self.original or (None if as_stored else self.exact)

    def gave(self, trained: str | None) -> bool | None:
        """Whether this is the encoder of that hash, rounded or not; None where that cannot be known."""
        if trained is None:
            return None
        if trained in (self.original, self.exact) or trained == self.rounded:
            return True
        return None if self.before is None else False

    def _hash(self, tensors: Mapping[str, Tensor]) -> str:
        return encoder_hash(self.config.units if isinstance(self.config, HubertConfig) else "recogniser", tensors)
