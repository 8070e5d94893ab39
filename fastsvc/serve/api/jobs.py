"""Jobs: accepted, looked at, watched, cancelled."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse

from fastsvc.serve.api import events, forms
from fastsvc.serve.api.accepting import accepted
from fastsvc.serve.api.errors import Refused
from fastsvc.serve.api.uploads import received
from fastsvc.serve.jobs.job import Job
from fastsvc.serve.service import Service, service

ASKED = 1000  # most ids in one request
router = APIRouter(prefix="/api/v1", tags=["jobs"])


def found(state: Service, id: str) -> Job:
    """The job. Raises Refused (404)."""
    job = state.queue.book.get(id)
    if job is None:
        raise Refused.unknown("job")
    return job


def found_batch(state: Service, batch: str) -> list[Job]:
    """The jobs of a request, in their order. Raises Refused (404)."""
    jobs = state.queue.book.batch(batch)
    if not jobs:
        raise Refused.unknown("batch")
    return jobs


@router.post("/jobs", status_code=202, openapi_extra=forms.RECORDINGS)
async def add(request: Request) -> JSONResponse:
    """Convert recordings: a job for each file."""
    state = service(request)
    async with received(request, state) as form:
        jobs = await accepted(state, form)
    public = [state.queue.book.public(job) for job in jobs]
    return JSONResponse({"batch": jobs[0].batch, "jobs": public}, 202)


@router.get("/jobs")
async def several(request: Request, ids: str = "") -> dict:
    """The jobs of these ids, with commas between them; ids that are unknown are left out."""
    state = service(request)
    jobs = [state.queue.book.get(id) for id in list(dict.fromkeys(filter(None, ids.split(","))))[:ASKED]]
    return {"jobs": [state.queue.book.public(job) for job in jobs if job is not None]}


@router.get("/jobs/{id}")
async def one(request: Request, id: str) -> dict:
    """A job."""
    state = service(request)
    return state.queue.book.public(found(state, id))


@router.get("/jobs/{id}/events")
async def job_events(request: Request, id: str) -> StreamingResponse:
    """Server-sent events of a job, until it is over."""
    state = service(request)
    return events.stream(state, [found(state, id).id])


@router.get("/batches/{batch}/events")
async def batch_events(request: Request, batch: str) -> StreamingResponse:
    """Server-sent events of all jobs of a request, until all are over."""
    state = service(request)
    return events.stream(state, [job.id for job in found_batch(state, batch)])


@router.delete("/jobs/{id}")
async def remove(request: Request, id: str) -> Response:
    """Cancel a job that waits or is in work (200, the job); remove one that is over (204)."""
    state = service(request)
    job = found(state, id)
    if job.over:
        state.queue.remove(job)
        return Response(status_code=204)
    state.queue.cancel(job)
    return JSONResponse(state.queue.book.public(job))
