"""Reading strangers' small files: regular files of bounded size, whose JSON or YAML is flat and short.

No statement of a file about itself is trusted: a pipe is not waited for, a file is never read beyond its limit, and
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
from fastsvc.reading import encoding, lookalikes

LIMIT = 2**20  # bytes of a configuration; real ones have a few thousand
DEPTH = 32  # of nested lists and mappings
DIGITS = 100  # of a number
_STRING = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"?', re.DOTALL)
_BRACKETS = re.compile(r"[\[{}\]]")
_HALF = re.compile(r"\\u[dD][89a-fA-F]")  # how half a character (a surrogate) is spelled
_NO_WAIT = sum(getattr(os, name, 0) for name in ("O_NONBLOCK", "O_NOCTTY", "O_CLOEXEC", "O_BINARY"))


def open_file(path, error: type[FastsvcError] = ConfigError, kind: str = "file", buffering: int = -1) -> BinaryIO:
    """The regular file at ``path`` (or the target of that link), open for reading.

    Raises ``error``, whose text calls the file a ``kind``: for pipes, devices and folders, which are not even opened,
    and for files that are missing or may not be read.
    """
    path = Path(path)
    try:
        status = os.stat(path)
        if stat.S_ISREG(status.st_mode):
            opener = lambda name, flags: os.open(name, flags | _NO_WAIT)  # noqa: E731 - in case a pipe replaces it meanwhile
            file = open(path, "rb", buffering, opener=opener)  # noqa: SIM115 - the caller closes it
            status = os.fstat(file.fileno())
            if stat.S_ISREG(status.st_mode):
                return file
            file.close()
    except FileNotFoundError:
        raise error(f"{path}: no such file", "check the path") from None
    except PermissionError:
        raise error(f"{path}: no permission to read it", "chmod u+r, or run as its owner") from None
    except (OSError, ValueError) as reason:  # ValueError: a NUL in the name
        cause = getattr(reason, "strerror", None) or reason
        raise error(f"{path}: cannot be read ({cause})", "check the path") from None
    if stat.S_ISDIR(status.st_mode):
        raise error(f"{path}: is a folder, not a {kind}", f"name a {kind}")
    raise error(f"{path}: is not a regular file", f"name a {kind} on a disk")


def read_bytes(path, limit: int = LIMIT, error: type[FastsvcError] = ConfigError) -> bytes:
    """The content of a regular file of at most ``limit`` bytes. Raises ``error``."""
    with open_file(path, error) as file:
        try:
            content = file.read(limit + 1) if os.fstat(file.fileno()).st_size <= limit else None
        except OSError as reason:
            raise error(f"{path}: cannot be read ({reason.strerror or reason})", "copy it again") from None
    if content is None or len(content) > limit:
        raise error(f"{path} is larger than {_size(limit)}", "name the right file")
    return content


def read_text(path, limit: int = LIMIT, error: type[FastsvcError] = ConfigError, notes: list[str] | None = None) -> str:
    """The content of a text file: UTF-8, UTF-16 with its mark, or a code page that is recognised for certain
    (reading/encoding.py), which ``notes`` then mention. Raises ``error``."""
    content = read_bytes(path, limit, error)
    lookalike = lookalikes.not_json_or_yaml(content[: lookalikes.HEAD])
    if lookalike:
        raise error(f"{path} cannot be read: it is {lookalike[0]}", lookalike[1])
    try:
        decoded, name = encoding.decode(content)
    except ValueError as reason:
        raise error(f"{path} cannot be read: {reason}", "save it as UTF-8") from None
    if name and notes is not None:
        notes.append(f"{path} is read as {name}, not as UTF-8: if names look wrong, save it as UTF-8")
    return decoded


def read_json(path, limit: int = LIMIT, error: type[FastsvcError] = ConfigError, notes: list[str] | None = None):
    """The values of a JSON file. Raises ``error``, one line. NaN and infinities are left to the check of the values.
    ``notes``: see :func:`read_text`."""
    try:
        return parse_json(read_text(path, limit, error, notes))
    except ValueError as reason:
        raise error(f"{path} cannot be read: {reason}", "correct the file, or copy it again") from None


def read_yaml(
    path,
    limit: int = LIMIT,
    error: type[FastsvcError] = ConfigError,
    numbers: bool = False,
    notes: list[str] | None = None,
):
    """The values of a YAML file. Raises ``error``, one line with the position. ``numbers``: see :func:`parse_yaml`;
    ``notes``: see :func:`read_text`."""
    try:
        return parse_yaml(read_text(path, limit, error, notes), numbers)
    except ValueError as reason:
        raise error(f"{path} cannot be read: {reason}", "correct the file") from None


def parse_json(text: str | bytes, file_names: bool = True):
    """The values of a JSON text. Raises ValueError: not UTF-8, not JSON, too deep, a key twice, endless digits, half a
    character. Bytes of file names that are no UTF-8 stay as Python spells them, U+DC80 to U+DCFF; without
    ``file_names`` they are halves of characters as well, as in a client's request, which is answered in UTF-8."""
    text = text.decode() if isinstance(text, bytes) else text
    deepest = depth = 0
    for bracket in _BRACKETS.finditer(_STRING.sub("", text)):
        depth += 1 if bracket[0] in "[{" else -1
        deepest = max(deepest, depth)
    if deepest > DEPTH:
        raise ValueError(f"it nests deeper than {DEPTH}")
    values = json.loads(text, object_pairs_hook=_unique_keys, parse_int=_integer)
    if _HALF.search(text):
        try:
            json.dumps(values, ensure_ascii=False).encode(errors="surrogateescape" if file_names else "strict")
        except UnicodeEncodeError:
            raise ValueError("it has half of a surrogate pair") from None
    return values


def _unique_keys(pairs: list) -> dict:
    """The mapping of ``pairs``. Raises ValueError for a duplicate key: two readers may take different values."""
    mapping = dict(pairs)
    if len(mapping) < len(pairs):
        seen: set = set()
        duplicate = next(key for key, _ in pairs if key in seen or seen.add(key))
        raise ValueError(f"it has the key {duplicate[:60]!r} twice")
    return mapping


def _integer(digits: str) -> int:
    if len(digits) > DIGITS:
        raise ValueError(f"it has a number of {len(digits)} digits")
    return int(digits)


def parse_yaml(text: str, numbers: bool = False):
    """The values of a YAML text. Raises ValueError as :func:`parse_json`; its text names line and column.

    ``numbers``: 1e-3, without a point, is a number as in YAML 1.2, not a text as in YAML 1.1.
    """
    import yaml

    from fastsvc.reading import yaml_loader

    try:
        return yaml.load(text, yaml_loader.loader(numbers))  # noqa: S506 - a SafeLoader with limits
    except yaml.MarkedYAMLError as reason:
        mark = reason.problem_mark or reason.context_mark
        position = f" ({_position(mark.line, mark.column)})" if mark else ""
        problem = " ".join(str(reason.problem or reason.context).split())[:200]
        if "'\\t'" in problem:
            problem = "a tab where YAML takes spaces alone"
        raise ValueError(f"{problem}{position}") from None
    except yaml.reader.ReaderError as reason:
        before = text[: reason.position].split("\n")
        position = _position(len(before) - 1, len(before[-1]))
        raise ValueError(f"the character U+{_code(reason.character):04X} is not allowed ({position})") from None
    except (yaml.YAMLError, RecursionError, OverflowError, TypeError, AttributeError, KeyError) as reason:
        # impossible dates, tags that do not fit their values: errors of the standard library inside PyYAML
        raise ValueError(" ".join(str(reason).split())[:200] or type(reason).__name__) from None


def _position(line: int, column: int) -> str:
    return f"line {line + 1}, column {column + 1}"


def _code(character) -> int:
    return character if isinstance(character, int) else ord(character)


def _size(limit: int) -> str:
    return f"{limit >> 20} MB" if limit >= 2**20 else f"{limit} bytes"
