"""The speakers' median pitches, for automatic transposing: from the checkpoint or from the user."""

from __future__ import annotations

import math
from pathlib import Path

from fastsvc import reading, spelling
from fastsvc.checkpoints import Checkpoint
from fastsvc.config import AnyAcousticConfig
from fastsvc.config.shown import shown
from fastsvc.engine.speakers import Speakers
from fastsvc.errors import ConfigError

LIMIT = 4 * 2**20  # bytes
REMEDY = 'write "NAME:HZ,NAME:HZ", or name a YAML or JSON file of name: Hz, or a prepared corpus'


def medians(source: str | None, acoustic: Checkpoint[AnyAcousticConfig]) -> tuple[float, ...]:
    """Hz by speaker, 0 where unknown; () if none is known.

    ``source``: "NAME:HZ,NAME:HZ" (ids are names too), a YAML or JSON file with that mapping, or the folder of a
    prepared corpus. Without it the checkpoint's values are returned. Raises ConfigError, SpeakerError.
    """
    if source is None:
        return tuple(acoustic.speaker_f0_hz)
    names = acoustic.speakers or tuple(f"speaker {i}" for i in range(acoustic.config.speakers))
    table = Speakers(names, acoustic.speaker_base)
    medians_hz = list(acoustic.speaker_f0_hz) or [0.0] * len(names)
    rows: set[int] = set()
    for name, f0_hz in _pairs(str(source), names).items():
        try:
            value = float(f0_hz)
        except (TypeError, ValueError, OverflowError):
            value = math.nan
        if not 20 <= value <= 2000:
            raise ConfigError(f"the median pitch of {name!r} is {shown(f0_hz)}", "use Hz between 20 and 2000")
        row = table.row(name)
        if row in rows:
            raise ConfigError(f"the median pitch of {names[row]!r} is given twice", "name each speaker once")
        rows.add(row)
        medians_hz[row] = value
    return tuple(medians_hz)


def _pairs(source: str, names: tuple[str, ...]) -> dict:
    """Name (or id) → Hz, not checked yet; from a corpus only the speakers of the checkpoint."""
    path = Path(source)
    corpus = path / "corpus.json"
    if corpus.is_file():
        singers = _mapping(corpus).get("singer_f0_hz")
        singers = singers if isinstance(singers, dict) else {}
        known_names = set(map(spelling.key, names))
        pairs = {name: f0_hz for name, f0_hz in singers.items() if spelling.key(name) in known_names}
        if not pairs:
            raise ConfigError(f"{path} knows the pitch of none of {', '.join(names[:12])}", REMEDY)
        return pairs
    if path.is_file():
        return _mapping(path)
    pairs = {}
    for part in source.split(","):
        name, colon, value = part.rpartition(":")
        if not colon:
            raise ConfigError(f"{source!r} holds no median pitches", REMEDY)
        pairs[name.strip()] = value
    return pairs


def _mapping(path: Path) -> dict:
    values = (reading.read_json if path.suffix == ".json" else reading.read_yaml)(path, LIMIT)
    if not isinstance(values, dict):
        raise ConfigError(f"{path} is not a mapping of names to Hz", REMEDY)
    return values
