"""Single keys from the terminal while a command runs: POSIX by termios, Windows by msvcrt.

Ctrl-C and Ctrl-Z stay signals. The terminal is as it was before while the process is stopped by Ctrl-Z, and after the
end, also by SIGTERM and SIGHUP, which raise :class:`Terminated`.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time

STEP_S = 0.05  # between two looks on Windows
ARROWS = {"\x1b[A": "up", "\x1b[B": "down", "\x1bOA": "up", "\x1bOB": "down"}


class Terminated(BaseException):
    """A signal asked for the end; ``code``: the exit code for it."""

    def __init__(self, number: int):
        super().__init__(number)
        self.code = 128 + number


class Keys:
    """Keys only where standard input is a terminal and this process stands in its foreground."""

    def __init__(self):
        self.before, self.handlers, self.terminal = None, {}, False

    def __enter__(self) -> Keys:
        with contextlib.suppress(AttributeError, OSError, ValueError):
            self.terminal = sys.stdin.isatty()
        for name in ("SIGTERM", "SIGHUP"):
            self._handle(name, self._terminated)
        if self.terminal and os.name != "nt":
            self._handle("SIGTSTP", self._stopped)
        self._take()
        return self

    def __exit__(self, *error) -> None:
        self._restore()
        for number, handler in self.handlers.items():
            signal.signal(number, handler)
        self.handlers = {}

    def wait(self, seconds: float) -> list[str]:
        """The keys that were pressed: characters, "up", "down"; after ``seconds`` at most."""
        if os.name == "nt":
            return self._wait_windows(seconds)
        self._take()
        if self.before is None:
            time.sleep(seconds)
            return []
        import select

        if not select.select([sys.stdin.fileno()], [], [], seconds)[0]:
            return []
        try:
            text = os.read(sys.stdin.fileno(), 256).decode("utf-8", "replace")
        except OSError:
            text = ""
        if not text:  # the terminal is gone
            self.before, self.terminal = None, False
        return split(text)

    def _wait_windows(self, seconds: float) -> list[str]:
        until, keys = time.monotonic() + seconds, []
        while not keys and time.monotonic() < until:
            time.sleep(STEP_S)
            if self.terminal:
                import msvcrt

                kbhit, getwch = getattr(msvcrt, "kbhit"), getattr(msvcrt, "getwch")  # noqa: B009  # Windows only
                while kbhit():
                    key = getwch()
                    keys.append({"H": "up", "P": "down"}.get(getwch(), "") if key in "\x00\xe0" else key)
        return keys

    def _take(self) -> None:
        """Keys come at once and unseen, where this is the foreground; nothing where they do so already."""
        if not self.terminal or self.before is not None or os.name == "nt":
            return
        import termios

        handle = sys.stdin.fileno()
        with contextlib.suppress(OSError, termios.error):
            if os.tcgetpgrp(handle) != os.getpgrp():
                return
            before = termios.tcgetattr(handle)
            after = [*before[:3], before[3] & ~(termios.ICANON | termios.ECHO), *before[4:6], list(before[6])]
            after[6][termios.VMIN], after[6][termios.VTIME] = 1, 0
            termios.tcsetattr(handle, termios.TCSADRAIN, after)
            self.before = before

    def _restore(self) -> None:
        if self.before is None:
            return
        import termios

        before, self.before = self.before, None
        with contextlib.suppress(OSError, termios.error):
            if os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp():  # else it belongs to another, who has set it
                termios.tcsetattr(sys.stdin.fileno(), termios.TCSADRAIN, before)

    def _handle(self, name: str, handler) -> None:
        number = getattr(signal, name, None)
        if number is not None:
            with contextlib.suppress(ValueError):  # not in the main thread, as in a test
                self.handlers[number] = signal.signal(number, handler)

    def _terminated(self, number, frame) -> None:
        raise Terminated(number)

    def _stopped(self, number, frame) -> None:
        """Ctrl-Z: the terminal back, then stop; the next :meth:`wait` in the foreground takes it again."""
        self._restore()
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
        time.sleep(0.01)  # the signal may reach another thread; all stand still then
        signal.signal(number, self._stopped)


def split(text: str) -> list[str]:
    """Characters and arrows of what a terminal sent; other keys that send an escape are left out."""
    keys = []
    while text:
        if text[0] == "\x1b":
            keys.append(ARROWS.get(text[:3], ""))
            text = text[3:]
        else:
            keys.append(text[0])
            text = text[1:]
    return [key for key in keys if key]
