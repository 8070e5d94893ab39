"""A live stream in a worker process, as the server's routes see it: see fastsvc/serve/workers/__init__.py."""

from __future__ import annotations

from collections.abc import AsyncIterator

from fastsvc.errors import AudioError, ConfigError, EngineError, FastsvcError, SpeakerError
from fastsvc.serve.workers.process import Process

_KINDS = {kind.__name__: kind for kind in (AudioError, ConfigError, EngineError, SpeakerError)}


def typed(failed: dict) -> FastsvcError:
    """The typed error of a worker's message {"kind", "message", "remedy"}."""
    return _KINDS.get(failed["kind"], EngineError)(failed["message"], failed["remedy"])


class Link:
    """Made by Pool.stream."""

    def __init__(self, process: Process):
        self.process = process
        self.running = False

    async def start(self, arguments: dict) -> dict:
        """Begin a stream with the arguments of Engine.stream; returns its latencies. Raises their typed errors."""
        self.process.send({"start": arguments})
        self.running = True  # also where nobody waits for the end of this: the next stream must not get its answers
        while True:
            message = await self.process.receive()
            if isinstance(message, dict) and "failed" in message:
                self.running = False
                raise typed(message["failed"])
            if isinstance(message, dict) and "ready" in message:
                return message["ready"]

    def send(self, samples: bytes) -> None:
        self.process.send(samples)

    async def drained(self) -> None:
        """Wait while the worker's pipe is full: a client that sends faster than that has to wait itself."""
        await self.process.drained()

    def change(self, values: dict) -> None:
        self.process.send({"change": values})

    def flush(self) -> None:
        self.process.send({"flush": True})

    def __aiter__(self) -> AsyncIterator[bytes | dict]:
        return self

    async def __anext__(self) -> bytes | dict:
        message = await self.process.receive()
        if isinstance(message, dict) and "failed" in message:
            raise typed(message["failed"])
        return message

    async def stop(self) -> None:
        """End the stream; the process is free for another one then. Raises EngineError where it has died."""
        if self.running:
            self.process.send({"stop": True})
            self.running = False
            while True:
                message = await self.process.receive()
                if isinstance(message, dict) and "stopped" in message:
                    return
