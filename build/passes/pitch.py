"""The speakers' median pitches, for transposing by itself: out of the checkpoint, or as the user gives them."""

from __future__ import annotations

import math
from pathlib import Path

from fastsvc import reading, spelling
from fastsvc.checkpoints import Checkpoint
from fastsvc.config import AcousticConfig
from fastsvc.config.shown import shown
from fastsvc.engine.speakers import Speakers
from fastsvc.errors import ConfigError

LIMIT = 4 * 2**20  # bytes
REMEDY = 'write "NAME:HZ,NAME:HZ", or name a YAML or JSON file of name: Hz, or a prepared corpus'


def medians(given: str | None, acoustic: Checkpoint[AcousticConfig]) -> tuple[float, ...]:
    """Hz by speaker, 0 where unknown; () if none is known.

    ``given``: "NAME:HZ,NAME:HZ" (ids are names too), a YAML or JSON file with that mapping, or the folder of a
    prepared corpus. Without it: what the checkpoint holds. Raises ConfigError, SpeakerError.
    """
    if given is None:
        return tuple(acoustic.speaker_f0_hz)
    names = acoustic.speakers or tuple(f"speaker {i}" for i in range(acoustic.config.condition.speakers))
    table = Speakers(names, acoustic.speaker_base)
    known = list(acoustic.speaker_f0_hz) or [0.0] * len(names)
    told: set[int] = set()
    for name, f0_hz in _pairs(str(given), names).items():
        try:
            value = float(f0_hz)
        except (TypeError, ValueError, OverflowError):
            value = math.nan
        if not 20 <= value <= 2000:
            raise ConfigError(f"the median pitch of {name!r} is {shown(f0_hz)}", "use Hz between 20 and 2000")
        row = table.row(name)
        if row in told:
            raise ConfigError(f"the median pitch of {names[row]!r} is given twice", "name each speaker once")
        told.add(row)
        known[row] = value
    return tuple(known)


def _pairs(given: str, names: tuple[str, ...]) -> dict:
    """Names (or ids) and Hz, as yet unchecked; of a corpus, those that the checkpoint knows."""
    path = Path(given)
    corpus = path / "corpus.json"
    if corpus.is_file():
        found = _mapping(corpus).get("singer_f0_hz")
        known = set(map(spelling.key, names))
        found = found if isinstance(found, dict) else {}
        pairs = {name: f0_hz for name, f0_hz in found.items() if spelling.key(name) in known}
        if not pairs:
            raise ConfigError(f"{path} knows the pitch of none of {', '.join(names[:12])}", REMEDY)
        return pairs
    if path.is_file():
        return _mapping(path)
    pairs = {}
    for part in given.split(","):
        name, colon, value = part.rpartition(":")
        if not colon:
            raise ConfigError(f"{given!r} holds no median pitches", REMEDY)
        pairs[name.strip()] = value
    return pairs


def _mapping(path: Path) -> dict:
    values = (reading.read_json if path.suffix == ".json" else reading.read_yaml)(path, LIMIT)
    if not isinstance(values, dict):
        raise ConfigError(f"{path} is not a mapping of names to Hz", REMEDY)
    return values
