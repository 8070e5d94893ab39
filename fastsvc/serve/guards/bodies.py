"""Limits on bodies of requests while they arrive: their size, their pace, and how many bytes arrive at a time.

A declared length beyond the limit is answered with 413 before a byte is read; a body without a length (chunked) is
counted. The application behind sees the client go, and lets go of what it has received.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from fastsvc.serve.guards.answer import App, Message, Receive, Scope, Send, refuse, values
from fastsvc.serve.guards.lingering import Lingering

SMALL = 64 * 1024  # bytes of a body that is no upload
MULTIPART = 1024 * 1024  # bytes of an upload besides its files: fields, and the lines between parts
RETRY_S = 10
GONE: Message = {"type": "http.disconnect"}


@dataclass(frozen=True)
class Pace:
    """``piece_s``: for the next bytes to arrive; ``first_s``: from when on ``bytes_per_s`` are demanded on average;
    ``linger_s``, ``linger_bytes``: what is still read and thrown away after an answer that did not wait for the body,
    of at most ``lingering`` requests at a time (fastsvc/serve/guards/lingering.py)."""

    piece_s: float = 20.0
    first_s: float = 30.0
    bytes_per_s: float = 4096.0
    linger_s: float = 2.0
    linger_bytes: int = 32 * 2**20
    lingering: int = 64


class BodyGuard:
    """ASGI: 413 beyond ``limit(method, path)`` bytes, 408 for a body slower than ``pace``, 503 where bodies of all
    requests together exceed ``together`` bytes, or more than ``requests`` are open. Those that are answered already and
    linger do not count among these, so refusals keep nobody out."""

    def __init__(
        self, app: App, limit: Callable[[str, str], int], together: int, requests: int = 1000, pace: Pace | None = None
    ):
        self.app, self.limit, self.together, self.requests = app, limit, together, requests
        self.pace = pace or Pace()
        self.lingering = Lingering(self.pace.linger_s, self.pace.linger_bytes, self.pace.lingering)
        self.open = self.arriving = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            return await self.app(scope, receive, send)
        if self.open - len(self.lingering) >= self.requests:
            return await _busy(scope, send, f"{self.requests} requests are open")
        self.open += 1
        try:
            if scope["type"] == "websocket":
                return await self.app(scope, receive, send)
            await self._request(scope, receive, send)
        finally:
            self.open -= 1

    async def _request(self, scope: Scope, receive: Receive, send: Send) -> None:
        limit, declared = self.limit(scope["method"], scope["path"]), _declared(scope)
        if declared > limit:
            return await self._too_large(scope, receive, send, limit)
        expected = declared > 0 or bool(values(scope, b"transfer-encoding"))
        body = Body(self, receive, limit, expected)
        answer = Answer(send, receive, self.lingering)
        try:
            await self.app(scope, body.receive, answer.send_unless(body))
        except Exception:
            if not body.fault or answer.started:  # else: the application's own words about a client that is gone
                raise
        finally:
            self.arriving -= body.bytes
        if not body.fault or answer.started:
            return
        if body.fault == "large":
            await self._too_large(scope, receive, send, limit)
        elif body.fault == "slow":
            await refuse(
                scope, send, 408, "the request", "its body arrives too slowly", "try again on a better connection"
            )
        else:
            await _busy(scope, send, "uploads of others fill the server's space")

    async def _too_large(self, scope: Scope, receive: Receive, send: Send, limit: int) -> None:
        why = f"it has more than {_size(limit)}, the most that is taken here"
        await refuse(scope, self.lingering.around(send, receive), 413, "the request", why, "send less at a time")


class Body:
    """The body of one request. ``expected``: its head announces one; ``bytes``: received; ``fault``: why the rest is
    not read."""

    def __init__(self, guard: BodyGuard, receive: Receive, limit: int, expected: bool):
        self.guard, self.source, self.limit, self.expected = guard, receive, limit, expected
        self.bytes, self.fault, self.complete = 0, "", False
        self.began_s: float | None = None

    async def receive(self) -> Message:
        """The next message, as ASGI's; after a fault the client is gone for the application."""
        if self.complete:
            return await self.source()  # waits until the client leaves
        if self.fault:
            return GONE
        try:
            message = await asyncio.wait_for(self.source(), self._wait_s())
        except asyncio.TimeoutError:
            self.fault = "slow"
            return GONE
        if message["type"] != "http.request":
            return message
        size = len(message.get("body", b""))
        self.bytes += size
        self.guard.arriving += size
        self.complete = not message.get("more_body", False)
        if self.bytes > self.limit:
            self.fault = "large"
        elif self.guard.arriving > self.guard.together:
            self.fault = "full"
        if self.fault:
            self.complete = False
            return GONE
        return message

    def _wait_s(self) -> float:
        """How long the next piece may take."""
        now, pace = asyncio.get_running_loop().time(), self.guard.pace
        self.began_s = now if self.began_s is None else self.began_s
        end = self.began_s + pace.first_s + self.bytes / pace.bytes_per_s
        return max(0.0, min(pace.piece_s, end - now))


class Answer:
    """What the application answers. Once the body has a fault, only an answer that has begun already goes on."""

    def __init__(self, send: Send, receive: Receive, lingering: Lingering):
        self.send, self.receive, self.lingering, self.started = send, receive, lingering, False

    def send_unless(self, body: Body) -> Send:
        async def send(message: Message) -> None:
            if body.fault and not self.started:
                return
            if not self.started and not body.complete and body.expected:  # the rest would be read for nothing
                message = {**message, "headers": [*message.get("headers", []), (b"connection", b"close")]}
                self.send = self.lingering.around(self.send, self.receive, lambda: not body.complete)
            self.started = True
            await self.send(message)

        return send


def _declared(scope: Scope) -> int:
    """The declared length of the body; 0 where there is none. The server has refused what is no number."""
    lengths = values(scope, b"content-length")
    return max((int(length) for length in lengths if length.isdigit()), default=0)


async def _busy(scope: Scope, send: Send, why: str) -> None:
    await refuse(scope, send, 503, "the server is busy", why, "try again later", [(b"retry-after", b"%d" % RETRY_S)])


def _size(size: int) -> str:
    return f"{size / 1e6:.0f} MB" if size >= 1e6 else f"{size} bytes"
