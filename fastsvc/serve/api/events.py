"""News of jobs as server-sent events, which browsers read by themselves."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence

from fastapi.responses import StreamingResponse

from fastsvc.serve.jobs.events import happens
from fastsvc.serve.service import Service

INTERVAL_S = 0.1  # between looks at the jobs
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


def stream(state: Service, ids: Sequence[str]) -> StreamingResponse:
    """Events ``job`` with the job as data: its state now, then each change; the end once all are over."""
    return StreamingResponse(_events(state, ids), media_type="text/event-stream", headers=HEADERS)


async def _events(state: Service, ids: Sequence[str]) -> AsyncIterator[str]:
    told: dict[str, dict] = {}
    left = list(ids)
    with state.queue.events.watching(ids) as changed:
        ending = False
        while left and not ending:
            ending = state.ending  # then this is the last look
            changed.clear()
            for id in tuple(left):
                job = state.queue.book.get(id)
                if job is None:
                    left.remove(id)
                    yield _event("gone", {"id": id})
                    continue
                public = state.queue.book.public(job)
                if job.over:  # asked now: while an event is sent the job may end, and that is news yet to be told
                    left.remove(id)
                if public != told.get(id):
                    told[id] = public
                    yield _event("job", public)
            if left and not ending:
                if not await happens(changed, state.settings.heartbeat_s):
                    yield ": still here\n\n"
                await asyncio.sleep(INTERVAL_S)
    yield _event("end", {})


def _event(name: str, data: dict) -> str:
    return f"event: {name}\ndata: {json.dumps(data)}\n\n"
