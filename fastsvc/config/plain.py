"""Dataclasses that check themselves, as plain dicts and back."""

from __future__ import annotations

import dataclasses
import types
import typing

from fastsvc.errors import ConfigError


def check(condition: bool, what: str, remedy: str = "correct the configuration") -> None:
    if not condition:
        raise ConfigError(what, remedy)


def to_dict(config) -> dict:
    """A dataclass as plain dicts, lists, numbers and strings."""

    def plain(value):
        if dataclasses.is_dataclass(value):
            return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
        if isinstance(value, (tuple, list)):
            return [plain(v) for v in value]
        return value

    return plain(config)


def from_dict(cls, data: dict, where: str = ""):
    """The inverse of :func:`to_dict`. Raises :class:`ConfigError` on unknown keys and wrong types."""
    where = where or cls.__name__
    check(isinstance(data, dict), f"{where}: a mapping is expected, got {type(data).__name__}")
    hints = typing.get_type_hints(cls)
    known = {f.name for f in dataclasses.fields(cls)}
    for key in data:
        check(key in known, f"{where}: unknown key {key!r}", f"known keys: {', '.join(sorted(known))}")
    return cls(**{key: _cast(hints[key], value, f"{where}.{key}") for key, value in data.items()})


def _cast(hint, value, where: str):
    if dataclasses.is_dataclass(hint):
        return from_dict(hint, value, where)
    origin = typing.get_origin(hint)
    if origin is tuple:
        check(isinstance(value, (list, tuple)), f"{where}: a list is expected, got {type(value).__name__}")
        return tuple(_cast(typing.get_args(hint)[0], v, where) for v in value)
    if origin in (typing.Union, types.UnionType):
        inner = [a for a in typing.get_args(hint) if a is not type(None)]
        return None if value is None else _cast(inner[0], value, where)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    check(
        isinstance(value, hint) and (hint is bool or not isinstance(value, bool)),
        f"{where}: {hint.__name__} is expected, got {value!r}",
    )
    return value
