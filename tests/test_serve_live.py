"""Live streams in worker processes: what the server's WebSocket stands on."""

import asyncio
import contextlib

import engines
import numpy as np
import pytest
import streams

import fastsvc
from fastsvc.errors import EngineError, ResourceError, SpeakerError

pytest.importorskip("fastapi")
from fastsvc.serve.settings import ServeSettings
from fastsvc.serve.voices import Voices
from fastsvc.serve.workers.pool import Pool

pytestmark = [pytest.mark.long, pytest.mark.slow]
RATE_HZ = 24000
ASKED = {"speaker": "Bert", "rate_hz": RATE_HZ, "block_ms": 80.0, "lookahead_ms": 160.0}


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    return engines.build_engine(tmp_path_factory.mktemp("engine"))


@contextlib.asynccontextmanager
async def pool(home, engine, **limits):
    settings = ServeSettings(home=home, engines=(engine,), **limits)
    settings.make_folders()
    pool = Pool(settings, Voices(settings))
    try:
        yield pool
    finally:
        await pool.close()


async def rest(link) -> tuple[np.ndarray, list[dict]]:
    """All output up to the end of a flush, and the messages before it."""
    pieces, messages = [], []
    async for item in link:
        if isinstance(item, bytes):
            pieces.append(np.frombuffer(item, "<f4"))
        elif item["type"] == "flushed":
            return np.concatenate(pieces), messages
        else:
            messages.append(item)
    raise AssertionError("the stream ended without its rest")


def test_a_stream_gives_what_the_engine_gives_and_its_process_is_used_again(tmp_path, engine):
    audio = streams.song(0.95, RATE_HZ)  # all of it may wait
    expected = fastsvc.load(engine, device="cpu").stream(**ASKED)
    first = np.concatenate([expected.push(audio[:10000])])
    expected.set(speaker="Cleo")
    expected = np.concatenate([first, expected.push(audio[10000:]), expected.flush()])

    async def work():
        async with pool(tmp_path, engine) as workers:
            results = []
            for _ in range(2):
                async with workers.stream("engine") as link:
                    ready = await link.start(ASKED)
                    for start in range(0, 10000, 2500):
                        link.send(audio[start : start + 2500].tobytes())
                    link.change({"speaker": "Cleo"})
                    link.change({"speaker": "nobody"})
                    link.send(audio[10000:].tobytes())
                    link.flush()
                    results.append(await rest(link))
            assert len(workers.workers) == 1
            return ready, results

    ready, results = asyncio.run(work())
    assert ready["rate_hz"] == RATE_HZ
    assert ready["lookahead_ms"] >= 160
    for output, messages in results:
        assert np.array_equal(output, expected)
        (error,) = (message for message in messages if message["type"] == "error")
        assert "nobody" in error["what"]


def test_what_the_engine_cannot_follow_is_dropped_and_counted(tmp_path, engine):
    audio = streams.song(20.0, RATE_HZ)

    async def work():
        async with pool(tmp_path, engine) as workers, workers.stream("engine") as link:
            await link.start(ASKED)
            for start in range(0, len(audio), 2400):  # 20 s at once
                link.send(audio[start : start + 2400].tobytes())
            link.flush()
            output, messages = await rest(link)
            await asyncio.sleep(1.1)
            async for item in link:
                if isinstance(item, dict) and item["type"] == "stats":
                    return output, item
            return output, messages[-1]

    output, stats = asyncio.run(work())
    assert len(output) == len(audio)
    assert 0 < stats["dropped"] < len(audio)
    assert stats["compute_ms"]["p95"] >= stats["compute_ms"]["p50"] > 0


def test_streams_are_limited_refused_and_end_with_their_process(tmp_path, engine):
    async def work():
        async with pool(tmp_path, engine, streams=1) as workers:
            with pytest.raises(EngineError, match="no engine"):
                async with workers.stream("nothing"):
                    pass
            async with workers.stream("engine") as link:
                with pytest.raises(ResourceError, match="1 live conversions"):
                    async with workers.stream("engine"):
                        pass
                with pytest.raises(SpeakerError, match="nobody"):
                    await link.start({**ASKED, "speaker": "nobody"})
                await link.start(ASKED)
                link.process.process.kill()
                with pytest.raises(EngineError, match="signal 9"):
                    await rest(link)
            async with workers.stream("engine") as link:
                await link.start(ASKED)

    asyncio.run(work())
