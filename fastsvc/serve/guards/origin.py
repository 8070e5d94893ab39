"""Which page a request comes from: only the server's own page may change anything or open a WebSocket.

A page of another site, or of another program on this machine, can send a form here without asking (`no-cors`), and can
open a WebSocket, which no CORS guards. Browsers say so in Origin and Sec-Fetch-Site. Other programs (curl, scripts)
send neither, and are let in.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from fastsvc.serve.guards.answer import App, Receive, Scope, Send, refuse, values

SAFE = ("GET", "HEAD", "OPTIONS")  # methods that change nothing
DEFAULT_PORTS = {"http": 80, "https": 443}


def is_own_origin(origin: str, host: str) -> bool:
    """Whether the page at ``origin`` was served under ``host``, a Host header. A proxy may have added TLS."""
    try:
        page = urlsplit(origin)
        if page.scheme not in DEFAULT_PORTS or page.path or page.query or page.fragment or page.username is not None:
            return False
        own = urlsplit(f"{page.scheme}://{host}")
        default = DEFAULT_PORTS[page.scheme]
        return bool(page.hostname) and (page.hostname, page.port or default) == (own.hostname, own.port or default)
    except ValueError:  # a port that is no number, half a bracket
        return False


def fault(scope: Scope) -> str:
    """Why a request is refused; an empty text where it may pass."""
    origins, sites = values(scope, b"origin"), values(scope, b"sec-fetch-site")
    hosts = values(scope, b"host")
    if scope["type"] == "http" and scope["method"] in SAFE:
        if not sites or sites in (["same-origin"], ["none"]):
            return ""
        # A link from elsewhere leads to the page; pictures, frames, scripts and fetches from elsewhere get nothing.
        opened = values(scope, b"sec-fetch-mode") == ["navigate"] and values(scope, b"sec-fetch-dest") == ["document"]
        return "" if opened else "another page asks for it"
    if sites not in ([], ["same-origin"]):
        return "another page sent it"
    if origins and not (len(origins) == len(hosts) == 1 and is_own_origin(origins[0], hosts[0])):
        return "a page of another origin sent it"
    return ""


class OriginGuard:
    """ASGI: 403 for what other pages send."""

    def __init__(self, app: App):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        why = fault(scope) if scope["type"] in ("http", "websocket") else ""
        if not why:
            return await self.app(scope, receive, send)
        await refuse(
            scope, send, 403, "foreign page", why, "open the server's own page, or use a program, not a browser"
        )
