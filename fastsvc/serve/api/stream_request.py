"""What a client of the WebSocket asks for: its first message, and the changes that follow. Only known names are taken;
paths are none of them."""

from __future__ import annotations

from dataclasses import dataclass, field

from fastsvc import arguments, reading
from fastsvc.errors import ConfigError
from fastsvc.serve import trackers
from fastsvc.serve.api.errors import Refused
from fastsvc.serve.voices import MIXED, Voice, Voices

TEXT_CHARACTERS = 64 * 1024
SAMPLE_BYTES = 4
RATE_HZ = (8000, 192_000)  # of microphones
_NUMBERS = {
    "block_ms": arguments.BLOCK_MS,
    "lookahead_ms": arguments.LOOKAHEAD_MS,
    "transpose": arguments.SEMITONES,
    "formant": arguments.FORMANT,
    "gain": arguments.GAIN,
    "index_rate": arguments.INDEX_RATE,
    "protect": arguments.PROTECT,
}
_WHOLE = {"rate_hz": RATE_HZ, "steps": arguments.STEPS, "seed": arguments.SEED}
_NAMES = ("engine", "speaker", "f0", *_WHOLE, *_NUMBERS)
_CHANGES = ("speaker", "transpose", "gain")
_DEFAULTS = {"block_ms": 80.0, "lookahead_ms": 160.0}


@dataclass
class Changes:
    """``values``: arguments of Stream.set; ``flush``: the input has ended."""

    values: dict = field(default_factory=dict)
    flush: bool = False


def arguments_of(text: str, voices: Voices) -> tuple[Voice, dict]:
    """(the engine, the arguments of Engine.stream) of the first message. Raises Refused, EngineError, SpeakerError."""
    asked = _object(text)
    voice = voices.asked(asked.pop("engine", None))
    if voice is None:
        raise Refused(422, "engine", "there is no engine of this id", "choose one of /api/v1/engines", field="engine")
    voice.usable  # noqa: B018  (raises)
    if asked.get("rate_hz") is None:
        raise Refused(422, "rate_hz", "it is missing", "say the sample rate of your samples", field="rate_hz")
    speaker = asked.pop("speaker", None)
    speaker = voice.default_speaker() if speaker is None else speaker
    if speaker is None:
        raise Refused(422, "speaker", "no speaker is chosen", "choose one of the engine's", field="speaker")
    result = _DEFAULTS | _checked(asked)
    return voice, result | {"speaker": _speaker(speaker, voice)}


def changes_of(text: str) -> Changes:
    """What a later message asks for. Raises Refused; the worker checks a speaker against its engine."""
    asked = _object(text)
    flush, values = asked.pop("flush", False), asked.pop("set", {})
    if asked or not isinstance(flush, bool) or not isinstance(values, dict):
        raise Refused(422, "the message", "it is neither a change nor a flush", 'send {"set": {…}} or {"flush": true}')
    unknown = [name for name in values if name not in _CHANGES]
    if unknown:
        raise Refused(422, str(unknown[0])[:60], "it cannot be changed", f"use some of {', '.join(_CHANGES)}")
    speaker = values.pop("speaker", None)
    result = _checked(values)
    if speaker is not None:
        result["speaker"] = _speaker(speaker)
    return Changes(result, flush)


def _object(text: str) -> dict:
    try:
        asked = reading.parse_json(text, file_names=False) if len(text) <= TEXT_CHARACTERS else None
    except (ValueError, RecursionError):
        asked = None
    if not isinstance(asked, dict):
        raise Refused(422, "the message", "it is not an object of JSON", 'send {"engine": …, "rate_hz": …}')
    return asked


def _checked(asked: dict) -> dict:
    """Numbers and words of known names; None stands for the default."""
    result = {}
    for name, value in asked.items():
        if value is None:
            continue
        try:
            if name in _NUMBERS:
                result[name] = arguments.number(name, value, *_NUMBERS[name])
            elif name in _WHOLE:
                result[name] = arguments.whole_number(name, value, *_WHOLE[name])
            elif name == "f0":
                result["f0_method"] = arguments.one_of(name, value, trackers.usable())
            else:
                raise ConfigError(f"there is no option {name[:60]!r}", f"use some of {', '.join(_NAMES)}")
        except ConfigError as error:
            raise Refused(422, name[:60], error.message, error.remedy, field=name[:60]) from None
    return result


def _speaker(value, voice: Voice | None = None):
    """A name, an id, or a mixture. Raises Refused, SpeakerError."""
    plain = isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool))
    mixed = isinstance(value, dict) and 0 < len(value) <= MIXED
    if not plain and not mixed:
        raise Refused(422, "speaker", "it is no name, id or mixture", "choose one of the engine's", field="speaker")
    if voice is not None and voice.table is not None:
        voice.table.weights(value)
    return value
