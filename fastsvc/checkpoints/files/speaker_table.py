"""A project's table of speakers, name → id, turned into names by id. An ambiguous table is refused."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from fastsvc import spelling
from fastsvc.config.shown import shown
from fastsvc.errors import CheckpointError

NAME = 1000  # characters of a speaker's name, as in an engine's manifest
CORRECT = "correct the table"


def names_by_id(table: Mapping, count: int, base: int, where: str) -> tuple[str, ...]:
    """Names by id, counted from ``base``; an id without a name gets "speaker ID".

    ``where`` stands for the table in messages, before a name. Raises CheckpointError for an id out of range, two names
    for one id, or one name for two.
    """
    names: dict[int, str] = {}
    for name, number in table.items():
        if isinstance(number, bool) or not isinstance(number, int) or not base <= number < base + count:
            reason = f"{where}{shown(name).strip(chr(39))} is {shown(number)}, outside {base} … {base + count - 1}"
            raise CheckpointError(reason, CORRECT)
        if number in names:
            both = f"{spelling.quoted(names[number])} and {spelling.quoted(str(name))}"
            raise CheckpointError(f"{where.rstrip('. :')}: {both} are two names for the id {number}", CORRECT)
        names[number] = str(name)
    used = set(map(spelling.key, names.values()))
    defaults = (f"speaker {i}" for i in range(base, base + count))
    by_id = [names.get(base + i, f"{name} (no name)" if name in used else name) for i, name in enumerate(defaults)]
    check(by_id, where.rstrip(". :"), base)
    return tuple(by_id)


def check(names, where: str | Path, base: int = 0) -> None:
    """Raises CheckpointError if two names are the same, or one has more than NAME characters."""
    if any(len(name) > NAME for name in names):
        raise CheckpointError(f"{where}: a speaker's name has more than {NAME} characters", CORRECT)
    pair = spelling.first_duplicate(names)
    if pair:
        first, second = (spelling.quoted(names[index]) for index in pair)
        text = f"{first} and {second} are one name" if first != second else f"{first} is one name"
        raise CheckpointError(f"{where}: {text} for the ids {base + pair[0]} and {base + pair[1]}", CORRECT)
