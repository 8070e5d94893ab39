"""All printing: streams that never stop the work, and text whose control characters are escaped.

Programs put :func:`steady` around everything; libraries print with :func:`shown`.
"""

from __future__ import annotations

import codecs
import contextlib
import errno
import faulthandler
import io
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import TextIO

from fastsvc import hush, screen_log

# C0, DEL and C1; marks that change the direction of writing or have no width; separators of lines.
_HIDDEN = [*range(32), *range(127, 160), 0x061C, 0x200E, 0x200F, 0x2028, 0x2029, *range(0x202A, 0x202F)]
_HIDDEN += [*range(0x2066, 0x2070), 0xFEFF, *range(0xFFF9, 0xFFFC)]
_ONE_LINE = {code: ascii(chr(code))[1:-1] for code in _HIDDEN}
_ONE_LINE |= {code: f"\\u{code:04x}" for code in range(0xD800, 0xE000)}
_ONE_LINE |= {0xDC00 + byte: f"\\x{byte:02x}" for byte in range(0x80, 0x100)}  # of file names that are no valid text
_LINES = {code: text for code, text in _ONE_LINE.items() if chr(code) not in "\n\t"}
# What our texts hold and consoles of one byte a character (Windows' cp1252, the C locale) may lack.
_TYPED = {"→": "->", "←": "<-", "−": "-", "–": "-", "×": "x", "≥": ">=", "≤": "<=", "·": "*", "…": "...", "∞": "inf"}
_TYPED |= {"“": '"', "”": '"', "√": "sqrt", "σ": "sigma", "½": "1/2", "±": "+-"}
_TYPED_ERRORS = "fastsvc.typed"
_level = 0
_shared: Callable | None = None


def shown(text: object, lines: bool = False) -> str:
    """``text`` with every character escaped that moves the cursor or colours, hides or turns other text: they become
    ``\\x1b``, ``\\u202e``, ``\\n``. Letters of all scripts, and emoji, stay. ``lines`` keeps newlines and tabs: for our
    own text, whose foreign parts went through this function before."""
    return str(text).translate(_LINES if lines else _ONE_LINE)


def _typed(error: UnicodeError) -> tuple[str, int]:
    """For codecs: a character that a stream cannot encode as a typewriter has it, "->" for "→", or else its escape."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    missing = error.object[error.start : error.end]
    return "".join(_TYPED.get(character) or ascii(character)[1:-1] for character in missing), error.end


codecs.register_error(_TYPED_ERRORS, _typed)


def level() -> int:
    """-1 with -q, 1 with -v, else 0; it holds for the whole process, click's context only for the main thread."""
    return _level


def set_level(value: int) -> None:
    global _level
    _level = value
    hush.allow(value <= 0)


class Steady(io.TextIOBase):
    """A text stream whose writing never raises, not on a full disk, a closed pipe or characters that it cannot encode.

    Text that could not be written may be tried again with the next (a disk may get room), and is dropped at the end.
    ``error`` is the first failure. There is no ``buffer``: bytes would bypass the escaping.
    """

    def __init__(self, inner: TextIO | None):
        self.inner, self.error = inner, None

    @property
    def encoding(self) -> str:
        return getattr(self.inner, "encoding", None) or "utf-8"

    @property
    def errors(self) -> str:
        return "backslashreplace"

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        with contextlib.suppress(AttributeError, OSError, ValueError):
            return self.inner.isatty()
        return False

    def fileno(self) -> int:
        if self.inner is None:
            raise io.UnsupportedOperation("fileno")
        return self.inner.fileno()

    def write(self, text: str) -> int:
        if not isinstance(text, str):
            raise TypeError(f"a stream of text takes str, not {type(text).__name__}")  # click asks in this way
        # A progress bar begins its line with a carriage return; one inside a text would let its end hide its start.
        start, end = text[:1] == "\r", text[1:][-1:] == "\r"
        body = shown(text[start : len(text) - end], lines=True)
        body = "\r" * start + body + "\r" * end
        self._try("write", body.encode(self.encoding, _TYPED_ERRORS).decode(self.encoding))
        return len(text)

    def flush(self) -> None:
        self._try("flush")

    def _try(self, action: str, *arguments) -> bool:
        try:
            if self.inner is None:
                raise OSError(errno.EBADF, os.strerror(errno.EBADF))
            getattr(self.inner, action)(*arguments)
        except (OSError, ValueError) as error:  # ValueError: closed by another
            self.error = self.error or error
            return False
        return True

    def settle(self) -> None:
        """Write the remaining text, or else drop it: Python would try again at its exit, and exit with 120."""
        if self._try("flush") or self.inner is None:
            return
        with contextlib.suppress(OSError, ValueError):
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self.inner.fileno())
            os.close(null)
            self.inner.flush()


def bar(*arguments, **options):
    """A progress bar of tqdm: animated on a terminal; in a log whole lines, one each half minute.

    Inside of :func:`sharing` it is a part of the display there.
    """
    if _shared is not None:
        return _shared(*arguments, **options)
    if not sys.stderr.isatty():
        return screen_log.bar(sys.stderr, *arguments, **options)
    from tqdm import tqdm

    return tqdm(*arguments, **{"file": sys.stderr, "mininterval": 0.1, **options})


@contextlib.contextmanager
def sharing(make: Callable) -> Iterator[None]:
    """All bars that begin inside are those that ``make`` returns for tqdm's arguments: parts of one display."""
    global _shared
    before, _shared = _shared, make
    try:
        yield
    finally:
        _shared = before


def delivered() -> bool:
    """Whether standard output took all that was printed, or its reader stopped reading (`| head`)."""
    sys.stdout.flush()
    error = getattr(sys.stdout, "error", None)
    return error is None or getattr(error, "errno", None) == errno.EPIPE


@contextlib.contextmanager
def steady() -> Iterator[None]:
    """Standard output and error as :class:`Steady`, warnings in one line, C libraries' chatter kept off the screen.

    Programs put it around everything. Standard error gets its own descriptor, so that :mod:`fastsvc.hush` may redirect
    number 2; a crash in C prints Python's stack there. Everything is restored at the end.
    """
    _open_closed_descriptors()
    before = sys.stdout, sys.stderr, warnings.formatwarning, _level
    errors = _own_descriptor(sys.stderr)
    sys.stdout, sys.stderr = streams = Steady(sys.stdout), Steady(errors or sys.stderr)
    warnings.formatwarning = _warning
    set_level(0)
    if errors is not None:
        hush.set_apart(True)
        was_on = faulthandler.is_enabled()
        faulthandler.enable(errors)
    try:
        yield
    finally:
        streams[0].settle()
        if not delivered():
            print(f"warning: standard output cannot be written: {streams[0].error}", file=streams[1])
        streams[1].settle()
        sys.stdout, sys.stderr, warnings.formatwarning, old_level = before
        set_level(old_level)
        if errors is not None:
            hush.set_apart(False)
            faulthandler.enable(sys.__stderr__) if was_on and sys.__stderr__ else faulthandler.disable()
            with contextlib.suppress(OSError, ValueError):
                errors.close()


def worker(level_: int) -> None:
    """The initializer of a pool's process: :func:`steady` until the process ends."""
    _worker.enter_context(steady())
    set_level(level_)


_worker = contextlib.ExitStack()


def _open_closed_descriptors() -> None:
    """Open closed standard descriptors. Otherwise the next file that is opened gets such a number, and C libraries that
    print write into that file, for instance a recording."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            with contextlib.suppress(OSError):
                null = os.open(os.devnull, os.O_RDWR)  # may get this very number
                if null != number:
                    os.dup2(null, number)
                    os.close(null)


def _own_descriptor(stream: TextIO | None) -> TextIO | None:
    """Standard error on a new descriptor; None where it does not use descriptor 2, as in tests."""
    try:
        if stream is None or stream.fileno() != 2:
            return None
        stream.flush()
    except (AttributeError, OSError, ValueError):
        return None
    return open(os.dup(2), "w", buffering=1, encoding=stream.encoding, errors="backslashreplace")


def _warning(message, category, filename, lineno, line=None) -> str:
    """A warning in one line. UserWarnings, ours and libraries', are always printed; others only with -v."""
    if _level < 0 or (_level == 0 and not issubclass(category, UserWarning)):
        return ""
    location = f"{shown(filename)}:{lineno}: {category.__name__}: " if _level > 0 else ""
    return f"warning: {location}{shown(message)}\n"
