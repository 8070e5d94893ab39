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
from fastsvc.model.stored import ROUNDINGS, Rounding


def encoder_hash(name: str, tensors: Mapping[str, Tensor]) -> str:
    """64 hexadecimal digits. ``name``: of the units; ``tensors``: float32, as they compute."""
    digest = hashlib.sha256(name.encode())
    for key, tensor in sorted(tensors.items()):
        digest.update(key.encode())
        digest.update(tensor.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


@dataclass(frozen=True)
class KnownEncoder:
    """A content encoder's configuration and tensors. ``original``: its hash before an engine that stores weights in
    fewer bits rounded it, where the engine names that."""

    config: Any
    tensors: Mapping[str, Tensor]
    original: str | None = None

    @cached_property
    def exact(self) -> str:
        """The hash of its weights as they are."""
        return self._hash({name: value.float() for name, value in self.tensors.items()})

    @cached_property
    def rounded(self) -> frozenset[str]:
        """The hashes of its weights as engines in fp16 and in eight bits have them."""
        forms = ({name: by(name, value.float()).float() for name, value in self.tensors.items()} for by in ROUNDINGS)
        return frozenset(map(self._hash, forms))

    @property
    def hashes(self) -> frozenset[str]:
        """All hashes that it may go by: as it was trained, as it is, and rounded."""
        return self.rounded | {self.exact} | ({self.original} if self.original else set())

    @property
    def before(self) -> str | None:
        """The hash of the weights as they were trained; None where they were rounded and nothing names it."""
        return self.original or (None if any(map(self._is_rounded, ROUNDINGS)) else self.exact)

    def gave(self, trained: str | None) -> bool | None:
        """Whether this is the encoder of that hash, rounded or not; None where that cannot be known."""
        if trained is None:
            return None
        if trained in (self.original, self.exact) or trained in self.rounded:
            return True
        return None if self.before is None else False

    def _is_rounded(self, by: Rounding) -> bool:
        """Whether a rounding changes no weight, and is one of some weights."""
        some = False
        for name, value in self.tensors.items():
            exact = value.float()
            rounded = by(name, exact)
            if rounded is not exact and not torch.equal(rounded.float(), exact):
                return False
            some = some or rounded is not exact
        return some

    def _hash(self, tensors: Mapping[str, Tensor]) -> str:
        return encoder_hash(named(self.config), tensors)


def named(config: Any) -> str:
    """What the hash begins with: the name of the units, and what changes them without changing a tensor."""
    if isinstance(config, HubertConfig):
        return config.units
    if config.architecture == "conformer":
        return f"recogniser conformer {config.heads} {config.attention_frames}"
    return "recogniser"
