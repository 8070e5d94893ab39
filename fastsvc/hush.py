"""Lines that C libraries print to descriptor 2 on their own: libmpg123's, of damaged mp3 files, are not for users.

Only where a program has set its own standard error apart (:func:`apart`, by fastsvc.screen) is the descriptor turned
away, only while such a file is decoded, and all that is not libmpg123's is printed afterwards. With -v nothing is.
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
_kept: tuple[int, int] | None = None  # (the true descriptor 2, where its lines go meanwhile)


def apart(yes: bool) -> None:
    """Whether Python's own standard error does not go through descriptor 2."""
    global _apart
    _apart = yes


def allow(yes: bool) -> None:
    global _allowed
    _allowed = yes


@contextlib.contextmanager
def hushed() -> Iterator[None]:
    """While any thread is inside, descriptor 2 is turned away; when the last has left, all but chatter is printed."""
    _enter()
    try:
        yield
    finally:
        _leave()


def _enter() -> None:
    global _depth, _kept
    with _lock:
        _depth += 1
        if _depth > 1 or not (_apart and _allowed):
            return
        with contextlib.suppress(OSError):  # no descriptor, no room: the lines are seen
            sink = _sink()
            try:
                true = os.dup(2)
                os.dup2(sink, 2)
            except OSError:
                os.close(sink)
                raise
            _kept = true, sink


def _leave() -> None:
    global _depth, _kept
    with _lock:
        _depth -= 1
        if _depth or _kept is None:
            return
        (true, sink), _kept = _kept, None
        os.dup2(true, 2)
        os.close(true)
        with os.fdopen(sink, "r", encoding="utf-8", errors="backslashreplace") as file:
            file.seek(0)
            lines = file.read().splitlines()
    for line in lines:
        if not _CHATTER.match(line):
            print(line, file=sys.stderr)


def _sink() -> int:
    """A descriptor to write to and to read again, in memory where the system has that."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("stderr")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
