"""Connections that say nothing, or stop to listen, are closed: a thousand of them must not keep others out.

uvicorn waits for ever for the head of a first request, and for a client that stops to read an answer.
"""

from __future__ import annotations

import asyncio
import re
from typing import ClassVar

import h11
from uvicorn.protocols.http.h11_impl import STATUS_PHRASES, H11Protocol

from fastsvc.serve.guards.answer import error_body
from fastsvc.serve.guards.headers import completed

KEY = re.compile(rb"[A-Za-z0-9+/]{22}==")  # of a WebSocket's handshake
STALL_S = 120.0  # a client that does not read; browsers may let a paused recording's download wait
MOST_WAITING = 256  # connections without a request in work; beyond, the one that waits longest is closed


class Connection(H11Protocol):
    """HTTP/1.1 with a deadline for the head of each request, ``HEAD_S`` after the connection was made or the last
    answer was sent, and one for a client to read on."""

    HEAD_S: ClassVar[float] = 10.0
    waiting: ClassVar[dict[Connection, asyncio.TimerHandle]] = {}  # in the order in which they began to wait
    stalled: asyncio.TimerHandle | None = None

    def connection_made(self, transport) -> None:
        super().connection_made(transport)
        self._look()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._look()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._look()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        self.resume_writing()
        super().connection_lost(exc)

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        self._stop_waiting()
        headers = dict(self.headers)
        version, key = (headers.get(b"sec-websocket-" + name) for name in (b"version", b"key"))
        if event.method == b"GET" and version == b"13" and key and KEY.fullmatch(key):
            super().handle_websocket_upgrade(event)
        else:  # the library's own answer has none of our headers
            self.send_400_response("")

    def pause_writing(self) -> None:
        super().pause_writing()
        if self.stalled is None:
            self.stalled = self.loop.call_later(STALL_S, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self.stalled is not None:
            self.stalled.cancel()
            self.stalled = None

    def send_400_response(self, msg: str) -> None:
        """As uvicorn's, with the headers and the form of our errors."""
        body = error_body("the request", "it is malformed, or its head is too large", "send a request of HTTP/1.1")
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        answer = h11.Response(
            status_code=400, headers=completed([*headers, (b"connection", b"close")]), reason=STATUS_PHRASES[400]
        )
        for event in (answer, h11.Data(data=body), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event))
        self.transport.close()

    def _look(self) -> None:
        """Begin or cease to wait for the head of a request."""
        waits = self.conn.their_state is h11.IDLE and not self.transport.is_closing()
        if not waits or self.transport.get_protocol() is not self:
            self._stop_waiting()
        elif self not in self.waiting:
            self.waiting[self] = self.loop.call_later(self.HEAD_S, self._too_late)
            if len(self.waiting) > MOST_WAITING:
                next(iter(self.waiting))._too_late()

    def _stop_waiting(self) -> None:
        timer = self.waiting.pop(self, None)
        if timer is not None:
            timer.cancel()

    def _too_late(self) -> None:
        self._stop_waiting()
        self.transport.abort()
