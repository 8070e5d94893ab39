"""Headers of every answer, errors too: what the page may load, and who may show or embed what the server answers."""

from __future__ import annotations

from fastsvc.serve.guards.answer import DENIAL, App, Header, Message, Receive, Scope, Send, refuse

# No inline script or style, nothing from elsewhere. A worklet counts as a script; 'self' covers the own WebSocket.
POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' blob: data:",
    "media-src": "'self' blob:",
    "connect-src": "'self'",
    "worker-src": "'self'",
    "manifest-src": "'self'",
    "form-action": "'self'",
    "base-uri": "'none'",
    "frame-ancestors": "'none'",
    "require-trusted-types-for": "'script'",
    "trusted-types": "'none'",
}
CSP = "; ".join(f"{name} {value}" for name, value in POLICY.items())
PERMISSIONS = "microphone=(self), camera=(), geolocation=(), payment=(), usb=(), serial=(), display-capture=()"
FIXED: tuple[Header, ...] = (
    (b"content-security-policy", CSP.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", PERMISSIONS.encode()),
)
HEAD_BYTES, HEAD_LINES = 32 * 1024, 100  # of a request's address and headers
CACHE: Header = (b"cache-control", b"no-store")  # where the application says nothing
_FIXED_NAMES = {name for name, _ in FIXED} | {b"server", b"access-control-allow-origin"}


def completed(headers: list[Header]) -> list[Header]:
    """The headers of an answer with ours, which the application cannot change; no CORS, no name of the server."""
    kept = [(name, value) for name, value in headers if name.lower() not in _FIXED_NAMES]
    cached = any(name.lower() == CACHE[0] for name, _ in kept)
    return [*kept, *FIXED, *(() if cached else (CACHE,))]


class HeaderGuard:
    """ASGI, outermost: adds the headers, and answers 500 where the application fails before it has answered; 431 for a
    request whose own headers are too large, 400 for an address with a null."""

    def __init__(self, app: App):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            return await self.app(scope, receive, send)
        started = False

        async def send_completed(message: Message) -> None:
            nonlocal started
            if message["type"] in ("http.response.start", f"{DENIAL}.start"):
                message = {**message, "headers": completed(list(message.get("headers", [])))}
            started = True
            await send(message)

        try:
            status, why = _fault(scope)
            if status:
                return await refuse(scope, send_completed, status, "the request", why, "send another one")
            await self.app(scope, receive, send_completed)
        except Exception:
            if not started:
                remedy = "see the server's log, and report it"
                await refuse(scope, send_completed, 500, "a fault of fastsvc", "the request failed", remedy)
            raise


def _fault(scope: Scope) -> tuple[int, str]:
    """(status, why) of a request that nothing should see; 0 for others.

    The server counts a head that is incomplete, and takes one that comes in one piece at any size. The file system's
    calls raise for a null.
    """
    lines = scope["headers"]
    size = sum(len(name) + len(value) + 4 for name, value in lines) + len(scope["path"]) + len(scope["query_string"])
    if size > HEAD_BYTES or len(lines) > HEAD_LINES:
        return 431, "its headers are too large"
    return (400, "its address has a null") if "\0" in scope["path"] else (0, "")
