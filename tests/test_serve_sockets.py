"""The server against clients that send what no browser does: real sockets, uvicorn and its settings."""

import contextlib
import json
import socket
import time

import pytest
from sockets import answered, connected, head, served

from fastsvc.serve.guards import connections
from fastsvc.serve.guards.bodies import MULTIPART, Pace
from fastsvc.serve.guards.headers import CSP, HEAD_BYTES, HEAD_LINES
from fastsvc.serve.settings import ServeSettings

JOBS = "/api/v1/jobs"
CLOSE = "Connection: close"
LARGE = 64 * 2**20


class Inner:
    """Reads the body, answers with its size; /large answers with 64 MB."""

    def __init__(self):
        self.bytes = 0

    async def __call__(self, scope, receive, send):
        if scope["path"] == "/unread":
            time.sleep(0.02)  # in the server's loop: what arrives meanwhile is not read
            return await self._answer(send, b"{}")
        size, more = 0, True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            size, more = size + len(message.get("body", b"")), message.get("more_body", False)
            self.bytes += len(message.get("body", b""))
        if scope["path"] == "/large":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            for _ in range(LARGE // 65536):
                await send({"type": "http.response.body", "body": bytes(65536), "more_body": True})
        await self._answer(send, json.dumps({"bytes": size}).encode())

    async def _answer(self, send, body):
        headers = [(b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


@pytest.fixture
def inner():
    return Inner()


def settings(tmp_path, **changes):
    return ServeSettings(**{"home": tmp_path, "max_request_bytes": 10**6, **changes})


def works(port):
    with connected(port, 5) as client:
        client.sendall(head("GET", "/", CLOSE))
        return answered(client)[0] == 200


def test_a_declared_gigabyte_is_refused_before_it_is_sent(inner, tmp_path):
    with served(inner, settings(tmp_path)) as port, connected(port) as client:
        client.sendall(head("POST", JOBS, "Content-Length: 1000000000", "Expect: 100-continue"))
        began = time.monotonic()
        status, headers, _ = answered(client)
        assert status == 413 and headers["connection"] == "close" and time.monotonic() - began < 5
        assert inner.bytes == 0 and works(port)


def test_a_client_that_sends_all_before_it_listens_sees_the_413(inner, tmp_path):
    with served(inner, settings(tmp_path)) as port, connected(port) as client:
        client.sendall(head("POST", JOBS, "Content-Length: 9000000") + bytes(9_000_000))
        status, _, body = answered(client)
        assert status == 413 and "2 MB" in json.loads(body)["error"]["why"] and inner.bytes == 0


def test_an_answer_before_the_body_reaches_the_client(inner, tmp_path):
    """Unread bytes would reset the connection, and with it an answer that the client has not read yet."""
    with served(inner, settings(tmp_path)) as port:
        for _ in range(10):
            with connected(port) as client:
                client.sendall(head("POST", "/unread", "Content-Length: 1"))
                time.sleep(0.01)
                client.sendall(b"x")
                received = b""
                while piece := client.recv(65536):  # a reset raises
                    received += piece
                assert received.endswith(b"{}")


def test_chunks_are_counted(inner, tmp_path):
    """Both of the ways to send a body have the limit, and so has one that names both."""
    chunk = b"10000\r\n" + bytes(65536) + b"\r\n"
    for lines in (["Transfer-Encoding: chunked"], ["Transfer-Encoding: chunked", "Content-Length: 10"]):
        with served(inner, settings(tmp_path), Pace(linger_bytes=0)) as port, connected(port) as client:
            try:
                client.sendall(head("POST", JOBS, *lines))
                for _ in range(400):  # 26 MB
                    client.sendall(chunk)
            except (BrokenPipeError, ConnectionResetError):
                pass
            status = answered(client)[0]
            assert status in (413, 400, 0)  # 0: the answer was lost with the connection, as the client went on
            assert inner.bytes <= 10**6 + MULTIPART + 65536 and works(port)
            inner.bytes = 0


@pytest.mark.parametrize(
    "lines",
    [
        ["Content-Length: 5", "Content-Length: 6"],
        ["Content-Length: -1"],
        ["Content-Length: 5x"],
        ["Transfer-Encoding: gzip, chunked"],
        ["Transfer-Encoding: xchunked"],
        ["Host: localhost"],
        ["Bad Header: x"],
        ["X: a\x00b"],
        [f"X: {'a' * HEAD_BYTES}"],
        [f"X{i}: {'a' * 1000}" for i in range(40)],
        [f"X{i}: a" for i in range(HEAD_LINES + 1)],
    ],
    ids=[
        "two lengths",
        "negative",
        "no number",
        "gzip",
        "xchunked",
        "two hosts",
        "space",
        "nul",
        "long",
        "large",
        "many",
    ],
)
def test_malformed_heads(inner, tmp_path, lines):
    with served(inner, settings(tmp_path)) as port, connected(port) as client:
        client.sendall(head("POST", JOBS, *lines, CLOSE))
        status, headers, body = answered(client)
        assert status in (400, 431, 501) and headers["content-security-policy"] == CSP
        assert json.loads(body)["error"]["what"] and inner.bytes == 0 and works(port)


def test_an_unread_body_ends_the_connection(inner, tmp_path):
    with served(inner, settings(tmp_path)) as port, connected(port) as client:
        client.sendall(head("POST", "/unread", "Content-Length: 60000"))
        status, headers, _ = answered(client)
        assert status == 200 and headers["connection"] == "close"


def test_slow_heads_do_not_keep_others_out(inner, tmp_path):
    """Slow-loris: connections whose request never ends are closed, and others are served meanwhile."""
    clients = []
    with served(inner, settings(tmp_path, header_s=0.5)) as port:
        try:
            for i in range(100):
                clients.append(socket.create_connection(("127.0.0.1", port), timeout=10))
                clients[-1].sendall([b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: localhost\r\nX: "][i % 3])
            assert works(port)
            time.sleep(0.3)
            for client in clients[2::3]:
                client.sendall(b"a")  # a byte now and then does not help
            assert [answered(client)[0] for client in clients] == [0] * 100 and works(port)
            assert not connections.Connection.waiting
        finally:
            for client in clients:
                client.close()


def test_after_an_answer_the_next_head_has_a_deadline_too(inner, tmp_path):
    with served(inner, settings(tmp_path, header_s=0.5)) as port, connected(port) as client:
        client.sendall(head())
        received = b""
        while not received.endswith(b"}"):
            received += client.recv(65536)
        client.sendall(b"GET / HTT")
        began = time.monotonic()
        assert answered(client)[0] == 0 and time.monotonic() - began < 3


def test_connections_that_wait_are_few(inner, tmp_path, monkeypatch):
    """The one that waits longest makes room: no number of silent connections shuts the door."""
    monkeypatch.setattr(connections, "MOST_WAITING", 10)
    clients = []
    with served(inner, settings(tmp_path, header_s=60.0)) as port:
        try:
            clients += [socket.create_connection(("127.0.0.1", port), timeout=10) for _ in range(30)]
            assert [answered(client)[0] for client in clients[:19]] == [0] * 19 and works(port)
            assert len(connections.Connection.waiting) <= 10
        finally:
            for client in clients:
                client.close()


def test_a_long_request_is_not_a_slow_head(inner, tmp_path):
    with served(inner, settings(tmp_path, header_s=0.3)) as port, connected(port) as client:
        client.sendall(head("POST", JOBS, "Content-Length: 10", CLOSE))
        for _ in range(10):
            time.sleep(0.1)
            client.sendall(b"x")
        assert answered(client)[0] == 200


def test_a_client_that_does_not_read_is_dropped(inner, tmp_path, monkeypatch):
    monkeypatch.setattr(connections, "STALL_S", 0.3)
    with served(inner, settings(tmp_path)) as port, connected(port) as client:
        client.sendall(head("GET", "/large"))
        time.sleep(0.6)
        assert works(port)
        received = 0
        with contextlib.suppress(ConnectionError):
            while piece := client.recv(1 << 20):
                received += len(piece)
        assert received < LARGE // 2


def test_a_slow_body_is_answered(inner, tmp_path):
    with served(inner, settings(tmp_path), Pace(piece_s=0.3)) as port, connected(port) as client:
        client.sendall(head("POST", JOBS, "Content-Length: 1000") + b"x")
        assert works(port) and answered(client)[0] == 408


def test_a_handshake_of_another_page_is_refused(inner, tmp_path):
    keys = [
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Key: {'A' * 22}==",
    ]
    with served(inner, settings(tmp_path)) as port, connected(port) as client:
        client.sendall(head("GET", "/api/v1/stream", *keys, "Origin: http://evil.example"))
        status, headers, body = answered(client)
        assert status == 403 and headers["content-security-policy"] == CSP and json.loads(body)["error"]
    for wrong in (keys[:3], [*keys[:2], keys[3]], [*keys[:3], "Sec-WebSocket-Key: x"]):
        with served(inner, settings(tmp_path)) as port, connected(port) as client:
            client.sendall(head("GET", "/api/v1/stream", *wrong))
            status, headers, _ = answered(client)
            assert status == 400 and headers["content-security-policy"] == CSP
