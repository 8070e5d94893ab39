"""What the stand-in GPU is given to do: counted, recorded while a graph is captured, refused where it would wait."""

from __future__ import annotations

import contextlib
import time
from collections import Counter

WAITS = "operation not permitted when stream is capturing"


class Work:
    """Of this process. ``recorded``: what a graph being captured repeats, or None; ``strict``: waiting is an error;
    ``seen``: started operations and kernels by name, with the seconds that each took."""

    recorded: list | None = None
    strict = False
    seen: Counter | None = None
    seconds: Counter | None = None


def do(name: str, run) -> None:
    """Run one operation or kernel, now and whenever the graph that is captured at present is replayed."""
    if Work.recorded is not None:
        Work.recorded.append((name, run))
    once(name, run)


def once(name: str, run) -> None:
    if Work.seen is None:
        run()
        return
    start = time.perf_counter()
    run()
    Work.seen[name] += 1
    Work.seconds[name] += time.perf_counter() - start


def wait(name: str, hidden: bool = True) -> None:
    """The host waits for the device; ``hidden``: by an operation that does not say so. Raises RuntimeError where it
    must not."""
    if Work.recorded is not None:
        raise RuntimeError(f"CUDA error: {WAITS} ({name})")
    if Work.strict and hidden:
        raise RuntimeError(f"called a synchronizing CUDA operation ({name})")


@contextlib.contextmanager
def recording():
    """Within it everything is recorded into the list that this gives."""
    if Work.recorded is not None:
        raise RuntimeError("CUDA error: a stream is being captured already")
    Work.recorded = recorded = []
    try:
        yield recorded
    finally:
        Work.recorded = None


@contextlib.contextmanager
def counting():
    """Within it (Counter of names, Counter of seconds) grow."""
    before = Work.seen, Work.seconds
    Work.seen, Work.seconds = Counter(), Counter()
    try:
        yield Work.seen, Work.seconds
    finally:
        Work.seen, Work.seconds = before
