"""Dataclasses that check themselves, as plain dicts and back."""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Iterator
from typing import Any, TypeVar

from fastsvc.config.shown import shown
from fastsvc.errors import ConfigError

LONGEST = 2**16  # entries of a list; the longest real one is a table of phones or speakers
TEXT = 4096  # characters of a text
SHOWN_CHARACTERS = 60  # of a value that is printed when configurations differ
WHOLE = 2**63  # magnitude below which whole numbers lie
Config = TypeVar("Config")
LATER = "later"  # in the metadata of the fields of :func:`later`


def check(condition: bool, message: str, remedy: str = "correct the configuration") -> None:
    """Raises ConfigError where ``condition`` does not hold."""
    if not condition:
        raise ConfigError(message, remedy)


def within(owner: str, config, /, **limits: tuple[float, float]) -> None:
    """Each named number of ``config``, alone or in a tuple of any depth, must lie in low … high; else ConfigError.

    Sizes in strangers' files are bounded here, before anything is computed from them: a product of checked sizes is
    small, and a loop over one ends.
    """
    for name, (low, high) in limits.items():
        for value in _flat(getattr(config, name)):
            check(low <= value <= high, f"{owner}: {name} is {shown(value)}, outside {low:g} … {high:g}")


def _flat(value):
    if isinstance(value, tuple):
        for part in value:
            yield from _flat(part)
    elif value is not None:
        yield value


def later(default: Any) -> Any:
    """A field that was added after files had been written: :func:`to_dict` leaves it out where it has its default.

    Files without it then stay the same to the byte, hashes of engines too, and older programs read them.
    """
    return dataclasses.field(default=default, metadata={LATER: True})


def to_dict(config) -> dict:
    """A dataclass as plain dicts, lists, numbers and strings."""

    def plain(value) -> Any:
        if dataclasses.is_dataclass(value):
            named = ((f, getattr(value, f.name)) for f in dataclasses.fields(value))
            return {f.name: plain(part) for f, part in named if not (LATER in f.metadata and part == f.default)}
        if isinstance(value, (tuple, list)):
            return [plain(v) for v in value]
        return value

    return plain(config)


def from_dict(cls: type[Config], data: Any, where: str = "") -> Config:
    """The inverse of :func:`to_dict`.

    Raises :class:`ConfigError` naming the key: unknown or missing keys, wrong types, numbers that are not finite.
    """
    where = where or cls.__name__
    check(isinstance(data, dict), f"{where}: a mapping is expected, got {type(data).__name__}")
    hints, dataclass_type = typing.get_type_hints(cls), typing.cast(Any, cls)
    fields = {f.name: f for f in dataclasses.fields(dataclass_type)}
    for key in data:
        check(key in fields, f"{where}: unknown key {shown(key)}", f"known keys: {', '.join(sorted(fields))}")
    for name, field in fields.items():
        required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        check(name in data or not required, f"{where}.{name} is missing", "add it")
    return cls(**{key: _cast(hints[key], value, f"{where}.{key}") for key, value in data.items()})


def _cast(hint, value, where: str):
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return from_dict(hint, value, where)
    origin = typing.get_origin(hint)
    if origin is tuple:
        check(isinstance(value, (list, tuple)), f"{where}: a list is expected, got {type(value).__name__}")
        check(len(value) <= LONGEST, f"{where}: a list of {len(value)} entries, the longest has {LONGEST}")
        return tuple(_cast(typing.get_args(hint)[0], v, where) for v in value)
    if origin in (typing.Union, types.UnionType):
        inner = [a for a in typing.get_args(hint) if a is not type(None)]
        return None if value is None else _cast(inner[0], value, where)
    if isinstance(value, int) and not isinstance(value, bool):
        check(-WHOLE <= value < WHOLE, f"{where}: {shown(value)} is too large a number")
        value = float(value) if hint is float else value
    check(
        isinstance(value, hint) and (hint is bool or not isinstance(value, bool)),
        f"{where}: {hint.__name__} is expected, got {shown(value)}",
    )
    check(not isinstance(value, str) or len(value) <= TEXT, f"{where}: a text of more than {TEXT} characters")
    check(not isinstance(value, float) or math.isfinite(value), f"{where} is {value}, which is not a finite number")
    return value


def differences(saved: dict, current: dict, where: str = "") -> Iterator[tuple[str, str]]:
    """(dotted name, line with both values) of each value in which two plain configurations differ."""
    for key in sorted(saved.keys() | current.keys()):
        a, b, name = saved.get(key), current.get(key), f"{where}{key}"
        if isinstance(a, dict) and isinstance(b, dict):
            yield from differences(a, b, f"{name}.")
        elif a != b:
            a, b = _value_text(a), _value_text(b)
            short = max(len(a), len(b)) <= SHOWN_CHARACTERS
            yield name, f"{name} {a} there, {b} now" if short else f"{name} is not the same"


def _value_text(value) -> str:
    """A setting's value, for messages."""
    return "none" if value is None else "some" if isinstance(value, dict) else str(value)
