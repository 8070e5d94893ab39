"""Rows that belong to singers, in networks and in what optimisers know of them: they follow names, never positions."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from fastsvc.errors import ConfigError


def key(name: str) -> str:
    """What names are compared by: NFC, as one system composes letters and another does not."""
    return unicodedata.normalize("NFC", name)


def places(names: Sequence[str]) -> dict[str, int]:
    """Key of each name → its position. Raises ConfigError for two that are the same."""
    found = {key(name): place for place, name in enumerate(names)}
    if len(found) < len(names):
        twice = sorted({name for name in names if sum(key(other) == key(name) for other in names) > 1})
        raise ConfigError(f"two singers have the same name, {', '.join(twice)}", "prepare the corpus again")
    return found


def joined(first: Iterable[str], more: Iterable[str]) -> list[str]:
    """``first``, and those of ``more`` that are not among them, behind: so that numbers of singers stay."""
    names = list(first)
    known = set(map(key, names))
    return names + [name for name in more if key(name) not in known]


@dataclass(frozen=True)
class Move:
    """From the rows of ``before`` to those of ``now``: names in the order of their rows."""

    before: Sequence[str]
    now: Sequence[str]

    @property
    def unchanged(self) -> bool:
        return list(map(key, self.before)) == list(map(key, self.now))

    def pairs(self) -> tuple[list[int], list[int]]:
        """(row before, row now) of every name on both sides."""
        old, new = places(self.before), places(self.now)
        both = [name for name in new if name in old]
        return [old[name] for name in both], [new[name] for name in both]

    def tensor(self, held: Tensor, fresh: Tensor, blocks: int = 1) -> Tensor:
        """``held`` [blocks · singers before, …] → ``fresh`` [blocks · singers now, …] with the rows of all whom both
        know from ``held``. Raises ValueError where either has other rows."""
        if len(held) != blocks * len(self.before) or len(fresh) != blocks * len(self.now):
            raise ValueError(f"{len(held)} and {len(fresh)} rows of {len(self.before)} and {len(self.now)} singers")
        if held.shape[1:] != fresh.shape[1:]:
            raise ValueError(f"rows of shape {tuple(held.shape[1:])} and {tuple(fresh.shape[1:])}")
        old, new = self.pairs()
        moved = fresh.detach().clone().view(blocks, len(self.now), *fresh.shape[1:])
        held = held.to(moved).view(blocks, len(self.before), *held.shape[1:])
        moved[:, new] = held[:, old]
        return moved.view(fresh.shape)


def moved_state(state: dict, module: nn.Module, rows: dict[str, int], move: Move) -> dict:
    """A state dict of ``module`` for the singers of now; ``rows``: its per-singer tensors, and of how many blocks.

    Without the names of before, and where a table comes in with a second singer, rows begin as in ``module``; but the
    one singer that had none had the sum of nothing: zeros.
    """
    own, result = module.state_dict(), dict(state)
    for name, blocks in rows.items():
        if not move.before:
            result[name] = own[name].clone()
        elif name in own and name not in state and len(move.before) == 1:
            result[name] = move.tensor(torch.zeros_like(own[name][:1]), own[name], blocks)
        elif name in state and not move.unchanged:
            result[name] = move.tensor(state[name], own[name], blocks)
    return result


def moved_optimizer(
    held: dict, before: Sequence[nn.Parameter], now: Sequence[nn.Parameter], rows: dict[int, int], move: Move
) -> dict:
    """An optimiser's state by place of parameter, for the singers of now; new rows have moments of zero.

    ``before``: whose state ``held`` is, in its order; ``now``: all of today's; ``rows``: id of a per-singer parameter →
    its blocks. Raises ValueError where a shape does not fit.
    """
    places, result = {id(p): place for place, p in enumerate(now)}, {}
    for place, parameter in enumerate(before):
        if place not in held:
            continue
        values = dict(held[place])
        if id(parameter) in rows and not move.unchanged:
            values = {name: _moments(value, parameter, rows[id(parameter)], move) for name, value in values.items()}
        for name, value in values.items():
            if isinstance(value, Tensor) and value.ndim and value.shape != parameter.shape:
                raise ValueError(f"{name} has shape {tuple(value.shape)}, its parameter {tuple(parameter.shape)}")
        result[places[id(parameter)]] = values
    return result


def _moments(value, parameter: nn.Parameter, blocks: int, move: Move):
    if not isinstance(value, Tensor) or value.ndim == 0:
        return value  # the count of steps
    fresh = torch.zeros_like(parameter, dtype=value.dtype)
    return move.tensor(value, fresh, blocks) if move.before else fresh


class Kept:
    """Rows of singers without songs: no gradient reaches them, but decay and old moments would, so they are put back
    after each step, exactly."""

    def __init__(self, tensors: Iterable[Tensor], rows: Sequence[int]):
        self.held = []
        for tensor in tensors if rows else ():
            index = torch.tensor(rows, device=tensor.device)
            self.held.append((tensor, index, tensor.detach()[index].clone()))

    @torch.no_grad()
    def put_back(self) -> None:
        for tensor, index, values in self.held:
            tensor[index] = values
