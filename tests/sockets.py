"""A server with real sockets in a thread, and clients that send bytes."""

import contextlib
import socket
import threading
import time

import uvicorn

from fastsvc.serve.guards import guarded, uvicorn_options


@contextlib.contextmanager
def served(app, settings, pace=None):
    """The port of ``app`` behind the guards, with the server's own settings of uvicorn."""
    with listening() as listener:
        config = uvicorn.Config(guarded(app, settings, pace), lifespan="off", **uvicorn_options(settings))
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        until(lambda: server.started)
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = server.force_exit = True
            thread.join(10)


@contextlib.contextmanager
def listening():
    with contextlib.closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        yield listener


def until(condition, seconds=10.0):
    """Wait until ``condition()`` is true; fails after ``seconds``."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)


def connected(port, seconds=10.0):
    return contextlib.closing(socket.create_connection(("127.0.0.1", port), timeout=seconds))


def head(method="GET", path="/", *lines):
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: localhost", *lines, "", ""]).encode()


def answered(client):
    """(status, headers by lower name, body) of what the server sends until it closes; status 0: nothing."""
    received = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := client.recv(65536):
            received += piece
    if not received:
        return 0, {}, b""
    first, _, body = received.partition(b"\r\n\r\n")
    status, *lines = first.decode("latin-1").split("\r\n")
    return (
        int(status.split()[1]),
        {key.lower(): value for key, _, value in (line.partition(": ") for line in lines)},
        body,
    )
