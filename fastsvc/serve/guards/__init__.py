"""What stands before the API: hosts, origins, the token, limits while receiving, headers of the answers.

The guards lie around the whole application, its own answers to faults included.
"""

from __future__ import annotations

from fastapi import FastAPI

from fastsvc.serve.guards.answer import App
from fastsvc.serve.guards.bodies import MULTIPART, SMALL, BodyGuard, Pace
from fastsvc.serve.guards.headers import HEAD_BYTES, HeaderGuard
from fastsvc.serve.guards.hosts import HostGuard, KnownHosts
from fastsvc.serve.guards.origin import OriginGuard
from fastsvc.serve.guards.token import TokenGuard
from fastsvc.serve.settings import ServeSettings

API = "/api/v1"
MESSAGE_BYTES = 1024 * 1024  # of one message of a WebSocket; a block has 8 KB
KEEP_ALIVE_S = 5
PING_S = 20.0


def guard(app: FastAPI, settings: ServeSettings) -> None:
    """Put the guards around ``app``, before it starts. Its clients must call it by a name that is allowed."""
    build = app.build_middleware_stack
    app.build_middleware_stack = lambda: guarded(build(), settings)


def guarded(app: App, settings: ServeSettings, pace: Pace | None = None) -> App:
    """The application within the guards; what any of them refuses, those further in never see."""
    app = BodyGuard(app, body_limit(settings), together=settings.waiting_bytes, pace=pace)
    if settings.token is not None:
        app = TokenGuard(app, settings.token)
    hosts = KnownHosts.of(settings.host, settings.hosts)
    return HeaderGuard(HostGuard(OriginGuard(app), hosts))


def body_limit(settings: ServeSettings):
    """(method, path) → the most bytes that a body may have."""
    uploads = {
        f"{API}/jobs": settings.max_request_bytes + MULTIPART,
        f"{API}/engines": settings.max_request_bytes + MULTIPART if settings.uploads else SMALL,
        f"{API}/convert": settings.max_bytes + MULTIPART,
    }

    def limit(method: str, path: str) -> int:
        return uploads.get(path, SMALL) if method == "POST" else SMALL

    return limit


def uvicorn_options(settings: ServeSettings) -> dict:
    """What uvicorn.Config gets besides host and port.

    h11 and asyncio, as the deadlines of :mod:`fastsvc.serve.guards.connections` are theirs. No access log: addresses of
    jobs are secrets, and the page's first one has the token. No number of connections is a limit of uvicorn's, which
    would count idle ones; guards count requests. Headers of proxies are not believed.
    """
    from fastsvc.serve.guards.connections import Connection

    class Timed(Connection):
        HEAD_S = settings.header_s

    return {
        "http": Timed,
        "loop": "asyncio",
        "ws": "websockets-sansio",
        "h11_max_incomplete_event_size": HEAD_BYTES,
        "timeout_keep_alive": KEEP_ALIVE_S,
        "ws_max_size": MESSAGE_BYTES,
        "ws_per_message_deflate": False,
        "ws_ping_interval": PING_S,
        "ws_ping_timeout": PING_S,
        "access_log": False,
        "server_header": False,
        "proxy_headers": False,
    }
