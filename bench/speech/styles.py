"""Kokoro's style vectors: those of 54 voices lie in the npm package kokoro-js (Apache-2.0), and mixtures are anyone's.

A style's first half is the voice, its second the prosody. A new throat is a mixture of one to three voices, that may
reach beyond them, and noise; its prosody is one of the voices of English.
"""

from __future__ import annotations

import base64
import hashlib
import tarfile
from pathlib import Path, PurePosixPath

import numpy as np

from bench.speech import fetch
from bench.speech.fetch import FetchError

PACKAGE, VERSION = "kokoro-js", "1.2.1"
SHA512 = "oq0HZJWis3t8lERkMJh84WLU86dpYD0EuBPtqYnLlQzyFP1OkyBRDcweAqCfhNOpltyN9j/azp1H6uuC47gShw=="
SYMBOLS, WIDTH = 510, 256  # a vector for each number of symbols in the utterance
TIMBRE = 128
ENGLISH = ("a", "b")  # first letters of the names of American and British voices
MIXED = (1, 3)  # voices
STRETCH = (0.7, 1.8)  # how far from the mean of all voices; beyond 1: beyond the mixture
PROSODY_STRETCH = (0.7, 1.0)
NOISE, PROSODY_NOISE = 1.2, 0.4  # at most, in standard deviations over the voices


def voices(folder: Path) -> dict[str, np.ndarray]:
    """Name → float32 [SYMBOLS, WIDTH], of the package that is fetched into ``folder/npm``. Raises FetchError."""
    path = fetch.npm(PACKAGE, VERSION, folder)
    digest = base64.b64encode(hashlib.sha512(path.read_bytes()).digest()).decode()
    if digest != SHA512:
        raise FetchError(f"{path} is not the {PACKAGE} {VERSION} that is known here", "remove it, and run this again")
    found = {}
    with tarfile.open(path) as archive:
        for member in archive:
            name = PurePosixPath(member.name)
            if name.parent.name == "voices" and name.suffix == ".bin" and member.size == 4 * SYMBOLS * WIDTH:
                found[name.stem] = np.frombuffer(archive.extractfile(member).read(), "<f4").reshape(SYMBOLS, WIDTH)
    return dict(sorted(found.items()))


class Styles:
    """``draw``: a style that no other utterance has."""

    def __init__(self, tables: dict[str, np.ndarray]):
        self.tables = np.stack(list(tables.values()))
        self.english = [row for row, name in enumerate(tables) if name[0] in ENGLISH]

    def draw(self, symbols: int, rng: np.random.Generator) -> np.ndarray:
        """[1, WIDTH] for an utterance of so many symbols."""
        styles = self.tables[:, min(symbols, SYMBOLS) - 1]
        spread = styles.std(0)
        voice = self._mixed(styles, range(len(styles)), STRETCH, rng)
        voice = voice + rng.normal(size=WIDTH) * spread * rng.uniform(0, NOISE)
        prosody = self._mixed(styles, self.english, PROSODY_STRETCH, rng)
        prosody = prosody + rng.normal(size=WIDTH) * spread * rng.uniform(0, PROSODY_NOISE)
        return np.concatenate([voice[:TIMBRE], prosody[TIMBRE:]])[None].astype(np.float32)

    @staticmethod
    def _mixed(styles: np.ndarray, rows, stretch: tuple[float, float], rng: np.random.Generator) -> np.ndarray:
        count = int(rng.integers(MIXED[0], MIXED[1] + 1))
        chosen = rng.choice(rows, count, replace=False)
        mean = styles.mean(0)
        return mean + rng.uniform(*stretch) * (rng.dirichlet(np.ones(count)) @ styles[chosen] - mean)
