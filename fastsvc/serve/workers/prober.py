"""Headers of recordings, read by a process that may crash or hang without harm."""

from __future__ import annotations

import asyncio
from pathlib import Path

from fastsvc.errors import AudioError
from fastsvc.serve.workers.link import typed
from fastsvc.serve.workers.process import Process, WorkerEnded

PATIENCE_S = 20.0  # for one header
START_S = 120.0
UNREADABLE = "the file cannot be read as a recording"


class Prober:
    """One process, started when it is first needed; requests wait for each other."""

    def __init__(self, folder: Path):
        self.folder, self.process, self.lock = folder, None, asyncio.Lock()

    async def seconds(self, path: Path, name: str) -> float:
        """The length of a recording by its header; ``name``: for messages. Raises AudioError, ResourceError."""
        async with self.lock:
            message = await self._asked(path, name)
        if "failed" in message:
            error = typed(message["failed"])
            raise AudioError(error.message.replace(str(path), name), error.remedy)
        return message["seconds"]

    async def _asked(self, path: Path, name: str) -> dict:
        for _ in range(2):  # an idle process may have died since the last time
            fresh = self.process is None or not self.process.alive
            process = await self._started() if fresh else self.process
            process.send({"probe": str(path)})
            try:
                message = await asyncio.wait_for(process.receive(), PATIENCE_S)
                return message if isinstance(message, dict) else {}
            except asyncio.TimeoutError:
                await self.close()
                break
            except WorkerEnded:
                await self.close()
                if fresh:
                    break
            except BaseException:  # the answer to this request must not be taken for the next one's
                await self.close()
                raise
        raise AudioError(f"{name}: {UNREADABLE}", "export it again as wav or flac")

    async def _started(self) -> Process:
        self.process = await Process.start({"role": "probe"}, self.folder, "the reader of headers")
        await asyncio.wait_for(self.process.receive(), START_S)
        return self.process

    async def close(self) -> None:
        process, self.process = self.process, None
        if process is not None:
            await process.end()
