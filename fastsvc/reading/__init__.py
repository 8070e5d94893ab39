"""Reading small files that strangers made: regular files of a bounded size, whose JSON or YAML is flat and short.

Nothing here follows what a file says about itself: a pipe is not waited for, a file is never read beyond its limit,
nesting, aliases and digits are counted while they are parsed.
"""

from __future__ import annotations

import json
import os
import re
import stat
from pathlib import Path
from typing import BinaryIO

from fastsvc.errors import ConfigError, FastsvcError
from fastsvc.reading import lookalikes
from fastsvc.reading import text as reading_text

LIMIT = 2**20  # bytes of a configuration; real ones have a few thousand
DEPTH = 32  # of nested lists and mappings
DIGITS = 100  # of a number
_STRING = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"?', re.DOTALL)
_BRACKETS = re.compile(r"[\[{}\]]")
_NO_WAIT = sum(getattr(os, name, 0) for name in ("O_NONBLOCK", "O_NOCTTY", "O_CLOEXEC", "O_BINARY"))


def opened(path, error: type[FastsvcError] = ConfigError, what: str = "file", buffering: int = -1) -> BinaryIO:
    """The regular file at ``path`` (or where it links to), open for reading. Raises ``error``, which calls it
    ``what``: for pipes, devices and folders, which are not even opened, and for what is missing or may not be read."""
    path = Path(path)
    try:
        status = os.stat(path)
        if stat.S_ISREG(status.st_mode):
            opener = lambda name, flags: os.open(name, flags | _NO_WAIT)  # noqa: E731 - should a pipe take its place
            file = open(path, "rb", buffering, opener=opener)  # noqa: SIM115 - the caller's
            status = os.fstat(file.fileno())
            if stat.S_ISREG(status.st_mode):
                return file
            file.close()
    except FileNotFoundError:
        raise error(f"{path}: no such file", "check the path") from None
    except PermissionError:
        raise error(f"{path}: no permission to read it", "chmod u+r, or run as its owner") from None
    except (OSError, ValueError) as reason:  # ValueError: a NUL in the name
        why = getattr(reason, "strerror", None) or reason
        raise error(f"{path}: cannot be read ({why})", "check the path") from None
    if stat.S_ISDIR(status.st_mode):
        raise error(f"{path}: is a folder, not a {what}", f"name a {what}")
    raise error(f"{path}: is not a regular file", f"name a {what} on a disk")


def whole(path, limit: int = LIMIT, error: type[FastsvcError] = ConfigError) -> bytes:
    """The content of a regular file of at most ``limit`` bytes; else ``error``."""
    with opened(path, error) as file:
        try:
            content = file.read(limit + 1) if os.fstat(file.fileno()).st_size <= limit else None
        except OSError as reason:
            raise error(f"{path}: cannot be read ({reason.strerror or reason})", "copy it again") from None
    if content is None or len(content) > limit:
        raise error(f"{path} is larger than {_size(limit)}", "name the right file")
    return content


def text(path, limit: int = LIMIT, error: type[FastsvcError] = ConfigError, notes: list[str] | None = None) -> str:
    """The same as text: UTF-8, UTF-16 with its mark, or a code page that is told for certain (reading_text), which
    is then said in ``notes``."""
    content = whole(path, limit, error)
    other = lookalikes.saved_instead(content[: lookalikes.HEAD])
    if other:
        raise error(f"{path} cannot be read: it is {other[0]}", other[1])
    try:
        found, encoding = reading_text.decoded(content)
    except ValueError as reason:
        raise error(f"{path} cannot be read: {reason}", "save it as UTF-8") from None
    if encoding and notes is not None:
        notes.append(f"{path} is read as {encoding}, not as UTF-8: if names look wrong, save it as UTF-8")
    return found


def json_file(path, limit: int = LIMIT, error: type[FastsvcError] = ConfigError, notes: list[str] | None = None):
    """The values of a JSON file; else ``error``, one line. NaN and infinities are left to whoever checks the values.
    ``notes``: see :func:`text`."""
    try:
        return from_json(text(path, limit, error, notes))
    except ValueError as reason:
        raise error(f"{path} cannot be read: {reason}", "correct the file, or copy it again") from None


def yaml_file(
    path,
    limit: int = LIMIT,
    error: type[FastsvcError] = ConfigError,
    numbers: bool = False,
    notes: list[str] | None = None,
):
    """The values of a YAML file; else ``error``, one line that names the place. ``numbers``: see :func:`from_yaml`;
    ``notes``: see :func:`text`."""
    try:
        return from_yaml(text(path, limit, error, notes), numbers)
    except ValueError as reason:
        raise error(f"{path} cannot be read: {reason}", "correct the file") from None


def from_json(given: str | bytes):
    """The values of a JSON text. Raises ValueError: not UTF-8, not JSON, too deep, a key twice, endless digits."""
    given = given.decode() if isinstance(given, bytes) else given
    deepest = depth = 0
    for bracket in _BRACKETS.finditer(_STRING.sub("", given)):
        depth += 1 if bracket[0] in "[{" else -1
        deepest = max(deepest, depth)
    if deepest > DEPTH:
        raise ValueError(f"it nests deeper than {DEPTH}")
    return json.loads(given, object_pairs_hook=_once, parse_int=_whole)


def _once(pairs: list) -> dict:
    """A mapping whose keys differ: of a key given twice, two readers may take different values."""
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))
        raise ValueError(f"it has the key {twice[:60]!r} twice")
    return found


def _whole(digits: str) -> int:
    if len(digits) > DIGITS:
        raise ValueError(f"it has a number of {len(digits)} digits")
    return int(digits)


def from_yaml(given: str, numbers: bool = False):
    """The values of a YAML text. Raises ValueError as :func:`from_json`; its text names line and column.

    ``numbers``: 1e-3, without a point, is a number as in YAML 1.2, where YAML 1.1 has a text.
    """
    import yaml

    from fastsvc.reading import yaml_loader as reading_yaml

    try:
        return yaml.load(given, reading_yaml.loader(numbers))
    except yaml.MarkedYAMLError as reason:
        mark = reason.problem_mark or reason.context_mark
        place = f" ({_place(mark.line, mark.column)})" if mark else ""
        said = " ".join(str(reason.problem or reason.context).split())[:200]
        if "'\\t'" in said:
            said = "a tab where YAML takes spaces alone"
        raise ValueError(f"{said}{place}") from None
    except yaml.reader.ReaderError as reason:
        before = given[: reason.position].split("\n")
        place = _place(len(before) - 1, len(before[-1]))
        raise ValueError(f"the character U+{_code(reason.character):04X} is not allowed ({place})") from None
    except (yaml.YAMLError, RecursionError, OverflowError, TypeError, AttributeError, KeyError) as reason:
        # dates that do not exist, tags on values they do not fit: errors of the standard library inside PyYAML
        raise ValueError(" ".join(str(reason).split())[:200] or type(reason).__name__) from None


def _place(line: int, column: int) -> str:
    return f"line {line + 1}, column {column + 1}"


def _code(character) -> int:
    return character if isinstance(character, int) else ord(character)


def _size(limit: int) -> str:
    return f"{limit >> 20} MB" if limit >= 2**20 else f"{limit} bytes"
