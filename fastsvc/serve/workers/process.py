"""A worker process as the server sees it: started, spoken to, ended."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import subprocess
import sys
from pathlib import Path

from fastsvc import children, screen
from fastsvc.errors import EngineError, ResourceError
from fastsvc.serve.workers import wire

CHILD = "fastsvc.serve.workers.child"
LAST_WORDS = 2000  # characters of a worker's stderr that are kept
UNREAD = 1 << 24  # bytes that a worker has not read; it is stuck, and ended
_PATHS = ("FASTSVC_RMVPE", "FASTSVC_CACHE", "XDG_CACHE_HOME", "TMPDIR")  # variables with paths; a child works elsewhere
log = logging.getLogger("fastsvc.serve")


class WorkerEnded(EngineError):
    """A worker process has ended, though it had work to do."""


class Process:
    """One worker. It ends with the server: it reads the end of its stdin then."""

    def __init__(self, process: asyncio.subprocess.Process, title: str):
        self.process, self.title = process, title
        self.last_words = ""
        self.told_bytes = 0
        self.killed_by_us = False
        self._listening = asyncio.ensure_future(self._listen())

    @classmethod
    async def start(cls, role: dict, folder: Path, title: str) -> Process:
        """Start a worker in ``folder``, which is empty, and tell it its ``role``. ``title``: for messages.

        Raises ResourceError where the system starts no process."""
        if sys.platform == "win32":  # Ctrl-C in the terminal is for the server, which ends its workers
            options = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
        else:
            options = {"start_new_session": True}
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), asyncio.subprocess.PIPE)
        try:
            process = await asyncio.create_subprocess_exec(
                *children.python(CHILD), cwd=folder, env=_environment(), **pipes, **options
            )
        except OSError as error:
            raise ResourceError(
                f"no worker process can be started: {error.strerror}", "free memory on the server, then try again"
            ) from None
        worker = cls(process, title)
        worker.send(role)
        return worker

    @property
    def alive(self) -> bool:
        """One that was told to end counts as dead at once: the system takes a moment."""
        return self.process.returncode is None and not self.killed_by_us

    def send(self, message: wire.Message) -> None:
        """Never waits. A worker that has ended, or does not read, gets nothing; :meth:`receive` tells."""
        stdin = self.process.stdin
        if stdin is None or stdin.is_closing():
            return
        if stdin.transport.get_write_buffer_size() > UNREAD:
            self.kill()
            return
        with contextlib.suppress(OSError, RuntimeError):
            stdin.write(wire.packed(message))

    async def drained(self) -> None:
        """Wait until the worker has read most of what was sent."""
        if self.process.stdin is not None:
            with contextlib.suppress(OSError):
                await self.process.stdin.drain()

    async def receive(self) -> wire.Message:
        """The next message. Raises WorkerEnded where the worker has ended."""
        message = await wire.receive(self.process.stdout) if self.process.stdout else None
        if message is None:
            raise await self._ended()
        if isinstance(message, dict) and "rss" in message:
            self.told_bytes = message["rss"]
        return message

    async def _ended(self) -> WorkerEnded:
        expected = self.killed_by_us  # as after a cancellation: nothing that the log should warn of
        try:
            code = await asyncio.wait_for(self.process.wait(), 1.0)
        except asyncio.TimeoutError:  # it closed its stdout, and lives
            self.kill()
            code = await self.process.wait()
        with contextlib.suppress(asyncio.TimeoutError, asyncio.CancelledError):
            await asyncio.wait_for(asyncio.shield(self._listening), 1.0)
        how = f"exit code {code}"
        if code < 0:
            name = signal.Signals(-code).name if -code in set(signal.Signals) else str(-code)
            how = f"signal {-code}, {name}" + (", as happens where memory runs out" if -code == 9 else "")
        level = logging.INFO if expected else logging.WARNING
        log.log(level, "worker %s ended: %s %s", self.title, how, screen.shown(self.last_words[-500:]))
        return WorkerEnded(
            f"{self.title}: its worker process ended ({how})", "try it again; a shorter recording needs less memory"
        )

    async def _listen(self) -> None:
        while self.process.stderr is not None:
            piece = await self.process.stderr.read(4096)
            if not piece:
                return
            self.last_words = (self.last_words + piece.decode("utf-8", "backslashreplace"))[-LAST_WORDS:]

    def kill(self) -> None:
        """End it at once."""
        if self.alive:
            self.killed_by_us = True
            with contextlib.suppress(ProcessLookupError):
                self.process.kill()

    async def end(self) -> None:
        """End it at once, and wait until it is gone."""
        self.kill()
        await self.process.wait()
        await asyncio.wait([self._listening], timeout=1.0)

    def rss_bytes(self) -> int:
        """Memory of the process: what the system says (Linux), else what the worker said last."""
        try:
            pages = Path(f"/proc/{self.process.pid}/statm").read_text().split()
            return int(pages[1]) * os.sysconf("SC_PAGE_SIZE")
        except (OSError, ValueError, IndexError):
            return self.told_bytes if self.alive else 0


def _environment() -> dict[str, str]:
    values = children.environment()
    return values | {name: os.path.abspath(values[name]) for name in _PATHS if values.get(name)}
