"""Training recordings of the voices, for their centroids."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fastsvc.data.store import load_json
from fastsvc.reading import arrays


class TrainingAudio:
    """The training split of a prepared corpus, singer by singer. Raises ConfigError where there is none."""

    def __init__(self, path):
        self.path = Path(path)
        data = load_json(self.path / "corpus.json")
        self.rate_hz = int(data["mel"]["rate_hz"])
        self.items = [item for item in data["items"] if item["split"] == "train"]

    def recordings(self, singer: str, seconds: float) -> list[np.ndarray]:
        """float32 recordings of one singer, drawn evenly from all its items, of that many seconds together."""
        items = [item for item in self.items if item["singer"] == singer]
        order = np.random.default_rng(0).permutation(len(items))
        audio: list[np.ndarray] = []
        for index in order:
            if sum(map(len, audio)) >= seconds * self.rate_hz:
                break
            audio.append(arrays.npz(self.path / items[index]["file"])["audio"].astype(np.float32) / 32768)
        return audio
