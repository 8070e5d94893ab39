"""Signs of life, for programs that watch the server."""

from __future__ import annotations

import tempfile

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from fastsvc.serve.service import service

router = APIRouter(tags=["health"])


@router.head("/healthz", include_in_schema=False)
@router.get("/healthz")
async def healthz() -> dict:
    """The process lives."""
    return {"status": "ok"}


@router.head("/readyz", include_in_schema=False)
@router.get("/readyz")
async def readyz(request: Request) -> JSONResponse:
    """New jobs would be accepted and run: 200, else 503 with the reasons."""
    reasons = []
    state = service(request)
    if state.draining:
        reasons.append("the server is stopping")
    elif not any(state.pool.state(voice) != "broken" for voice in state.voices):
        reasons.append("no engine can be used")
    try:
        with tempfile.TemporaryFile(dir=state.settings.incoming_folder) as file:
            file.write(b"ready")
    except OSError as error:
        reasons.append(f"the data folder cannot be written: {error.strerror}")
    return JSONResponse({"ready": not reasons, "reasons": reasons}, 503 if reasons else 200)


@router.get("/metrics")
async def metrics(request: Request) -> Response:
    """Counters for Prometheus."""
    return Response(generate_latest(service(request).metrics.registry), media_type=CONTENT_TYPE_LATEST)
