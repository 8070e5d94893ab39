"""The engines and their voices."""

from __future__ import annotations

from fastapi import APIRouter, Request

from fastsvc.serve import messages
from fastsvc.serve.service import Service, service
from fastsvc.serve.voices import BUNDLED, UPLOADED, Voice

router = APIRouter(prefix="/api/v1", tags=["engines"])


def described(state: Service, voice: Voice) -> dict:
    """An engine as clients see it."""
    manifest, error = voice.manifest, state.pool.error(voice)
    return {
        "id": voice.id,
        "name": voice.name,
        "family": voice.family,
        "rate_hz": manifest.acoustic.mel.rate_hz if manifest else None,
        "bundled": voice.origin == BUNDLED,
        "removable": voice.origin == UPLOADED and state.settings.uploads,
        "state": state.pool.state(voice),
        "error": messages.public(error, {str(voice.path): voice.name}) if error else None,
        "size_bytes": voice.size_bytes,
        "steps": sorted(manifest.sampling.schedules) if manifest else [],
        "default_steps": manifest.default_steps if manifest else None,
        "default_speaker": voice.default_speaker(),
        "options": voice.options,
        "speakers": voice.speakers(),
    }


@router.get("/engines")
async def engines(request: Request) -> dict:
    """All engines, the default one first."""
    state = service(request)
    return {"engines": [described(state, voice) for voice in state.voices]}


@router.get("/voices")
async def voices(request: Request) -> dict:
    """The speakers of all engines in one list."""
    return {
        "voices": [{"engine": voice.id, **speaker} for voice in service(request).voices for speaker in voice.speakers()]
    }
