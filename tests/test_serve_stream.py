"""Live conversion over the WebSocket: the stream's own samples, and clients that send what no page does."""

import contextlib
import json

import numpy as np
import pytest
import serving
from engines import build_engine
from sockets import until
from starlette.websockets import WebSocketDisconnect

from fastsvc import load
from fastsvc.serve.api import stream

pytestmark = pytest.mark.slow
RATE = 16000
STREAM = "ws://127.0.0.1/api/v1/stream"


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    return build_engine(tmp_path_factory.mktemp("engine"))


@pytest.fixture(scope="module")
def client(tmp_path_factory, engine):
    with serving.client(tmp_path_factory.mktemp("home"), engine, streams=1) as client:
        yield client


def _song():
    times = np.arange(RATE) / RATE
    return (0.5 * np.sin(2 * np.pi * 220 * times * (1 + 0.1 * times))).astype("<f4")


def _received(socket, end):
    """(samples, all JSON) up to and with the first JSON of type ``end``."""
    samples, told = [], []
    while not told or told[-1]["type"] != end:
        message = socket.receive()
        if message["type"] == "websocket.close":
            raise WebSocketDisconnect(message["code"])
        if message.get("bytes") is not None:
            samples.append(np.frombuffer(message["bytes"], "<f4"))
        else:
            told.append(json.loads(message["text"]))
    return np.concatenate([np.zeros(0, np.float32), *samples]), told


def test_a_stream_gives_the_engines_samples(client, engine):
    song = _song()
    local = load(engine, device="cpu").stream("Bert", RATE, block_ms=40, lookahead_ms=80, transpose=2, seed=5)
    expected = np.concatenate([local.push(song), local.flush()])
    with client.websocket_connect(STREAM) as socket:
        asked = {"speaker": "Bert", "rate_hz": RATE, "block_ms": 40, "lookahead_ms": 80, "transpose": 2, "seed": 5}
        socket.send_json(asked)
        _, (ready,) = _received(socket, "ready")
        latency = ready["latency"]
        assert ready["rate_hz"] == RATE and latency["block_ms"] == pytest.approx(local.latency.block_ms)
        assert latency["total_ms"] == pytest.approx(sum(value for key, value in latency.items() if key != "total_ms"))
        for piece in np.array_split(song, 20):
            socket.send_bytes(piece.tobytes())
        socket.send_json({"flush": True})
        heard, told = _received(socket, "flushed")
        assert len(heard) == len(song)
        if not any(line.get("dropped") for line in told):
            np.testing.assert_array_equal(heard, expected)
        socket.send_json({"set": {"speaker": "Cleo", "transpose": -3, "gain": 2}})
        socket.send_json({"set": {"speaker": "Nobody"}})
        _, told = _received(socket, "error")
        assert "Nobody" in told[-1]["what"] + told[-1]["why"] and told[-1]["remedy"]
        socket.send_bytes(song.tobytes())
        _, told = _received(socket, "stats")
        assert set(told[-1]["compute_ms"]) == {"p50", "p95"} and {"late", "dropped"} <= set(told[-1])


def _refused(client, *messages):
    """The error with which the server ends the stream, and the code."""
    with client.websocket_connect(STREAM) as socket:
        for message in messages:
            socket.send_bytes(message) if isinstance(message, bytes) else socket.send_text(message)
        _, told = _received(socket, "error")
        with pytest.raises(WebSocketDisconnect) as closed:
            _received(socket, "never")
    return told[-1], closed.value.code


@pytest.mark.parametrize(
    "first",
    [
        b"1234",
        "",
        "[]",
        "{",
        "[" * 10_000,
        '{"rate_hz": 16000, "x": 1}',
        '{"rate_hz": 16000, "f0_weights": "/etc/passwd"}',
        '{"rate_hz": 16000, "engine": "../../x"}',
        '{"rate_hz": 16000, "engine": 5}',
        '{"rate_hz": 0}',
        '{"rate_hz": 1e999}',
        '{"rate_hz": true}',
        "{}",
        '{"rate_hz": 16000, "block_ms": 1e9}',
        '{"rate_hz": 16000, "transpose": "auto"}',
        '{"rate_hz": 16000, "transpose": NaN}',
        '{"rate_hz": 16000, "speaker": ["Ada"]}',
        '{"rate_hz": 16000, "speaker": "Nobody"}',
        '{"rate_hz": 16000, "speaker": {"Ada": -1}}',
        '{"rate_hz": 16000, "seed": -1}',
        '{"rate_hz": 16000, "f0": "rmvpe"}',
        '{"rate_hz": 16000, "\\ud800": 1}',
        '{"rate_hz": 16000, "\\udce9": 1}',
        '{"rate_hz": 16000, "rate_hz": 8000}',
    ],
    ids=lambda text: str(text)[:40],
)
def test_first_messages_that_are_refused(client, first):
    if isinstance(first, str) and first.startswith('{"rate_hz"') and "speaker" not in first:
        first = first[:-1] + ', "speaker": 0}'
    error, code = _refused(client, first)
    assert code == stream.POLICY and error["what"] and error["remedy"] is not None
    assert json.dumps(error, ensure_ascii=False).encode(), "a real socket carries it"
    assert client.app.state.service.pool.streams() == 0


FIRST = '{"rate_hz": 16000, "speaker": 0}'


@pytest.mark.parametrize(
    "message",
    [b"123", "{}x", '{"set": {"steps": 2}}', '{"set": 1}', '{"flush": 1}', '{"set": {"gain": 0}}', '{"a": 1}'],
)
def test_later_messages_that_are_refused(client, message):
    error, code = _refused(client, FIRST, message)
    assert code == stream.POLICY and error["why"]


def test_a_silent_client_gives_its_place_to_others(client, monkeypatch):
    monkeypatch.setattr(stream, "IDLE_S", 0.5)
    monkeypatch.setattr(stream, "FIRST_S", 0.5)
    assert _refused(client)[1] == stream.POLICY
    assert _refused(client, FIRST)[1] == stream.POLICY
    assert client.app.state.service.pool.streams() == 0


def test_streams_have_a_limit_and_their_places_return(client):
    with client.websocket_connect(STREAM) as first:
        first.send_text(FIRST)
        _received(first, "ready")
        error, code = _refused(client, FIRST)
        assert code == stream.LATER and "1 live conversions run already" in error["what"] + error["why"]
    with client.websocket_connect(STREAM) as second:
        until(lambda: not client.app.state.service.pool.streams())  # the first one's worker stops
        second.send_text(FIRST)
        _received(second, "ready")


def test_a_flood_is_held_back_and_nothing_is_lost_of_its_length(client):
    """Samples that come faster than real time: the worker drops what it cannot follow, in the length of silence."""
    song = np.tile(_song(), 8)
    with client.websocket_connect(STREAM) as socket:
        socket.send_text(FIRST)
        _received(socket, "ready")
        for piece in np.array_split(song, 16):
            socket.send_bytes(piece.tobytes())
        socket.send_json({"flush": True})
        heard, _ = _received(socket, "flushed")
        assert len(heard) == len(song) and np.isfinite(heard).all()


@pytest.mark.long
def test_a_worker_that_dies_ends_the_stream_in_words(client):
    with client.websocket_connect(STREAM) as socket:
        socket.send_text(FIRST)
        _received(socket, "ready")
        for worker in client.app.state.service.pool.workers:
            worker.process.process.kill()
        _, told = _received(socket, "error")
        assert "its worker process ended" in told[-1]["why"]
        with contextlib.suppress(WebSocketDisconnect):
            _received(socket, "never")
    with client.websocket_connect(STREAM) as socket:  # and another one begins
        socket.send_text(FIRST)
        assert _received(socket, "ready")[1]


def test_no_live(tmp_path):
    with serving.client(tmp_path, live=False) as client:
        assert _refused(client, FIRST)[0]["why"] == "the server was started with --no-live"
