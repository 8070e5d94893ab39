"""Progress in a log file: whole lines now and then, without carriage returns."""

from __future__ import annotations

import time

INTERVAL_S = 30.0  # between lines of one bar


class Lines:
    """A file for tqdm that turns its drawing into lines: no cursor moves, nothing blank is written."""

    def __init__(self, inner):
        self.inner = inner

    def write(self, text: str) -> int:
        line = text.strip("\r\n ")
        if line:
            self.inner.write(line + "\n")
        return len(text)

    def flush(self) -> None:
        self.inner.flush()

    def isatty(self) -> bool:
        return False

    @property
    def encoding(self) -> str:
        return getattr(self.inner, "encoding", None) or "utf-8"


def bar(file, *arguments, **options):
    """A bar of tqdm that writes a line every INTERVAL_S at most, and at its end; with ``delay``, not before that."""
    from tqdm import tqdm

    class Bar(tqdm):
        monitor_interval = 0  # its thread would add lines of its own

        def __init__(self, *arguments, **options):
            self.last_line, self.last_line_s = "", time.monotonic() if options.get("delay") else float("-inf")
            super().__init__(*arguments, **options)

        def display(self, msg=None, pos=None):
            text = str(self) if msg is None else msg  # "" is tqdm's way to wipe a bar
            if text and text != self.last_line:
                self.last_line, self.last_line_s = text, time.monotonic()
                super().display(text, 0)
            return True

        def refresh(self, nolock=False, lock_args=None):
            if time.monotonic() - self.last_line_s >= 0.9 * INTERVAL_S:  # tqdm's own clock began a little earlier
                super().refresh(nolock, lock_args)
            return True

        def clear(self, nolock=False):
            pass

        def moveto(self, n):
            pass

    fixed = {"file": Lines(file), "mininterval": INTERVAL_S, "maxinterval": INTERVAL_S, "miniters": 0}
    return Bar(*arguments, **{**options, **fixed, "dynamic_ncols": False})
