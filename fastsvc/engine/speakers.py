"""The speakers of an engine: by name, by the checkpoint's own id, or as a mixture."""

from __future__ import annotations

import difflib
import math
import numbers
import re
from collections.abc import Callable, Mapping

from fastsvc import spelling
from fastsvc.arguments import as_float, shown
from fastsvc.artifact.manifest import Manifest
from fastsvc.errors import SpeakerError

ID = re.compile(r"[0-9]{1,9}")


def mixture(text: str, resolve: Callable[[str], int | str] = str) -> dict[int | str, float]:
    """ "A:0.7,B:0.3" → {resolve("A"): 0.7, …}, shares of one speaker added up. Raises SpeakerError."""
    shares: dict[int | str, float] = {}
    for part in text.split(","):
        name, _, weight = part.rpartition(":")
        try:
            share = float(weight)
        except ValueError:
            raise SpeakerError(f"{text!r} is not a mixture of speakers", 'write "A:0.7,B:0.3"') from None
        if not share >= 0:  # checked before it is added to another share of that name
            raise SpeakerError(
                f"the mixture {text!r} has a weight that is negative or not a number",
                "use weights from 0 up, such as A:0.7,B:0.3",
            )
        speaker = resolve(name.strip())
        shares[speaker] = shares.get(speaker, 0.0) + share
    return shares


class Speakers:
    """The speaker table: row i has the name names[i] and the id base + i; ``default``: the row where none is chosen."""

    def __init__(self, names, base: int = 0, f0_hz=(), default: int | None = None):
        self.names, self.base, self.default = tuple(names), base, default
        self.f0_hz = tuple(f0_hz)

    @classmethod
    def of(cls, manifest: Manifest) -> Speakers:
        """The table of an engine."""
        return cls(manifest.speakers, manifest.speaker_base, manifest.speaker_f0_hz, manifest.default_speaker)

    def weights(self, speaker) -> dict[int, float]:
        """Rows and weights, summing to 1, of a name, an id (5 or "5"), a mixture "A:0.7,B:0.3", or a mapping of names
        and ids to weights; None: the default, or the only speaker.

        Raises SpeakerError: no such speaker, or a weight that is negative or no number.
        """
        if speaker is None:
            speaker = self.only()
        if isinstance(speaker, str) and ":" in speaker and not self.knows(speaker):
            speaker = mixture(speaker)
        if not isinstance(speaker, Mapping):
            return {self.row(speaker): 1.0}
        weights = {name: as_float(weight) for name, weight in speaker.items()}
        for name, weight in weights.items():
            if not 0 <= weight < math.inf:
                raise SpeakerError(f"the weight of {shown(name)} is {shown(speaker[name])}", "use positive weights")
        total = sum(weights.values())
        if not 0 < total < math.inf:
            raise SpeakerError(f"the weights of the mixture sum to {total:g}", "use positive weights")
        rows: dict[int, float] = {}
        for name, weight in weights.items():
            row = self.row(name)
            rows[row] = rows.get(row, 0.0) + weight / total
        return rows

    def only(self) -> str:
        """The speaker where none is chosen. Raises SpeakerError where there are several, and no default."""
        if len(self.names) == 1 or self.default is not None:
            return self.names[self.default or 0]
        names = ", ".join(f"{self.base + i} {name}" for i, name in enumerate(self.names[:20]))
        more = f" and {len(self.names) - 20} more" if len(self.names) > 20 else ""
        raise SpeakerError("no voice is chosen", f"choose one by its id or name: {names}{more}")

    def row(self, speaker) -> int:
        """A name (letter case is ignored if only one fits) or an id → the row. Raises SpeakerError."""
        row = self._named(speaker) if isinstance(speaker, str) else None
        if row is not None:
            return row
        row = self._numbered(speaker)
        if row is not None:
            return row
        raise SpeakerError(f"there is no speaker {shown(speaker)}", self._remedy(speaker))

    def _numbered(self, speaker) -> int | None:
        """The row of an id, as a number or as text; None for everything else."""
        number = None
        if isinstance(speaker, str):
            number = int(speaker) if ID.fullmatch(speaker.strip()) else None
        elif isinstance(speaker, numbers.Integral) and not isinstance(speaker, bool):
            number = int(speaker)
        inside = number is not None and self.base <= number < self.base + len(self.names)
        return number - self.base if inside and number is not None else None

    def id_and_name(self, text: str) -> tuple[int, int] | None:
        """(the id ``text``, the id of the speaker who is called so), where these are two speakers; else None."""
        numbered, named = self._numbered(text), self._named(text)
        if numbered is None or named is None or numbered == named:
            return None
        return self.base + numbered, self.base + named

    def _named(self, text: str) -> int | None:
        """The row of a name, however its accents are spelled; None if none or several fit."""
        if text in self.names:
            return self.names.index(text)
        for alike in (spelling.key, spelling.loose_key):
            rows = [i for i, name in enumerate(self.names) if alike(name) == alike(text)]
            if len(rows) == 1:
                return rows[0]
        return None

    def knows(self, text: str) -> bool:
        """Whether all of ``text`` is one name."""
        return self._named(text) is not None

    def _remedy(self, speaker) -> str:
        last = self.base + len(self.names) - 1
        near = self._near(speaker[:200]) if isinstance(speaker, str) else []
        names = ", ".join(self.names[:12]) + (" …, all in fastsvc inspect" if len(self.names) > 12 else "")
        ids = f"choose an id from {self.base} to {last}, or a name: {names}"
        return f"did you mean {' or '.join(map(repr, near))}? {ids}" if near else ids

    def _near(self, text: str) -> list[str]:
        """Likely names: those that differ in letter case alone, or the nearest one."""
        same = [name for name in self.names if spelling.loose_key(name) == spelling.loose_key(text)]
        folded = {spelling.loose_key(name): name for name in reversed(self.names)}
        return same[:2] or [folded[key] for key in difflib.get_close_matches(spelling.loose_key(text), folded, n=1)]

    def name(self, speaker) -> str:
        """The resolved name, for messages."""
        parts = self.weights(speaker)
        if len(parts) == 1:
            return self.names[next(iter(parts))]
        return " + ".join(f"{weight:.2g} {self.names[row]}" for row, weight in parts.items())

    def median_f0_hz(self, weights: dict[int, float]) -> float | None:
        """The median pitch of a speaker or mixture, in the mean of logarithms; None if one is missing."""
        medians = [self.f0_hz[row] if row < len(self.f0_hz) else 0.0 for row in weights]
        if not all(f0_hz > 0 and math.isfinite(f0_hz) for f0_hz in medians):
            return None
        return math.exp(sum(weight * math.log(f0_hz) for f0_hz, weight in zip(medians, weights.values())))
