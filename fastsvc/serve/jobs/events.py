"""Who waits for news of jobs. Only the fact that there is news is kept: a slow reader gets the latest state."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Collection, Iterator


async def happens(event: asyncio.Event, seconds: float) -> bool:
    """Wait for the event, at most that long; whether it is set."""
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except asyncio.TimeoutError:
        return False
    return True


class Events:
    """Watchers by job. Used by the event loop alone."""

    def __init__(self):
        self.watchers: dict[str, set[asyncio.Event]] = {}

    @contextlib.contextmanager
    def watching(self, ids: Collection[str]) -> Iterator[asyncio.Event]:
        """An event that is set with each change of these jobs; the watcher clears it."""
        event = asyncio.Event()
        for id in ids:
            self.watchers.setdefault(id, set()).add(event)
        try:
            yield event
        finally:
            for id in ids:
                waiting = self.watchers[id]
                waiting.discard(event)
                if not waiting:
                    del self.watchers[id]

    def touch_all(self) -> None:
        """There is news for everybody."""
        self.touch(list(self.watchers))

    def touch(self, ids: Collection[str]) -> None:
        """There is news of these jobs."""
        for id in ids if len(ids) <= len(self.watchers) else self.watchers.keys() & ids:
            for event in self.watchers.get(id, ()):
                event.set()
