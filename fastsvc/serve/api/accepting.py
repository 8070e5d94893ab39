"""From a form to jobs: options are checked, then headers, then the jobs are accepted, all or none."""

from __future__ import annotations

import json

from fastsvc import reading
from fastsvc.errors import AudioError
from fastsvc.serve.api.errors import Refused
from fastsvc.serve.api.uploads import Received
from fastsvc.serve.jobs import options as job_options
from fastsvc.serve.jobs.job import Job
from fastsvc.serve.jobs.names import cleaned
from fastsvc.serve.jobs.queue import RETRY_S, Full, Stopping
from fastsvc.serve.service import Service
from fastsvc.serve.voices import Voice


async def accepted(state: Service, form: Received, pictures: bool = True) -> list[Job]:
    """The jobs of a form with one file or more and ``options``. Raises Refused: 413, 415, 422, 503."""
    options = _options(form)
    voice = _voice(state, options)
    try:
        checked = job_options.checked(options, voice)
    except job_options.OptionError as error:
        raise Refused(422, error.message, "", error.remedy, field=error.field) from None
    if not form.files:
        raise Refused(422, "no file", "the form has none", "send one as: -F file=@song.wav", field="file")
    try:
        state.queue.check_room(len(form.files))
        recordings = [(file.path, file.name, await _seconds(state, file)) for file in form.files]
        wanted = options.get("pictures")
        return state.queue.add_conversions(voice, checked, recordings, pictures if wanted is None else bool(wanted))
    except (Full, Stopping) as error:
        raise unavailable(error) from None


def unavailable(error: Full | Stopping) -> Refused:
    """503: the queue is full, or the server stops."""
    return Refused(503, error.message, "", error.remedy, {"Retry-After": str(RETRY_S)})


def _options(form: Received) -> dict:
    """The field ``options``."""
    form.refuse_other_fields("options", """send all options in one: -F 'options={"speaker": "slt"}'""")
    text = form.fields.get("options", "{}") or "{}"
    try:
        options = reading.parse_json(text, file_names=False)
    except (ValueError, RecursionError) as error:
        why = "they are not JSON" if isinstance(error, json.JSONDecodeError) else f"they cannot be read: {error}"
        raise Refused(422, "options", why, "send an object of JSON", field="options") from None
    if not isinstance(options, dict):
        raise Refused(422, "options", "they are not an object of JSON", field="options")
    return options


def _voice(state: Service, options: dict) -> Voice:
    id = options.get("engine")
    voice = state.voices.asked(id)
    if voice is None:
        why = "there is no engine of this id" if id is not None else "no engine can be used"
        raise Refused(422, "engine", why, "choose one of /api/v1/engines", field="engine")
    if voice.manifest is None:
        raise Refused(422, voice.name, "this engine cannot be used", "choose another one", field="engine")
    return voice


async def _seconds(state: Service, file) -> float:
    name = cleaned(file.name)
    try:
        seconds = await state.prober.seconds(file.path, name)
    except AudioError as error:
        raise Refused.of(error, 415, "file") from None
    if seconds > state.settings.max_seconds:
        why = f"it has {seconds:.0f} s, and {state.settings.max_seconds:.0f} s are the most"
        raise Refused(413, name, why, "cut it into shorter recordings", field="file")
    return seconds
