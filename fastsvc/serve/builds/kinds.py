"""What the files of an upload are: a voice to build or an engine to install, and what belongs to it."""

from __future__ import annotations

from fastsvc import file_names, spelling
from fastsvc.errors import CheckpointError
from fastsvc.serve.jobs.names import cleaned, split
from fastsvc.serve.voices import NAME_CHARACTERS

VOICE, INDEX, CONFIG, CONTENT, VOCODER = "voice", "index", "config", "content", "vocoder"
# Endings of the client's names → the file's place on our disk, whose ending some readers look at.
PLACES = {
    VOICE: {
        ".pth": "voice.pth",
        ".pt": "voice.pt",
        ".ckpt": "voice.ckpt",
        ".safetensors": "voice.safetensors",
        ".zip": "voice.zip",
        ".fsvc": "voice.zip",
    },
    INDEX: {".index": "voice.index"},
    CONFIG: {".yaml": "config.yaml", ".yml": "config.yaml", ".json": "config.json"},
}
# Parts of the form with a role of their own, for voices that lack these networks.
NETWORKS = {
    role: {ending: f"{role}{ending}" for ending in (".pt", ".pth", ".ckpt", ".safetensors", ".bin", ".zip")}
    for role in (CONTENT, VOCODER)
}
MAX_FILES = len(PLACES) + len(NETWORKS)
REMEDY = "send a .pth, .pt or .zip, with its .index beside, or a zipped .fsvc"


def role(part: str, name: str) -> tuple[str, str]:
    """(role of a file, its name on our disk), by the form's name of it and the ending of the client's. Raises
    CheckpointError."""
    shown = cleaned(name, "the file")
    ending = split(shown)[1]
    places = {part: NETWORKS[part]} if part in NETWORKS else PLACES
    for found, endings in places.items():
        if ending in endings:
            return found, endings[ending]
    raise CheckpointError(f"{shown}: it is not a file of a voice", REMEDY)


def voice_name(text: str, file: str) -> str:
    """The name of a voice: what the user called it, else its file's name without endings; on one line."""
    plain = text if text.strip() else file.replace("\\", "/").rpartition("/")[2]
    for ending in () if text.strip() else (".zip", *PLACES[VOICE]):
        plain = plain[: -len(ending)] if plain.lower().endswith(ending) else plain
    plain = "".join(c if c.isprintable() else " " for c in spelling.key(plain)).strip(" .")
    return " ".join(plain.split())[:NAME_CHARACTERS].strip() or "voice"


def voice_id(name: str, random: str) -> str:
    """An id for addresses and folders: a few plain letters of the name, and ``random`` ones."""
    letters = "".join(c if c.isascii() and c.isalnum() else "-" for c in file_names.safe_tag(name).lower())
    plain = "-".join(filter(None, letters.split("-")))[:24].strip("-")
    return f"{plain or 'voice'}-{random}"
