"""A stop that was asked for, and comes when a step is whole."""

from __future__ import annotations

import contextlib
import signal


class Interrupt:
    """Ctrl-C or SIGTERM asks for a stop after the step; a second Ctrl-C stops at once."""

    def __enter__(self):
        self.asked = False
        self.before = {}
        with contextlib.suppress(ValueError):  # signals reach the main thread only
            for name in (signal.SIGINT, signal.SIGTERM):
                self.before[name] = signal.signal(name, self._ask)
        return self

    def _ask(self, *_):
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True

    def __exit__(self, *_):
        for name, handler in self.before.items():
            signal.signal(name, handler)
