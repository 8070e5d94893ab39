"""The engines that a server offers: bundled, named on the command line, or uploaded. Read without PyTorch."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from fastsvc import arguments, files, reading, spelling
from fastsvc.artifact import bundled
from fastsvc.artifact.engine_folder import Artifact
from fastsvc.artifact.manifest import Manifest
from fastsvc.config import DdspConfig, RvcConfig
from fastsvc.config.shown import shown
from fastsvc.engine.speakers import Speakers
from fastsvc.errors import ConfigError, EngineError, FastsvcError
from fastsvc.serve import messages
from fastsvc.serve.settings import ServeSettings

BUNDLED, NAMED, UPLOADED = "bundled", "named", "uploaded"
FOLDER, ABOUT = "voice.fsvc", "voice.json"  # in the folder of an uploaded voice
NAME_CHARACTERS = 100
MIXED = 64  # most voices of a request's mixture
_ABOUT_BYTES = 1 << 16


@dataclass
class Voice:
    """One engine. ``id``: in addresses; ``origin``: BUNDLED, NAMED on the command line, or UPLOADED.

    ``manifest`` and ``table`` are None where ``error`` says why the folder cannot be read.
    """

    id: str
    name: str
    path: Path
    origin: str
    manifest: Manifest | None = None
    table: Speakers | None = None
    error: FastsvcError | None = None
    size_bytes: int = 0

    @classmethod
    def read(cls, id: str, name: str, path: Path, origin: str) -> Voice:
        """The voice of an engine folder, whether it can be read or not."""
        voice = cls(id, name, path, origin)
        try:
            artifact = Artifact(path)
            voice.size_bytes = sum(entry.get("bytes", 0) for entry in artifact.files.values())
            _check_names(artifact.manifest, name)
            voice.manifest, voice.table = artifact.manifest, Speakers.of(artifact.manifest)
        except FastsvcError as error:
            voice.error = error
        return voice

    @property
    def usable(self) -> Manifest:
        """The manifest. Raises EngineError where there is none."""
        if self.manifest is None or self.table is None:
            raise EngineError(f"{self.name} cannot be used: {self.error.message if self.error else 'it is damaged'}")
        return self.manifest

    @property
    def options(self) -> dict[str, bool]:
        """Which options apply to it."""
        manifest = self.manifest
        if manifest is None:
            return dict.fromkeys(("index_rate", "protect", "formant", "mixture", "live", "transpose"), False)
        rvc = isinstance(manifest.acoustic, RvcConfig)
        pitch = manifest.acoustic.pitch if rvc else True
        index = rvc and manifest.index is not None
        return {
            "index_rate": index,
            "protect": index and bool(pitch),
            "formant": bool(manifest.acoustic.shifts_formants),
            "mixture": len(manifest.speakers) > 1,
            "live": not isinstance(manifest.acoustic, DdspConfig),
            "transpose": bool(pitch),
        }

    @property
    def family(self) -> str:
        """What kind of model it is, for people."""
        if self.manifest is None:
            return "unknown"
        return "RVC" if isinstance(self.manifest.acoustic, RvcConfig) else self.manifest.source.format

    def speakers(self) -> list[dict]:
        """The speakers with what is known of their pitch."""
        table = self.table
        if table is None:
            return []
        medians = [*table.f0_hz, *[0.0] * len(table.names)]
        return [
            {
                "id": table.base + row,
                "name": name,
                "f0_low_hz": None,
                "f0_median_hz": round(medians[row], 1) if medians[row] > 0 else None,
                "f0_high_hz": None,
            }
            for row, name in enumerate(table.names)
        ]

    def default_speaker(self) -> int | None:
        """The id of the speaker where none is named; None where one must be named."""
        table = self.table
        if table is None or (len(table.names) > 1 and table.default is None):
            return None
        return table.base + (table.default or 0)


class Voices:
    """All engines by id, in order: those of the command line, uploaded ones, the bundled one."""

    def __init__(self, settings: ServeSettings):
        self.settings, self.by_id = settings, dict[str, Voice]()
        for path in settings.engines:
            self._add(Voice.read(self._free(path.stem), messages.carried(path.stem), path, NAMED))
        folders = settings.voices_folder.iterdir() if settings.voices_folder.is_dir() else ()
        for folder in sorted(folder for folder in folders if (folder / ABOUT).is_file()):
            self.install(folder.name)
        if bundled.VOICES.is_dir():
            self._add(Voice.read(self._free(bundled.VOICES.stem), "Demo voices", bundled.VOICES, BUNDLED))

    def __iter__(self):
        return iter(self.by_id.values())

    def get(self, id: str) -> Voice | None:
        return self.by_id.get(id)

    def asked(self, id) -> Voice | None:
        """The engine of a request: of that id, or the default one where the request names none (None)."""
        return self.default() if id is None else self.by_id.get(id) if isinstance(id, str) else None

    def names(self) -> dict[str, str]:
        """Paths of engines → what clients call them, for messages.public."""
        return {str(voice.path): voice.name for voice in self}

    def default(self) -> Voice | None:
        """The first one that can be used."""
        return next((voice for voice in self if voice.manifest is not None), None)

    def _add(self, voice: Voice) -> Voice:
        self.by_id[voice.id] = voice
        return voice

    def _free(self, text: str) -> str:
        plain = re.sub(r"[^a-z0-9]+", "-", spelling.loose_key(text)).strip("-")[:40] or "engine"
        id, number = plain, 2
        while id in self.by_id:
            id, number = f"{plain}-{number}", number + 1
        return id

    def folder(self, id: str) -> Path:
        """Where an uploaded voice lies: an engine folder FOLDER, and ABOUT with its name."""
        return self.settings.voices_folder / id

    def install(self, id: str, name: str | None = None) -> Voice:
        """Offer the voice whose engine lies in :meth:`folder` (id); ``name``: keep it there first.

        Raises OutputError."""
        folder = self.folder(id)
        if name is not None:
            files.write_json(folder / ABOUT, {"name": name})
        return self._add(Voice.read(id, self._name(folder) or id, folder / FOLDER, UPLOADED))

    def _name(self, folder: Path) -> str | None:
        try:
            about = reading.read_json(folder / ABOUT, _ABOUT_BYTES, EngineError)
        except EngineError:
            return None
        name = about.get("name") if isinstance(about, dict) else None
        return name if isinstance(name, str) and name else None

    def rename(self, id: str, name: str) -> Voice:
        """Raises ConfigError for a name that cannot be shown, OutputError."""
        return self.install(id, checked_name(name))

    def remove(self, id: str) -> None:
        """Remove an uploaded voice and its files. Raises OSError, and the voice stays."""
        gone = self.settings.work_folder / f"removed-{id}"  # where a start after a kill removes it
        self.folder(id).replace(gone)
        del self.by_id[id]
        shutil.rmtree(gone, ignore_errors=True)


def _check_names(manifest: Manifest, name: str) -> None:
    """Raises EngineError for an engine whose names (those that lists of engines show) have half a character.

    The manifest itself may have them: a voice that is called after its file converts at the command line.
    """
    for text in (manifest.source.format, *manifest.speakers):
        if messages.carried(text) != text:
            raise EngineError(f"{name} has a name that no answer can carry", "build it again from its checkpoint")


def checked_name(name) -> str:
    """A voice's name as it is kept: one line, composed. Raises ConfigError."""
    text = " ".join(spelling.key(arguments.text("name", name)).split())
    if not text or len(text) > NAME_CHARACTERS or not text.isprintable():
        raise ConfigError(f"the name {shown(name)} is empty, too long or not printable", "choose another name")
    return text
