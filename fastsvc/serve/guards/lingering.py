"""Answers that did not wait for the body: the rest of it is read on for a moment, so that the client sees its answer.

A connection that is closed on unread bytes is reset, and many clients look for an answer only once they have sent all.
Whoever is refused on purpose could hold a server's connections so: few linger at a time, and the oldest makes room.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from fastsvc.serve.guards.answer import Message, Receive, Send


class Lingering:
    """What is read and thrown away: for at most ``seconds`` and ``size`` bytes each, of at most ``most`` requests at a
    time. ``len()``: of how many now."""

    def __init__(self, seconds: float, size: int, most: int):
        self.seconds, self.size, self.most = seconds, size, most
        self.reading: dict[asyncio.Task, None] = {}  # the oldest first

    def __len__(self) -> int:
        return len(self.reading)

    def around(self, send: Send, receive: Receive, unread: Callable[[], bool] = lambda: True) -> Send:
        """``send`` that, while the body is ``unread``, reads on before the answer ends, and with it the connection."""

        async def lingering(message: Message) -> None:
            if message["type"] != "http.response.body" or message.get("more_body", False) or not unread():
                return await send(message)
            await send({**message, "more_body": True})
            await self._read_on(receive)
            await send({"type": "http.response.body", "body": b""})

        return lingering

    async def _read_on(self, receive: Receive) -> None:
        task = asyncio.ensure_future(_discard(receive, self.size))
        self.reading[task] = None
        if len(self.reading) > self.most:
            oldest = next(iter(self.reading))
            del self.reading[oldest]
            oldest.cancel()
        try:
            done, _ = await asyncio.wait({task}, timeout=self.seconds)
        finally:
            self.reading.pop(task, None)
            task.cancel()
        if done and not task.cancelled():
            task.result()  # a fault of the server's is not lost


async def _discard(receive: Receive, most: int) -> None:
    while most > 0:
        message = await receive()
        most -= len(message.get("body", b""))
        if message["type"] != "http.request" or not message.get("more_body", False):
            return
