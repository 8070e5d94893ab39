"""Results, what was heard, pictures; all results of a request in one archive."""

from __future__ import annotations

import gzip
import re
from pathlib import Path
from typing import Literal

from fastapi import APIRouter, Request, Response
from fastapi.responses import FileResponse, StreamingResponse

from fastsvc.serve.api.errors import Refused
from fastsvc.serve.api.jobs import found, found_batch
from fastsvc.serve.api.zipped import zipped
from fastsvc.serve.jobs.job import DONE, Job
from fastsvc.serve.jobs.names import HEARD, PICTURES, split
from fastsvc.serve.service import Service, service

TYPES = {".wav": "audio/wav", ".flac": "audio/flac", ".mp3": "audio/mpeg", ".ogg": "audio/ogg"}
RANGE = re.compile(rb"bytes=(?:(\d{1,18})-(\d{1,18})?|-\d{1,18})")  # one: all that players ask for
PRIVATE = {"Cache-Control": "private, no-cache"}
router = APIRouter(prefix="/api/v1", tags=["results"])


class Sound(FileResponse):
    """A file, of which players ask for ranges. A header that is none is ignored (RFC 9110, 14.2), not an error."""

    async def __call__(self, scope, receive, send) -> None:
        headers = [(name, value) for name, value in scope["headers"] if name != b"range" or _is_range(value)]
        await super().__call__({**scope, "headers": headers}, receive, send)


def _is_range(value: bytes) -> bool:
    match = RANGE.fullmatch(value)
    return match is not None and (match[2] is None or int(match[1]) <= int(match[2]))


def result_path(state: Service, job: Job) -> Path:
    """The job's result. Raises Refused (404, or 409 while there is none yet)."""
    if job.state != DONE or job.result is None:
        if job.over:
            raise Refused.unknown("result")
        raise Refused(409, "result", "the job is not over", "wait for its end")
    return _existing(state.queue.book.folder(job) / job.result["file"])


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise Refused.unknown("file")
    return path


@router.head("/jobs/{id}/result", include_in_schema=False)
@router.get("/jobs/{id}/result")
async def result(request: Request, id: str) -> FileResponse:
    """The converted recording, also in ranges."""
    state = service(request)
    job = found(state, id)
    path = result_path(state, job)
    assert job.result is not None, "result_path has seen it"
    return Sound(path, media_type=TYPES[path.suffix], filename=job.result["name"], headers=PRIVATE)


@router.head("/jobs/{id}/input", include_in_schema=False)
@router.get("/jobs/{id}/input")
async def heard(request: Request, id: str) -> FileResponse:
    """The recording as it was heard: one channel, 16 bits, wav; also in ranges."""
    state = service(request)
    job = found(state, id)
    path = _existing(state.queue.book.folder(job) / HEARD)
    return Sound(path, media_type="audio/wav", filename=split(job.name)[0] + ".wav", headers=PRIVATE)


@router.get("/jobs/{id}/picture/{which}")
async def picture(request: Request, id: str, which: Literal["input", "result"]) -> Response:
    """Spectrogram and pitch; fastsvc/serve/workers/pictures.py says what the numbers mean."""
    state = service(request)
    content = _existing(state.queue.book.folder(found(state, id)) / PICTURES[which]).read_bytes()
    if "gzip" in request.headers.get("accept-encoding", ""):
        return Response(content, media_type="application/json", headers={**PRIVATE, "Content-Encoding": "gzip"})
    return Response(gzip.decompress(content), media_type="application/json", headers=PRIVATE)


@router.get("/batches/{batch}/results.zip")
async def archive(request: Request, batch: str) -> StreamingResponse:
    """All results of a request, and a list of those that failed."""
    state = service(request)
    jobs = found_batch(state, batch)
    headers = {**PRIVATE, "Content-Disposition": 'attachment; filename="results.zip"'}
    return StreamingResponse(zipped(jobs, state.queue.book.folder), media_type="application/zip", headers=headers)
