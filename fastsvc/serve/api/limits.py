"""What the server takes and offers, for pages and programs that ask before they send."""

from __future__ import annotations

from fastapi import APIRouter, Request

from fastsvc import arguments
from fastsvc.audio import encode, io
from fastsvc.serve import trackers
from fastsvc.serve.service import service
from fastsvc.version import VERSION

router = APIRouter(prefix="/api/v1", tags=["limits"])


@router.get("/limits")
async def limits(request: Request) -> dict:
    """Limits of recordings and requests, formats, and what is switched on."""
    settings = service(request).settings
    return {
        "version": VERSION,
        "max_bytes": settings.max_bytes,
        "max_seconds": settings.max_seconds,
        "max_files": settings.max_files,
        "max_request_bytes": settings.max_request_bytes,
        "formats": sorted(io.EXTENSIONS),
        "output_formats": list(encode.FORMATS),
        "uploads": settings.uploads,
        "live": settings.live,
        "f0_methods": trackers.usable(),
        "steps": list(arguments.STEPS),
        "transpose": list(arguments.SEMITONES),
        "formant": list(arguments.FORMANT),
        "rates_hz": list(arguments.RATE_HZ),
        "keep_s": settings.keep_s,
    }
