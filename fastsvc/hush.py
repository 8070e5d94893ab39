"""libmpg123 prints lines about damaged mp3 files to descriptor 2 by itself; they are kept off the screen.

The descriptor is redirected only where a program gave its own standard error another descriptor (:func:`set_apart`, by
fastsvc.screen), and only while an mp3 file is decoded. Lines that are not libmpg123's are printed afterwards. With -v
nothing is redirected.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
import tempfile
import threading
from collections.abc import Iterator

# "[src/libmpg123/layer3.c:INT123_do_layer3():1801] error: …", "Note: Illegal Audio-MPEG-Header …", "Warning: Xing …"
_CHATTER = re.compile(r"\s*$|(main: )?\[[^]]*\.c:[^]]*\]|(note|warning|error|junk)\b", re.IGNORECASE)
_lock = threading.Lock()
_apart, _allowed, _depth = False, True, 0
_saved: tuple[int, int] | None = None  # (a copy of the original descriptor 2, the sink)


def set_apart(yes: bool) -> None:
    """Say whether Python's standard error has a descriptor other than 2."""
    global _apart
    _apart = yes


def allow(yes: bool) -> None:
    """Allow redirecting, or forbid it (-v)."""
    global _allowed
    _allowed = yes


@contextlib.contextmanager
def hushed() -> Iterator[None]:
    """While any thread is inside, descriptor 2 is redirected; when the last has left, all but chatter is printed."""
    _enter()
    try:
        yield
    finally:
        _leave()


def _enter() -> None:
    global _depth, _saved
    with _lock:
        _depth += 1
        if _depth > 1 or not (_apart and _allowed):
            return
        with contextlib.suppress(OSError):  # no descriptor, no room: the lines stay visible
            sink = _sink()
            try:
                original = os.dup(2)
                os.dup2(sink, 2)
            except OSError:
                os.close(sink)
                raise
            _saved = original, sink


def _leave() -> None:
    global _depth, _saved
    with _lock:
        _depth -= 1
        if _depth or _saved is None:
            return
        (original, sink), _saved = _saved, None
        os.dup2(original, 2)
        os.close(original)
        with os.fdopen(sink, "r", encoding="utf-8", errors="backslashreplace") as file:
            file.seek(0)
            lines = file.read().splitlines()
    for line in lines:
        if not _CHATTER.match(line):
            print(line, file=sys.stderr)


def _sink() -> int:
    """A descriptor to write to and to read again, in memory where the system can."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("stderr")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
