"""Clients of the live stream that leave before it is ready: no fault of ours, nothing of theirs for the next one."""

import asyncio
import contextlib
import json
import logging
import sys
from types import SimpleNamespace

import pytest

pytest.importorskip("fastapi")
from fastapi import WebSocketDisconnect
from serve_fakes import FakeProcess
from starlette.websockets import WebSocketState

from fastsvc.serve.api import stream
from fastsvc.serve.settings import ServeSettings
from fastsvc.serve.voices import Voices
from fastsvc.serve.workers.link import Link
from fastsvc.serve.workers.process import Process, WorkerEnded

PIPES = dict.fromkeys(("stdin", "stdout", "stderr"), asyncio.subprocess.PIPE)
READY = {"ready": {"block_ms": 80.0, "lookahead_ms": 160.0, "resampling_ms": 0.0, "rate_hz": 24000}}


class Leaver:
    """A socket whose client says what it wants, and is gone when it is answered."""

    client_state = WebSocketState.CONNECTED

    def __init__(self, state):
        self.app = SimpleNamespace(state=SimpleNamespace(service=state))

    async def accept(self):
        pass

    async def receive(self):
        text = json.dumps({"speaker": "slt", "rate_hz": 24000})
        return {"type": "websocket.receive", "text": text}

    async def send_json(self, message):
        raise WebSocketDisconnect(1006)


def test_a_client_that_leaves_before_ready_is_not_logged(tmp_path, caplog):
    process, left = FakeProcess(), []
    process.answer(READY)

    @contextlib.asynccontextmanager
    async def reserved(engine_id):
        try:
            yield Link(process)
        finally:
            left.append(engine_id)

    settings = ServeSettings(home=tmp_path)
    pool = SimpleNamespace(stream=reserved)
    state = SimpleNamespace(settings=settings, voices=Voices(settings), draining=False, pool=pool)
    with caplog.at_level(logging.DEBUG, "fastsvc.serve"):
        asyncio.run(asyncio.wait_for(stream.stream(Leaver(state)), 10))
    assert left == ["voices"] and not caplog.records


def test_a_start_that_nobody_waits_for_is_stopped():
    """Else the worker's next client would get this one's stream, in this one's voice."""
    process = FakeProcess()

    async def work():
        link = Link(process)
        starting = asyncio.ensure_future(link.start({"speaker": "slt"}))
        await asyncio.sleep(0)
        starting.cancel()
        process.answer(READY, {"stopped": True})
        await asyncio.wait_for(link.stop(), 10)

    asyncio.run(work())
    assert process.sent == [{"start": {"speaker": "slt"}}, {"stop": True}] and process.answers.empty()


@pytest.mark.parametrize("ours", [True, False])
def test_only_workers_that_end_by_themselves_are_warned_of(ours, caplog):
    """A cancelled build is ended by the server, and its memory has not run out."""

    async def work():
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", "import time; time.sleep(60)", **PIPES)
        worker = Process(process, "Lena")
        worker.kill() if ours else process.kill()
        with pytest.raises(WorkerEnded):
            await worker.receive()
        await worker.end()

    with caplog.at_level(logging.INFO, "fastsvc.serve"):
        asyncio.run(work())
    (record,) = caplog.records
    assert record.levelno == (logging.INFO if ours else logging.WARNING)
