"""Rows that belong to singers, in networks and in optimiser states: they follow names, never positions."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from fastsvc.errors import ConfigError


def key(name: str) -> str:
    """The composed form (NFC) for comparing names: one system composes letters and another does not."""
    return unicodedata.normalize("NFC", name)


def positions(names: Sequence[str]) -> dict[str, int]:
    """Key of each name → its position. Raises ConfigError for two names with the same key."""
    by_key = {key(name): position for position, name in enumerate(names)}
    if len(by_key) < len(names):
        twice = sorted({name for name in names if sum(key(other) == key(name) for other in names) > 1})
        raise ConfigError(f"two singers have the same name, {', '.join(twice)}", "prepare the corpus again")
    return by_key


def joined(first: Iterable[str], more: Iterable[str]) -> list[str]:
    """``first`` and after them the new names of ``more``, so that existing rows keep their positions."""
    names = list(first)
    keys = set(map(key, names))
    return names + [name for name in more if key(name) not in keys]


@dataclass(frozen=True)
class Move:
    """A move of rows: the names ``before`` and ``now``, each in the order of their rows."""

    before: Sequence[str]
    now: Sequence[str]

    @property
    def unchanged(self) -> bool:
        return list(map(key, self.before)) == list(map(key, self.now))

    def pairs(self) -> tuple[list[int], list[int]]:
        """(rows before, rows now) of the names on both sides."""
        old, new = positions(self.before), positions(self.now)
        common = [name for name in new if name in old]
        return [old[name] for name in common], [new[name] for name in common]

    def tensor(self, stored: Tensor, fresh: Tensor, blocks: int = 1) -> Tensor:
        """``stored`` [blocks · singers before, …] → ``fresh`` [blocks · singers now, …], with the rows of the common
        singers from ``stored``. Raises ValueError where either has another number of rows."""
        if len(stored) != blocks * len(self.before) or len(fresh) != blocks * len(self.now):
            raise ValueError(f"{len(stored)} and {len(fresh)} rows of {len(self.before)} and {len(self.now)} singers")
        if stored.shape[1:] != fresh.shape[1:]:
            raise ValueError(f"rows of shape {tuple(stored.shape[1:])} and {tuple(fresh.shape[1:])}")
        old, new = self.pairs()
        moved = fresh.detach().clone().view(blocks, len(self.now), *fresh.shape[1:])
        stored = stored.to(moved).view(blocks, len(self.before), *stored.shape[1:])
        moved[:, new] = stored[:, old]
        return moved.view(fresh.shape)


def moved_state(state: dict, module: nn.Module, rows: dict[str, int], move: Move) -> dict:
    """A state dict of ``module`` for today's singers; ``rows``: its per-singer tensors with their number of blocks.

    Without stored names all rows begin as in ``module``. A model of one singer has no table; when a second singer
    brings one, the first singer's row is zeros, which is what the model added so far.
    """
    module_state, result = module.state_dict(), dict(state)
    for name, blocks in rows.items():
        if not move.before:
            result[name] = module_state[name].clone()
        elif name in module_state and name not in state and len(move.before) == 1:
            result[name] = move.tensor(torch.zeros_like(module_state[name][:1]), module_state[name], blocks)
        elif name in state and not move.unchanged:
            result[name] = move.tensor(state[name], module_state[name], blocks)
    return result


def moved_optimizer(
    stored: dict,
    old_parameters: Sequence[nn.Parameter],
    new_parameters: Sequence[nn.Parameter],
    rows: dict[int, int],
    move: Move,
) -> dict:
    """An optimiser's state by position of parameter, for today's singers; new rows have moments of zero.

    ``old_parameters``: those of ``stored``, in its order; ``new_parameters``: all of today's; ``rows``: id of a
    per-singer parameter → its blocks. Raises ValueError where a shape does not fit.
    """
    positions, result = {id(p): position for position, p in enumerate(new_parameters)}, {}
    for position, parameter in enumerate(old_parameters):
        if position not in stored:
            continue
        values = dict(stored[position])
        if id(parameter) in rows and not move.unchanged:
            values = {name: _moments(value, parameter, rows[id(parameter)], move) for name, value in values.items()}
        for name, value in values.items():
            if isinstance(value, Tensor) and value.ndim and value.shape != parameter.shape:
                raise ValueError(f"{name} has shape {tuple(value.shape)}, its parameter {tuple(parameter.shape)}")
        result[positions[id(parameter)]] = values
    return result


def _moments(value, parameter: nn.Parameter, blocks: int, move: Move):
    if not isinstance(value, Tensor) or value.ndim == 0:
        return value  # the count of steps
    fresh = torch.zeros_like(parameter, dtype=value.dtype)
    return move.tensor(value, fresh, blocks) if move.before else fresh


class FrozenRows:
    """Rows of singers without songs. They get no gradient, but decay and old moments would change them: they are put
    back after each step, exactly."""

    def __init__(self, tensors: Iterable[Tensor], rows: Sequence[int]):
        self.rows = []
        for tensor in tensors if rows else ():
            index = torch.tensor(rows, device=tensor.device)
            self.rows.append((tensor, index, tensor.detach()[index].clone()))

    @torch.no_grad()
    def put_back(self) -> None:
        for tensor, index, values in self.rows:
            tensor[index] = values
