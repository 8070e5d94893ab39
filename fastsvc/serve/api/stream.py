"""Live conversion over a WebSocket: samples in and samples out, in a process that holds the engine.

The client says first what it wants, as JSON; "ready" answers with the latency. Then binary messages are mono samples,
little-endian float32, both ways: as many come out as went in. Text from the client changes the voice or flushes; text
from the server tells times and what came late.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Mapping

from fastapi import APIRouter, WebSocket, WebSocketDisconnect
from starlette.websockets import WebSocketState

from fastsvc import faults
from fastsvc.errors import FastsvcError, ResourceError
from fastsvc.serve import advice, messages
from fastsvc.serve.api.errors import Refused
from fastsvc.serve.api.stream_request import SAMPLE_BYTES, Changes, arguments_of, changes_of
from fastsvc.serve.service import Service, service
from fastsvc.serve.workers.link import Link
from fastsvc.serve.workers.process import WorkerEnded

FIRST_S = 10.0  # for the first message
IDLE_S = 30.0  # without any message: a microphone always has samples, and another client may wait for the place
POLICY, FAILED, LATER = 1008, 1011, 1013  # codes of a WebSocket's end
log = logging.getLogger("fastsvc.serve")
router = APIRouter(prefix="/api/v1", tags=["stream"])


class Gone(Exception):
    """The client has closed the WebSocket."""


@router.websocket("/stream")
async def stream(socket: WebSocket) -> None:
    """One live conversion, until the client leaves."""
    state = service(socket)
    await socket.accept()
    try:
        await _converse(socket, state)
    except (Gone, WebSocketDisconnect):  # it left while we waited, or before we could send
        pass
    except Refused as error:
        await _end(socket, error.error, POLICY)
    except WorkerEnded as error:
        await _end(socket, messages.public(error), FAILED)
    except ResourceError as error:
        await _end(socket, messages.public(error), LATER)
    except FastsvcError as error:
        await _end(socket, messages.public(error, state.voices.names()), POLICY)
    except asyncio.TimeoutError:
        why = f"no message came for {IDLE_S:.0f} s"
        await _end(socket, {"what": "the stream", "why": why, "remedy": "send samples, also of silence"}, POLICY)
    except Exception as error:
        log.error("%s", faults.details(error))
        await _end(socket, {"what": "the stream", "why": faults.TITLE, "remedy": "please report it"}, FAILED)


async def _converse(socket: WebSocket, state: Service) -> None:
    if not state.settings.live:
        raise Refused(403, "live conversion", "the server was started with --no-live")
    if state.draining:
        raise Refused(503, "the server is stopping", "it takes no more streams", "try again when it has started again")
    first = await _text(socket, FIRST_S)
    voice, arguments = arguments_of(first, state.voices)
    async with state.pool.stream(voice.id) as link:
        ready = await link.start(arguments)
        latency = {key: ready[key] for key in ("block_ms", "lookahead_ms", "resampling_ms")}
        latency["total_ms"] = sum(latency.values())
        await socket.send_json({"type": "ready", "latency": latency, "rate_hz": ready["rate_hz"]})
        await _first_of(_listen(socket, link), _speak(socket, link, state))


async def _first_of(*works: Awaitable) -> None:
    """Wait for the first of them to end, end the others, and raise what it raised."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()


async def _listen(socket: WebSocket, link: Link) -> None:
    """What the client sends goes to the worker, which drops what it cannot follow."""
    while True:
        message = await _message(socket, IDLE_S)
        samples = message.get("bytes")
        if samples:
            if len(samples) % SAMPLE_BYTES:
                raise Refused(422, "the samples", "a message ends within a sample", "send whole float32 numbers")
            link.send(samples)
            await link.drained()
        elif message.get("text"):
            changes: Changes = changes_of(message["text"])
            if changes.values:
                link.change(changes.values)
            if changes.flush:
                link.flush()


async def _speak(socket: WebSocket, link: Link, state: Service) -> None:
    """What the worker tells goes to the client."""
    late = dropped = 0
    async for item in link:
        if isinstance(item, bytes):
            await socket.send_bytes(item)
            continue
        if item.get("type") == "stats":
            state.metrics.late.inc(max(0, item["late"] - late))
            state.metrics.dropped.inc(max(0, item["dropped"] - dropped))
            late, dropped = item["late"], item["dropped"]
        elif item.get("type") == "error":
            item["remedy"] = advice.for_clients(item["remedy"])
        await socket.send_json(item)


async def _message(socket: WebSocket, seconds: float) -> Mapping:
    message = await asyncio.wait_for(socket.receive(), seconds)
    if message["type"] == "websocket.disconnect":
        raise Gone
    return message


async def _text(socket: WebSocket, seconds: float) -> str:
    text = (await _message(socket, seconds)).get("text")
    if text is None:
        raise Refused(422, "the first message", "it is not text", "send a JSON object with engine and rate_hz")
    return text


async def _end(socket: WebSocket, error: dict, code: int) -> None:
    """Say why, then close; the client may be gone."""
    with contextlib.suppress(Exception):
        if socket.client_state == WebSocketState.CONNECTED:
            await socket.send_json({"type": "error", **error})
            await socket.close(code)
