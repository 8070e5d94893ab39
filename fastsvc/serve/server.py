"""The server's life: it starts, says where it listens, and on SIGTERM or Ctrl-C finishes what is in work."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ipaddress
import logging
import signal
import socket
from collections.abc import Callable

import uvicorn

from fastsvc.errors import ResourceError
from fastsvc.serve.app import create_app
from fastsvc.serve.guards import uvicorn_options
from fastsvc.serve.service import Service
from fastsvc.serve.settings import ServeSettings

BACKLOG = 2048
CLOSE_S = 2  # for answers that are being sent when all jobs are over
log = logging.getLogger("fastsvc.serve")


def run(settings: ServeSettings, on_started: Callable[[str], None] = lambda address: None) -> None:
    """Serve until SIGTERM or SIGINT; a second one ends the server at once. ``on_started`` gets the page's address.

    Raises OutputError where the data folder cannot be used, ResourceError where the port cannot.
    """
    asyncio.run(_serve(settings, on_started))


async def _serve(settings: ServeSettings, on_started: Callable[[str], None]) -> None:
    app = create_app(settings)
    with contextlib.closing(listening(settings.host, settings.port)) as listener:
        service: Service = app.state.service
        await service.start()
        try:
            options = {"log_config": None, "lifespan": "on", "timeout_graceful_shutdown": CLOSE_S}
            options |= uvicorn_options(settings)
            server = _Server(uvicorn.Config(app, **options), service)
            server.on_started = lambda: on_started(address(settings.host, listener.getsockname()[1]))
            await server.serve([listener])
        finally:
            await service.stop()


def listening(host: str, port: int) -> socket.socket:
    """A socket that listens there. Raises ResourceError."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, place = found[0]
        listener = socket.socket(family)
    except OSError as error:
        raise ResourceError(
            f"{host}: not an address of this machine: {error.strerror}", "choose another --host"
        ) from None
    try:
        if hasattr(socket, "SO_REUSEADDR") and not hasattr(socket, "SO_EXCLUSIVEADDRUSE"):
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(place)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        foreign = error.errno == errno.EADDRNOTAVAIL
        remedy = (
            "choose an address of this machine for --host" if foreign else "choose another --port; 0 takes a free one"
        )
        raise ResourceError(f"{host}:{port}: cannot be listened on: {error.strerror}", remedy) from None
    return listener


def address(host: str, port: int) -> str:
    """The page's address for a browser of this machine."""
    try:
        ip = ipaddress.ip_address(host)
        everywhere = ip.is_unspecified
        name = ("[::1]" if everywhere else f"[{ip}]") if ip.version == 6 else "127.0.0.1" if everywhere else host
    except ValueError:
        name = host
    return f"http://{name}:{port}/"


class _Server(uvicorn.Server):
    """uvicorn's server, which drains before it stops."""

    on_started: Callable[[], None]
    loop: asyncio.AbstractEventLoop

    def __init__(self, config: uvicorn.Config, service: Service):
        super().__init__(config)
        self.service = service
        self._draining: asyncio.Future | None = None

    async def startup(self, sockets=None) -> None:
        self.loop = asyncio.get_running_loop()
        await super().startup(sockets)
        if self.started:
            self.on_started()

    def handle_exit(self, sig: int, frame) -> None:
        """Called by the signal's handler in the main thread, where the event loop runs."""
        if self._draining is not None:
            self.should_exit = self.force_exit = True
            return
        log.info("stopping: %s", signal.Signals(sig).name)
        self.loop.call_soon_threadsafe(self._begin)
        self._draining = asyncio.Future(loop=self.loop)

    def _begin(self) -> None:
        self._draining = asyncio.ensure_future(self._drain())

    async def _drain(self) -> None:
        await self.service.drain()
        self.should_exit = True
