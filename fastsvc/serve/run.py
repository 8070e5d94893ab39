"""Running the server: a socket, uvicorn with the guards' settings, and an end that waits for jobs in work."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import signal
import socket
from collections.abc import Callable

import uvicorn

from fastsvc import screen
from fastsvc.errors import ResourceError
from fastsvc.serve.app import create_app
from fastsvc.serve.guards import WAITING_CONNECTIONS, uvicorn_options
from fastsvc.serve.settings import ServeSettings

FILES = 8192  # open files to ask the system for: a connection takes one
LOGS = ("uvicorn.error", "fastsvc.serve")
CLOSE_S = 5  # for answers that are being sent when the server ends
_BIND_ERRORS = {
    errno.EADDRINUSE: "it is in use",
    errno.EACCES: "no permission",
    errno.EADDRNOTAVAIL: "not an address here",
}


def run(settings: ServeSettings, ready: Callable[[str], None] = lambda address: None) -> None:
    """Serve until SIGTERM (which waits for jobs in work, settings.drain_s at most) or Ctrl-C, which does not.

    ``ready`` gets the address once connections are taken. Raises KeyboardInterrupt after Ctrl-C; ResourceError where
    the address cannot be used; OutputError for ``settings.home``.
    """
    _raise_file_limit()
    with contextlib.closing(bound(settings)) as listener:
        app = create_app(settings)
        options = uvicorn_options(settings) | {"log_config": None, "timeout_graceful_shutdown": CLOSE_S}
        server = Server(uvicorn.Config(app, **options), app.state.service, lambda: ready(address(settings, listener)))
        with _logged(), _term_returns():
            asyncio.run(_serve(server, listener))


async def _serve(server: Server, listener: socket.socket) -> None:
    """The service starts before uvicorn, which would print its errors and end."""
    await server.service.start()
    try:
        await server.serve(sockets=[listener])
    finally:
        await server.service.stop()


class Server(uvicorn.Server):
    """``service``: what SIGTERM lets finish its jobs; ``ready`` is called once the server listens."""

    def __init__(self, config: uvicorn.Config, service, ready: Callable[[], None]):
        super().__init__(config)
        self.service, self.ready = service, ready
        self.loop: asyncio.AbstractEventLoop | None = None
        self.ending: asyncio.Task | None = None

    async def startup(self, sockets=None) -> None:
        await super().startup(sockets=sockets)
        self.loop = asyncio.get_running_loop()
        self.ready()

    def handle_exit(self, sig, frame) -> None:
        """SIGTERM: no new jobs, and the end once those in work are over. A second one, or Ctrl-C: the end at once."""
        if sig != signal.SIGTERM or self.loop is None or self.service.draining:
            super().handle_exit(sig, frame)
        else:
            self.loop.call_soon_threadsafe(self._drain)

    def _drain(self) -> None:
        if self.ending is None:
            self.ending = asyncio.ensure_future(self._end())

    async def _end(self) -> None:
        try:
            await self.service.drain()
        finally:
            self.should_exit = True


def bound(settings: ServeSettings) -> socket.socket:
    """A listening socket. Raises ResourceError."""
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise ResourceError(f"host {settings.host}: {error.strerror or error}", "choose another --host") from None
    try:
        exclusive = getattr(socket, "SO_EXCLUSIVEADDRUSE", None)  # Windows, where SO_REUSEADDR shares the port
        listener.setsockopt(socket.SOL_SOCKET, exclusive or socket.SO_REUSEADDR, 1)
        listener.bind(place)
        listener.listen(WAITING_CONNECTIONS)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        why = _BIND_ERRORS.get(error.errno or 0, error.strerror or str(error))
        raise ResourceError(
            f"{settings.host}, port {settings.port}: {why}", "choose another --port or --host"
        ) from None
    return listener


def address(settings: ServeSettings, listener: socket.socket) -> str:
    """Where a browser on this machine finds the server; without the token."""
    port = listener.getsockname()[1]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)  # noqa: S104 - a name, not a bind
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/"


class _Screen(logging.Handler):
    """Lines of a library's log as ours: to stderr, with control characters of strangers escaped."""

    def emit(self, record: logging.LogRecord) -> None:
        import click

        click.echo(screen.shown(self.format(record), lines=screen.level() > 0), err=True)


@contextlib.contextmanager
def _logged():
    loggers, handler = [logging.getLogger(name) for name in LOGS], _Screen()
    before = [logger.propagate for logger in loggers]
    for logger in loggers:
        logger.addHandler(handler)
        logger.propagate = False
    try:
        yield
    finally:
        for logger, propagates in zip(loggers, before):
            logger.removeHandler(handler)
            logger.propagate = propagates


@contextlib.contextmanager
def _term_returns():
    """uvicorn raises SIGTERM once more after it has ended in order, which would end this process with an error."""
    try:
        before = signal.signal(signal.SIGTERM, lambda number, frame: None)
    except ValueError:  # not the main thread
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _raise_file_limit() -> None:
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        most = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
        if soft < most:
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
