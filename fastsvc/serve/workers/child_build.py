"""One build of a voice, in a process of its own."""

from __future__ import annotations

import contextlib
import importlib
import os
import threading

from fastsvc.serve.workers.child import Parent

NICE = 5  # conversions come first
CALLS = "fastsvc.serve."  # only functions of the server itself are called


def work(parent: Parent, role: dict) -> None:
    """Call role["call"] ("fastsvc.serve.MODULE:FUNCTION") with ``log``, ``progress`` and role["arguments"].

    Tells {"log": line}, {"progress": fraction}, and in the end {"done": notes} or {"failed": …}.
    """
    with contextlib.suppress(AttributeError, OSError):
        os.nice(NICE)
    module, _, function = role["call"].partition(":")
    if not module.startswith(CALLS):
        raise ValueError(f"{module} is not a part of the server")
    call = getattr(importlib.import_module(module), function)
    lines = threading.Lock()

    def log(line: str) -> None:
        with lines:
            parent.tell({"log": " ".join(str(line).split())})

    notes = call(log, lambda fraction: parent.tell_seldom({"progress": float(fraction)}), **role["arguments"])
    parent.tell({"done": list(notes or ())})
