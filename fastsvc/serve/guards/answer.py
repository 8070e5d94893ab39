"""The answer of a guard in place of the application's: an error as JSON, and the connection closed."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Header = tuple[bytes, bytes]

DENIAL = "websocket.http.response"  # ASGI's extension: an answer of HTTP to the handshake of a WebSocket
POLICY_VIOLATION = 1008  # of a WebSocket, where the server lacks that extension


def error_body(what: str, why: str, remedy: str) -> bytes:
    """The body of every error that the server answers with."""
    return json.dumps({"error": {"what": what, "why": why, "remedy": remedy}}, ensure_ascii=False).encode()


async def refuse(
    scope: Scope, send: Send, status: int, what: str, why: str, remedy: str, headers: Iterable[Header] = ()
) -> None:
    """Answer a request, or a WebSocket's handshake, with an error. The connection ends: a body may still arrive."""
    await respond(scope, send, status, b"application/json", error_body(what, why, remedy), headers)


async def respond(
    scope: Scope, send: Send, status: int, kind: bytes, body: bytes, headers: Iterable[Header] = ()
) -> None:
    """As :func:`refuse`, with another body. ``kind``: its content type."""
    fixed = [(b"content-type", kind), (b"content-length", b"%d" % len(body)), (b"connection", b"close")]
    start = {"status": status, "headers": [*fixed, *headers]}
    if scope["type"] == "http":
        await send({"type": "http.response.start", **start})
        await send({"type": "http.response.body", "body": body if scope["method"] != "HEAD" else b""})
    elif DENIAL in scope.get("extensions", {}):
        await send({"type": f"{DENIAL}.start", **start})
        await send({"type": f"{DENIAL}.body", "body": body})
    else:
        await send({"type": "websocket.close", "code": POLICY_VIOLATION})


def values(scope: Scope, name: bytes) -> list[str]:
    """All values of a header, whose name is given in lower case."""
    return [value.decode("latin-1") for key, value in scope["headers"] if key.lower() == name]
