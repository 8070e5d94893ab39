"""Start and end of a bench: options are checked before slow imports; an error is one line, exit 2."""

from __future__ import annotations

import argparse
import math
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from fastsvc import screen
from fastsvc.errors import FastsvcError

UNUSABLE, INTERRUPTED = 2, 130


def start(main: Callable[[], int | None]) -> NoReturn:
    """Run ``main`` and end with its exit code (None: 0)."""
    with screen.steady():
        try:
            code = main() or 0
        except FastsvcError as error:
            code = _say(f"error: {error}", UNUSABLE)
        except OSError as error:
            if error.filename is None:  # not about a path of the user's
                raise
            code = _say(f"error: {os.fsdecode(error.filename)}: {error.strerror}", UNUSABLE)
        except KeyboardInterrupt:
            code = _say("interrupted: results in the --json file stay", INTERRUPTED)
    sys.exit(code)


def _say(line: str, code: int) -> int:
    print(screen.shown(line), file=sys.stderr)
    return code


def parser(doc: str) -> argparse.ArgumentParser:
    """A parser whose help shows the docstring's first line, and the remainder below the options."""
    first, _, body = doc.partition("\n")
    raw = argparse.RawDescriptionHelpFormatter
    return argparse.ArgumentParser(description=first, epilog=body.strip() or None, formatter_class=raw)


def whole_number(text: str) -> int:
    """A whole number of at least 1."""
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return number


def length(text: str) -> float:
    """Seconds or minutes: finite, above 0."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return number


def seconds(text: str) -> float:
    """0 or more."""
    return 0.0 if text.strip("0.") == "" and text.strip(".") else length(text)


def listed(kind: Callable, count: int | None = None) -> Callable[[str], list]:
    """A parser of "1,2,4"; ``count``: exactly that many values."""

    def parse(text: str) -> list:
        values = [kind(part.strip()) for part in text.split(",") if part.strip()]
        if count is not None and len(values) != count:
            raise argparse.ArgumentTypeError(f"{text!r} are not {count} values with commas between")
        return values

    return parse


def one_of(*names: str) -> Callable[[str], str]:
    """A parser of one of ``names``."""

    def parse(text: str) -> str:
        if text not in names:
            raise argparse.ArgumentTypeError(f"there is no {text!r}; choose from {', '.join(names)}")
        return text

    return parse


def existing(text: str) -> Path:
    """The path of an existing file or folder."""
    if not os.path.lexists(text):
        raise argparse.ArgumentTypeError(f"{text}: no such file or folder")
    return Path(text)


def result(text: str) -> Path:
    """The path of a writable file, checked before hours of measuring."""
    path = Path(text)
    if path.is_dir():
        raise argparse.ArgumentTypeError(f"{text}: is a folder, not a file")
    return _writable(path, path.exists())


def folder(text: str) -> Path:
    """The path of a writable folder, which may not exist yet."""
    path = Path(text)
    if path.exists() and not path.is_dir():
        raise argparse.ArgumentTypeError(f"{text}: is not a folder")
    return _writable(path, path.exists())


def _writable(path: Path, exists: bool) -> Path:
    if not exists:
        above = next(parent for parent in path.absolute().parents if parent.exists())
        if not above.is_dir():
            raise argparse.ArgumentTypeError(f"{path}: {above} is not a folder")
    if not os.access(path if exists else above, os.W_OK):
        raise argparse.ArgumentTypeError(f"{path}: no permission to write there")
    return path
