"""Voices that clients bring: received, queued to be built or installed, renamed, removed."""

from __future__ import annotations

import secrets
import shutil

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from fastsvc import reading
from fastsvc.errors import CheckpointError
from fastsvc.serve.api.accepting import unavailable
from fastsvc.serve.api.engines import described
from fastsvc.serve.api.errors import Refused
from fastsvc.serve.api.forms import VOICE_FILES, VOICE_NAME
from fastsvc.serve.api.uploads import Received, received
from fastsvc.serve.builds import kinds
from fastsvc.serve.builds.build import UPLOAD
from fastsvc.serve.jobs.job import Job
from fastsvc.serve.jobs.queue import Full, Stopping
from fastsvc.serve.service import Service, service
from fastsvc.serve.voices import BUNDLED, NAMED, UPLOADED, Voice, checked_name

CALL = "fastsvc.serve.builds.build:run"
TRUST = (NAMED, BUNDLED, UPLOADED)  # whose networks a voice shares first
router = APIRouter(prefix="/api/v1", tags=["engines"])


@router.post("/engines", status_code=202, openapi_extra=VOICE_FILES)
async def add(request: Request) -> JSONResponse:
    """Build or install a voice: a job of kind build. Files of the form: the voice (`.pth`, `.pt`, `.zip`, or a zipped
    `.fsvc`), an `.index` and a configuration beside it, and under the names `content` and `vocoder` its networks."""
    state = service(request)
    _require_uploads(state)
    try:
        state.queue.check_room(1)
        async with received(request, state, kinds.MAX_FILES, state.settings.max_request_bytes) as form:
            job = _queued(state, form)
    except (Full, Stopping) as error:
        raise unavailable(error) from None
    return JSONResponse(state.queue.book.public(job), 202)


@router.patch("/engines/{id}", openapi_extra=VOICE_NAME)
async def rename(request: Request, id: str) -> dict:
    """Rename an uploaded voice. Its id stays."""
    state, body = service(request), await request.body()  # an answer before the body is read may be lost by a reset
    voice = _own(state, id)
    try:
        new = reading.parse_json(body, file_names=False)
    except ValueError:
        new = None
    if not isinstance(new, dict) or not isinstance(new.get("name"), str):
        raise Refused(422, "the request", "it is not an object of JSON with a name", 'send {"name": "…"}', field="name")
    return described(state, state.voices.rename(voice.id, new["name"]))


@router.delete("/engines/{id}", status_code=204)
async def remove(request: Request, id: str) -> Response:
    """Remove an uploaded voice that no job and no live stream uses."""
    state = service(request)
    voice = _own(state, id)
    if state.queue.uses(id) or state.pool.busy(id):
        raise Refused(409, voice.name, "jobs or live streams use it", "wait until they are over, or cancel them")
    state.pool.drop(id)
    state.voices.remove(id)
    return Response(status_code=204)


def _require_uploads(state: Service) -> None:
    if not state.settings.uploads:
        raise Refused(403, "voices cannot be changed", "the server was started with --no-uploads")


def _own(state: Service, id: str) -> Voice:
    """An uploaded voice. Raises Refused: 403 for others, 404."""
    _require_uploads(state)
    voice = state.voices.get(id)
    if voice is None:
        raise Refused.unknown("engine")
    if voice.origin != UPLOADED:
        raise Refused(403, voice.name, "it was not uploaded, so it cannot be changed here")
    return voice


def _queued(state: Service, form: Received) -> Job:
    """The build of a form's files, which go to the folder of the new voice. Raises Refused, Full, Stopping, OSError."""
    form.refuse_other_fields("name", "send the voice's name as name, and all else as files")
    roles = {}
    for file in form.files:
        try:
            role, place = kinds.role(file.part, file.name)
        except CheckpointError as error:
            raise Refused.of(error, 415) from None
        if role in roles:
            raise Refused(422, file.part, f"it has two files of one kind ({role})", "send one voice at a time")
        roles[role] = file, place
    if kinds.VOICE not in roles:
        raise Refused(422, "no voice", "the form has no file of one", kinds.REMEDY)
    name = checked_name(kinds.voice_name(form.fields.get("name", ""), roles[kinds.VOICE][0].name))
    id = kinds.voice_id(name, secrets.token_hex(4))
    folder = state.voices.folder(id)
    (folder / UPLOAD).mkdir(mode=0o700, parents=True)
    try:
        for file, place in roles.values():
            file.path.replace(folder / UPLOAD / place)
        arguments = {
            "voice": id,
            "name": name,
            "folder": str(folder),
            "received": {role: place for role, (_, place) in roles.items()},
            "engines": [str(voice.path) for voice in _by_trust(state)],
            "memory_bytes": state.settings.memory_bytes,
        }
        return state.queue.add_build(name, CALL, arguments)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _by_trust(state: Service) -> list[Voice]:
    usable = (voice for voice in state.voices if voice.manifest is not None)
    return sorted(usable, key=lambda voice: TRUST.index(voice.origin))
