"""A prepared corpus in memory, and random aligned crops of it for training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from fastsvc.config import FeatureConfig, MelConfig, from_dict
from fastsvc.config.shown import shown
from fastsvc.data import pseudo
from fastsvc.data.records import described
from fastsvc.data.store import load_json
from fastsvc.errors import ConfigError
from fastsvc.features.align import indices
from fastsvc.reading import arrays

SPLITS = ("train", "valid", "test")


class Item:
    """The arrays of one item, as stored. Arrays derived from them are computed on first use and cached."""

    def __init__(self, described: dict, path: Path, singer: int, with_units: str | None):
        self.id, self.song, self.split, self.singer = described["id"], described["song"], described["split"], singer
        stored = arrays.npz(path)
        try:
            self.audio, self.volume = stored["audio"], stored["volume"].astype(np.float16)
            self.f0_hz, self.voiced = stored["f0_hz"], stored["voiced"]
            self.units = self._units(stored, path, with_units) if with_units else None
            names = ("phone_ids", "phone_times_s") if "phone_ids" in stored else ()
            self.phone_ids, self.phone_times_s = (stored[name] for name in names) if names else (None, None)
        except (ValueError, KeyError) as error:
            raise ConfigError(f"{path}: cannot be read ({error})", "prepare the corpus again") from None
        self._index = self._labels = None

    @property
    def frames(self) -> int:
        return len(self.f0_hz)

    def unit_index(self, method: str, ratio: float | None = None) -> np.ndarray:
        """Index of the unit that each mel frame takes, int32 [frames]; ``ratio``: units per frame, by the hops."""
        if self._index is None:
            self._index = indices(len(self.units), self.frames, method, ratio=ratio).numpy().astype(np.int32)
        return self._index

    def phone_labels(self, frame_s: float) -> np.ndarray:
        """The phone at the middle of each frame, int16 [frames]; -1: unknown."""
        if self._labels is None:
            self._labels = np.full(self.frames, -1, dtype=np.int16)
            if self.phone_ids is not None and len(self.phone_ids):
                middle = (np.arange(self.frames) + 0.5) * frame_s
                positions = np.searchsorted(self.phone_times_s[:, 0], middle, side="right") - 1
                inside = (positions >= 0) & (middle < self.phone_times_s[positions, 1])
                self._labels[inside] = self.phone_ids[positions[inside]]
        return self._labels

    def unit_labels(self, centres: np.ndarray, method: str, ratio: float | None = None) -> np.ndarray:
        """The cluster of the unit that each frame takes, int16 [frames]: labels where there is no transcript."""
        if self._labels is None:
            self._labels = pseudo.labels(self.units, centres)[self.unit_index(method, ratio)]
        return self._labels

    def phones_between(self, first_s: float, last_s: float) -> np.ndarray:
        """The phones of which at least half lies in [first_s, last_s), int64 [P]."""
        if self.phone_ids is None or not len(self.phone_ids):
            return np.zeros(0, dtype=np.int64)
        starts, ends = self.phone_times_s.T
        mostly_inside = np.minimum(ends, last_s) - np.maximum(starts, first_s) >= 0.5 * (ends - starts)
        return self.phone_ids[mostly_inside].astype(np.int64)

    @staticmethod
    def _units(stored, path: Path, encoder_hash: str) -> np.ndarray:
        if "units" not in stored or str(stored["units_hash"]) != encoder_hash:
            raise ConfigError(
                f"{path}: lacks units of the corpus's encoder", "add the units again with `fastsvc prepare --encoder`"
            )
        return stored["units"]


class Corpus:
    """``Corpus(path)``: a prepared corpus, wholly in memory (about 200 MB an hour at 24 kHz, plus units).

    ``mel``, ``features``: its configs; ``peak``: the level of every recording's highest sample, or None: as recorded;
    ``singers``, ``phones``: names, whose positions are the ids. After ``add_pseudo_labels`` the phones are clusters of
    units, which label every item. ``singer_f0_hz``: median voiced f0 by singer's name; ``mel_mean``, ``mel_std``
    float32 [bins] of the training split; ``encoder``: the content encoder of the units, or None; ``items``.
    Raises ConfigError where the corpus is missing, damaged, or of an unknown format.
    """

    def __init__(self, path):
        self.path = Path(path)
        data = load_json(self.path / "corpus.json")
        if data.get("format") != 1:
            found_format = f"is of format {shown(data['format'])}" if "format" in data else "does not say its format"
            raise ConfigError(
                f"{self.path}: its corpus.json {found_format}, where 1 is known", "prepare the corpus again"
            )
        data = described(self.path / "corpus.json")
        self.mel = from_dict(MelConfig, data["mel"])
        self.features = from_dict(FeatureConfig, data["features"])
        self.peak = data.get("peak")
        self.singers, self.phones = list(data["singers"]), list(data["phones"])
        self.singer_f0_hz = data["singer_f0_hz"]
        self.mel_mean = np.array(data["mel_mean"], dtype=np.float32)
        self.mel_std = np.array(data["mel_std"], dtype=np.float32)
        self.encoder = data.get("encoder")
        ids = {name: index for index, name in enumerate(self.singers)}
        with_units = self.encoder["hash"] if self.encoder else None
        self.clusters = self._clusters(data.get("pseudo"))
        self.items = [Item(d, self.path / d["file"], ids[d["singer"]], with_units) for d in data["items"]]
        self._choices: dict = {}
        self._having: dict[str, list[int]] = {}

    def _clusters(self, described: dict | None) -> np.ndarray | None:
        """The centres [K, D] of pseudo-labels, or None. With pseudo-labels ``phones`` are the clusters' names."""
        if not described:
            return None
        path = self.path / pseudo.FILE
        centres = arrays.npy(path)
        if centres.ndim != 2:
            raise ConfigError(f"{path}: holds no table of centres", "prepare with --pseudo-labels again")
        if not self.encoder or described["encoder_hash"] != self.encoder["hash"]:
            raise ConfigError(f"{self.path}: pseudo-labels and units differ", "prepare with --pseudo-labels again")
        self.phones = pseudo.names(len(centres))
        return centres

    @property
    def unit_places(self) -> tuple[str, float | None]:
        """How frames find their units: the way, and the units per frame by the hops, where it needs them."""
        way, encoder = self.features.unit_align, self.encoder
        if way != "hops" or not encoder:
            return way, None
        per_unit_s = encoder["hop_samples"] / encoder["rate_hz"]
        return way, (self.mel.hop_samples / self.mel.rate_hz) / per_unit_s

    def of(self, split: str, singer: int | None = None) -> list[int]:
        """Positions of the items of a split, of one singer or of all."""
        if split not in SPLITS:
            raise ConfigError(f"corpus: unknown split {split!r}", f"use one of {', '.join(SPLITS)}")
        return [i for i, m in enumerate(self.items) if m.split == split and singer in (None, m.singer)]

    def having(self, split: str) -> list[int]:
        """The numbers of the singers that have items in a split."""
        if split not in self._having:
            self._having[split] = sorted({self.items[i].singer for i in self.of(split)})
        return self._having[split]

    def crop(self, rng: np.random.Generator, split: str, frames: int, singer: int | None = None) -> dict:
        """``frames`` consecutive frames from anywhere in the split; :meth:`cut` says what a crop holds."""
        items, ends = self._table(split, singer)
        item = self.items[items[np.searchsorted(ends, rng.integers(ends[-1]), side="right")]]
        return self.cut(item, int(rng.integers(max(item.frames - frames, 0) + 1)), frames)

    def cut(self, item: Item, first: int, frames: int) -> dict:
        """Frames first … first + frames of an item, as numpy arrays.

        audio float32 [frames * hop], f0_hz, volume float32 [frames], voiced, mask bool [frames] (mask is False on
        the zeros after the end of a short item; there f0 and units are held), units float32 [frames, D] (only where
        the corpus has units), singer int, phone_labels int64 [frames] (-1: unknown), phones int64 [P]: the sequence.
        """
        hop, span = self.mel.hop_samples, slice(first, first + frames)
        missing = max(0, first + frames - item.frames)
        labels, phones = self._labels(item, first, frames)
        audio = item.audio[first * hop : min(first + frames, item.frames) * hop].astype(np.float32)
        crop = {
            "audio": _pad(audio / 32768, missing * hop),
            "f0_hz": _pad(item.f0_hz[span], missing, "edge"),
            "voiced": _pad(item.voiced[span], missing),
            "volume": _pad(item.volume[span].astype(np.float32), missing),
            "mask": np.arange(frames) < frames - missing,
            "singer": item.singer,
            "phone_labels": _pad(labels.astype(np.int64), missing, constant_values=-1),
            "phones": phones,
        }
        if item.units is not None:
            index = _pad(item.unit_index(*self.unit_places)[span], missing, "edge")
            crop["units"] = item.units[index].astype(np.float32)
        return crop

    def _labels(self, item: Item, first: int, frames: int) -> tuple[np.ndarray, np.ndarray]:
        """(label of each stored frame, sequence of phones) of a cut."""
        span, frame_s = slice(first, first + frames), self.mel.hop_samples / self.mel.rate_hz
        if self.clusters is None:
            sequence = item.phones_between(first * frame_s, (first + frames) * frame_s)
            return item.phone_labels(frame_s)[span], sequence
        labels = item.unit_labels(self.clusters, *self.unit_places)[span]
        starts = np.flatnonzero(np.diff(labels, prepend=-1))
        return labels, labels[starts].astype(np.int64)

    def batch(self, rng: np.random.Generator, split: str, size: int, frames: int, singer: int | None = None) -> dict:
        """``size`` crops stacked: torch tensors [size, …], singer int64 [size]; phones are padded with -1 at the end
        and counted in phone_counts int64 [size]."""
        crops = [self.crop(rng, split, frames, singer) for _ in range(size)]
        counts = [len(crop["phones"]) for crop in crops]
        longest = max(counts, default=0)
        for crop in crops:
            crop["phones"] = _pad(crop["phones"], longest - len(crop["phones"]), constant_values=-1)
        batch = {key: torch.from_numpy(np.stack([crop[key] for crop in crops])) for key in crops[0]}
        return batch | {"phone_counts": torch.tensor(counts)}

    def _table(self, split: str, singer: int | None) -> tuple[list[int], np.ndarray]:
        """Items to choose from, and the running sum of their frames."""
        key = split, singer
        if key not in self._choices:
            items = self.of(split, singer)
            if not items:
                whose = "" if singer is None else f" of singer {singer}"
                raise ConfigError(f"{self.path}: no {split} items{whose}", "prepare it with more songs or other shares")
            self._choices[key] = items, np.cumsum([self.items[i].frames for i in items])
        return self._choices[key]


def _pad(array: np.ndarray, missing: int, mode: str = "constant", **options) -> np.ndarray:
    return np.pad(array, (0, missing), mode, **options) if missing else array
