"""The table of speakers as projects keep it, name → id, turned into names by id; what says two things is refused."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from fastsvc import spelling
from fastsvc.config.shown import shown
from fastsvc.errors import CheckpointError

NAME = 1000  # characters of a speaker's name, as in an engine's manifest
CORRECT = "correct the table"


def names_by_id(table: Mapping, count: int, base: int, where: str) -> tuple[str, ...]:
    """Names by id, counted from ``base``; ids without a name get "speaker ID". ``where``: the table, for messages,
    before a name.

    Raises CheckpointError: an id out of range, two names for one id, one name for two.
    """
    names: dict[int, str] = {}
    for name, number in table.items():
        if isinstance(number, bool) or not isinstance(number, int) or not base <= number < base + count:
            reason = f"{where}{shown(name).strip(chr(39))} is {shown(number)}, outside {base} … {base + count - 1}"
            raise CheckpointError(reason, CORRECT)
        if number in names:
            both = f"{spelling.told(names[number])} and {spelling.told(str(name))}"
            raise CheckpointError(f"{where.rstrip('. :')}: {both} are two names for the id {number}", CORRECT)
        names[number] = str(name)
    taken = set(map(spelling.key, names.values()))
    free = (f"speaker {i}" for i in range(base, base + count))
    filled = [names.get(base + i, f"{plain} (no name)" if plain in taken else plain) for i, plain in enumerate(free)]
    check(filled, where.rstrip(". :"), base)
    return tuple(filled)


def check(names, where: str | Path, base: int = 0) -> None:
    """Raises CheckpointError where two names are one, or one is longer than any name."""
    if any(len(name) > NAME for name in names):
        raise CheckpointError(f"{where}: a speaker's name has more than {NAME} characters", CORRECT)
    pair = spelling.twins(names)
    if pair:
        first, second = (spelling.told(names[place]) for place in pair)
        said = f"{first} and {second} are one name" if first != second else f"{first} is one name"
        raise CheckpointError(f"{where}: {said} for the ids {base + pair[0]} and {base + pair[1]}", CORRECT)
