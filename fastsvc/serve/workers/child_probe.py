"""Headers of strangers' recordings, read in a process of their own: a decoder that crashes takes nothing with it."""

from __future__ import annotations

from pathlib import Path

from fastsvc.serve.workers.child import Parent, failure


def work(parent: Parent, role: dict) -> None:
    """Answer each {"probe": path} by {"seconds", "channels", "rate_hz"} or {"failed": …}."""
    from fastsvc.audio import io

    parent.tell({"ready": True})
    while True:
        message = parent.next()
        try:
            info = io.probe(Path(message["probe"]), exact=False)
            parent.tell({"seconds": info.seconds, "channels": info.channels, "rate_hz": info.rate_hz})
        except Exception as error:
            parent.tell({"failed": failure(error)})
