"""Forms in OpenAPI's words, as the routes read them piece by piece by themselves."""

from __future__ import annotations

_OPTIONS = {
    "type": "string",
    "description": 'A JSON object: engine, speaker (id, name, or a mixture such as {"slt": 0.7, "bdl": 0.3}), steps,'
    ' transpose (semitones, "auto" or "octaves"), formant, seed, f0, f0_range, index_rate, protect, index_search,'
    " unvoiced, normalise, high_pass, rms_mix_rate, format, bits, rate, channels, pictures",
}
_FILE = {"type": "string", "format": "binary"}


_NAME = {"type": "string", "description": "The voice's name; by default that of its file"}


def _form(files: dict, **others: dict) -> dict:
    properties = {"file": files, **(others or {"options": _OPTIONS})}
    schema = {"type": "object", "required": ["file"], "properties": properties}
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}}}


RECORDINGS = _form({"type": "array", "items": _FILE})
RECORDING = _form(_FILE)
VOICE_FILES = _form({"type": "array", "items": _FILE}, name=_NAME, content=_FILE, vocoder=_FILE)
VOICE_NAME = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}}
            }
        },
    }
}
