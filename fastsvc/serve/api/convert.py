"""One recording in, its conversion out, in one request: for curl and short scripts."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse
from starlette.background import BackgroundTask

from fastsvc.serve.api import forms
from fastsvc.serve.api.accepting import accepted
from fastsvc.serve.api.errors import Refused
from fastsvc.serve.api.results import TYPES, result_path
from fastsvc.serve.api.uploads import received
from fastsvc.serve.jobs.events import happens
from fastsvc.serve.jobs.job import CANCELLED, FAILED, Job
from fastsvc.serve.service import Service, service

LOOK_S = 0.5  # between looks whether the client is still there
router = APIRouter(prefix="/api/v1", tags=["jobs"])


@router.post("/convert", openapi_extra=forms.RECORDING)
async def convert(request: Request) -> FileResponse:
    """Convert one recording; the answer is the result. It waits in the same queue as all jobs; a client that goes away
    cancels it."""
    state = service(request)
    async with received(request, state, most_files=1) as form:
        (job,) = await accepted(state, form, pictures=False)
    try:
        over = await _over(request, state, job)
    except BaseException:
        _discard(state, job)
        raise
    if over.state == FAILED:
        state.queue.remove(over)
        raise Refused(422, **(over.error or {"what": "the conversion failed"}))
    if over.state == CANCELLED or over.result is None:
        raise Refused(409, "the job was cancelled")
    path, name = result_path(state, over), over.result["name"]
    clean = BackgroundTask(_discard, state, over)
    return FileResponse(path, media_type=TYPES[path.suffix], filename=name, background=clean)


async def _over(request: Request, state: Service, job: Job) -> Job:
    with state.queue.events.watching([job.id]) as changed:
        while True:
            changed.clear()
            now = state.queue.book.get(job.id)
            if now is None:
                raise Refused(409, "the job was cancelled")
            if now.over:
                return now
            if not await happens(changed, LOOK_S) and await request.is_disconnected():
                raise Refused(409, "the client is gone")


def _discard(state: Service, job: Job) -> None:
    now = state.queue.book.get(job.id)
    if now is not None:
        if not now.over:
            state.queue.cancel(now)
        state.queue.remove(now)
