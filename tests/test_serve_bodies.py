"""Bodies of requests while they arrive: too large, too slow, too many at a time."""

import asyncio
import socket

import pytest
from guarded_app import Inner, client
from sockets import answered, head, served

from fastsvc.serve import guards
from fastsvc.serve.guards.bodies import MULTIPART, SMALL, BodyGuard, Pace
from fastsvc.serve.settings import ServeSettings

JOBS = "/api/v1/jobs"


@pytest.fixture
def inner():
    return Inner()


def test_a_declared_size_is_refused_unread(inner, tmp_path):
    http = client(inner, tmp_path, max_request_bytes=1000, max_bytes=1000)
    large = 1000 + MULTIPART
    for path, most in ((JOBS, large), ("/api/v1/engines", large), ("/api/v1/jobs/1", SMALL), ("/", SMALL)):
        assert http.post(path, content=b"x" * most).status_code == 200
        inner.calls = 0
        answer = http.post(path, content=b"x" * (most + 1))
        assert answer.status_code == 413 and answer.json()["error"]["why"] and inner.calls == 0
        assert answer.headers["connection"] == "close"


def test_a_body_without_length_is_counted(inner, tmp_path):
    """The application sees its client go. How much arrives at most: tests/test_serve_sockets.py."""
    content = (b"x" * 50_000 for _ in range(100))
    http = client(inner, tmp_path, max_request_bytes=1000, pace=Pace(linger_bytes=0))
    assert http.post(JOBS, content=content).status_code == 413
    assert inner.bytes <= 1000 + MULTIPART and inner.left == 1


async def _served(app, messages, path=JOBS):
    """What ``app`` answers to ASGI messages; where they end the client says nothing more."""
    answers, waiting = [], list(messages)

    async def receive():
        if waiting:
            return waiting.pop(0)
        await asyncio.sleep(3600)

    async def send(message):
        answers.append(message)

    headers = [(b"host", b"localhost"), (b"transfer-encoding", b"chunked")]
    scope = {"type": "http", "method": "POST", "path": path, "headers": headers, "query_string": b""}
    await asyncio.wait_for(app(scope, receive, send), 10)
    return answers


def _piece(size):
    return {"type": "http.request", "body": b"x" * size, "more_body": True}


@pytest.mark.parametrize("pace", [Pace(piece_s=0.05), Pace(first_s=0.05, bytes_per_s=1e9)], ids=["stops", "trickles"])
def test_a_slow_body_ends(inner, tmp_path, pace):
    app = guards.guarded(inner, ServeSettings(home=tmp_path), pace)
    answers = asyncio.run(_served(app, [_piece(10)] * 3))
    assert answers[0]["status"] == 408 and inner.left == 1


def test_bodies_of_all_together(inner, tmp_path):
    app = guards.guarded(inner, ServeSettings(home=tmp_path, waiting_bytes=1000), Pace(piece_s=0.2))

    async def both():
        return await asyncio.gather(_served(app, [_piece(600)]), _served(app, [_piece(600)]))

    first, second = asyncio.run(both())
    assert {first[0]["status"], second[0]["status"]} == {408, 503}
    assert dict((second if second[0]["status"] == 503 else first)[0]["headers"])[b"retry-after"]
    assert asyncio.run(_served(app, [_piece(900)]))[0]["status"] == 408  # what the others held is free again


def test_refused_requests_keep_nobody_out(inner):
    """An attack: refused clients that never end their bodies. Few linger, the oldest goes first, each with its whole
    answer; and honest requests find all places free."""
    guard = BodyGuard(inner, lambda method, path: 100, 1000, requests=4, pace=Pace(linger_s=3600, lingering=3))

    async def attacked():
        refused = []
        for _ in range(20):
            refused.append(asyncio.ensure_future(_served(guard, [_piece(101)])))
            await asyncio.sleep(0.01)
        assert [task.done() for task in refused] == [True] * 17 + [False] * 3
        last = {"type": "http.request", "body": b"x", "more_body": False}
        honest = await asyncio.gather(*(_served(guard, [_piece(10), last]) for _ in range(4)))
        assert [answers[0]["status"] for answers in honest] == [200] * 4
        assert len(guard.lingering) == 3 and not any(task.done() for task in refused[17:])
        for task in refused[17:]:
            task.cancel()
        await asyncio.gather(*refused, return_exceptions=True)
        assert guard.open == 0 and len(guard.lingering) == 0
        return [task.result() for task in refused[:17]]

    for answers in asyncio.run(attacked()):
        assert answers[0]["status"] == 413 and answers[-1] == {"type": "http.response.body", "body": b""}


def test_refused_clients_that_stay_make_room(inner, tmp_path):
    """The server closes the oldest of them, and each has its answer."""
    clients = []
    with served(inner, ServeSettings(home=tmp_path, max_request_bytes=1000), Pace(linger_s=60, lingering=4)) as port:
        try:
            for _ in range(12):
                clients.append(socket.create_connection(("127.0.0.1", port), timeout=10))
                clients[-1].sendall(head("POST", JOBS, "Content-Length: 9000000"))
            assert [answered(client)[0] for client in clients[:8]] == [413] * 8
            assert inner.calls == 0
        finally:
            for client in clients:
                client.close()
