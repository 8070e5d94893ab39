"""Stopping on request, after the current step."""

from __future__ import annotations

import contextlib
import signal


class Interrupt:
    """Ctrl-C or SIGTERM requests a stop after the step; a second one stops at once."""

    def __enter__(self):
        self.requested = False
        self.previous_handlers = {}
        with contextlib.suppress(ValueError):  # signals reach the main thread only
            for name in (signal.SIGINT, signal.SIGTERM):
                self.previous_handlers[name] = signal.signal(name, self._request)
        return self

    def _request(self, *_):
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True

    def __exit__(self, *_):
        for name, handler in self.previous_handlers.items():
            signal.signal(name, handler)
