"""A worker's side: it is told its role and then its tasks over stdin, and answers over stdout.

The first message names the role; each role is a module that is imported then.
"""

from __future__ import annotations

import importlib
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import BinaryIO

from fastsvc import faults
from fastsvc.errors import FastsvcError
from fastsvc.serve.workers import wire

ROLES = {
    "engine": "fastsvc.serve.workers.child_engine",
    "live": "fastsvc.serve.workers.child_live",
    "build": "fastsvc.serve.workers.child_build",
    "probe": "fastsvc.serve.workers.child_probe",
}
INTERVAL_S = 0.1  # between messages about progress


class Parent:
    """The server, as a worker sees it. ``on_message``: called in another thread with each message; by default messages
    wait for :meth:`next`. While ``task`` is set, {"cancel": task} raises KeyboardInterrupt in the main thread."""

    def __init__(self, source: BinaryIO, sink: BinaryIO):
        self.source, self.sink = source, sink
        self.messages: queue.SimpleQueue = queue.SimpleQueue()
        self.on_message: Callable[[wire.Message], None] = self.messages.put
        self.task: str | None = None
        self.cancelled: str | None = None
        self._lock = threading.Lock()
        self._telling = self._late = False  # the main thread writes; it was interrupted meanwhile
        self._told_at = 0.0
        signal.signal(signal.SIGINT, self._interrupted)

    def start(self) -> None:
        threading.Thread(target=self._listen, name="parent", daemon=True).start()

    def _listen(self) -> None:
        while True:
            message = wire.read(self.source)
            if message is None:
                os._exit(0)  # the server is gone: nobody wants the result
            if isinstance(message, dict) and "cancel" in message:
                self.cancelled = message["cancel"]
                _interrupt_main()
            else:
                self.on_message(message)

    def _interrupted(self, number, frame) -> None:
        if self.task is not None and self.task == self.cancelled:
            if self._telling:  # half a message would end the conversation
                self._late = True
                return
            self.task = None
            raise KeyboardInterrupt

    def next(self) -> wire.Message:
        """Wait for the next message."""
        return self.messages.get()

    def tell(self, message: wire.Message) -> None:
        content, main = wire.packed(message), threading.current_thread() is threading.main_thread()
        if main:
            self._telling = True
        with self._lock:
            self.sink.write(content)
            self.sink.flush()
        if main:
            self._telling = False
            if self._late:
                self._late = False
                self._interrupted(signal.SIGINT, None)

    def tell_seldom(self, message: wire.Message) -> None:
        """Tell it, unless another such message was told a moment ago."""
        now = time.monotonic()
        if now - self._told_at >= INTERVAL_S:
            self._told_at = now
            self.tell(message)


def _interrupt_main() -> None:
    """Run SIGINT's handler in the main thread, also where that waits."""
    if hasattr(signal, "pthread_kill"):
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
    else:  # Windows
        signal.raise_signal(signal.SIGINT)


def failure(error: BaseException) -> dict:
    """An error as a message: {"kind", "message", "remedy"}. Faults of ours go to stderr with their traceback."""
    typed = faults.user_error(error)
    if typed is None:
        print(faults.details(error), file=sys.stderr, flush=True)
        return {"kind": "EngineError", "message": faults.line(error), "remedy": "please report it"}
    return {"kind": type(typed).__name__, "message": typed.message, "remedy": typed.remedy}


def rss_bytes() -> int:
    """The most memory that this process has taken; 0 where the system does not say."""
    try:
        import resource
    except ImportError:  # Windows
        return 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def main() -> None:
    """Run one role until the server ends it."""
    source = os.fdopen(os.dup(0), "rb", 1 << 16)
    sink = os.fdopen(os.dup(1), "wb", 1 << 16)
    os.dup2(2, 1)  # what libraries print goes to stderr
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    parent = Parent(source, sink)
    role = wire.read(source)
    if not isinstance(role, dict):
        return
    parent.start()
    try:
        importlib.import_module(ROLES[role["role"]]).work(parent, role)
    except FastsvcError as error:
        parent.tell({"failed": failure(error)})
    except Exception as error:
        parent.tell({"failed": failure(error)})
        sys.exit(faults.EXIT)
