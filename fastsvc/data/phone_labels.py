"""Phones for every item of a prepared corpus that has no transcript, as a phone recogniser hears them."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np

from fastsvc import arguments, files, screen
from fastsvc.audio.resample import resample
from fastsvc.config import MelConfig, from_dict
from fastsvc.data import records
from fastsvc.data.store import save_arrays, save_json
from fastsvc.errors import ConfigError
from fastsvc.reading import arrays

RATE_HZ = 16000
KEY = "phones_by"  # in corpus.json, and in each item that was labelled


class PhoneRecogniser(Protocol):
    """``name`` tells the recogniser and its version: labels of two are never mixed."""

    name: str

    def recognise(self, audio: np.ndarray) -> list[tuple[str, float, float]]:
        """audio [samples] at 16 kHz -> [(phone of the choir, start, end in seconds)], in order."""


def add_phones(corpus_dir, recogniser: PhoneRecogniser, *, progress: bool = True) -> int:
    """Label every item that has no transcript and no labels of ``recogniser`` yet; returns how many were labelled.

    The labels are stored as a transcript's are, so that training knows no difference. A broken run goes on where it
    was. Raises ConfigError where the corpus cannot be read, or has other phones than the choir's.
    """
    path = arguments.path("corpus_dir", corpus_dir) / "corpus.json"
    arguments.flag("progress", progress)
    with records.alone(path, "labelling phones") as corpus:
        files.clear_leftovers(path.parent, deep=True)
        return _add(path, corpus, recogniser, progress)


def _add(path: Path, corpus: dict, recogniser: PhoneRecogniser, progress: bool) -> int:
    from fastsvc.data.choir.phones import PHONES

    if corpus["phones"] and tuple(corpus["phones"]) != PHONES:
        raise ConfigError(f"{path}: its phones are not those of the choir", "prepare the corpus again")
    ids_by_phone = {phone: index for index, phone in enumerate(PHONES)}
    labelled, rate_hz = 0, from_dict(MelConfig, corpus["mel"]).rate_hz
    for item in screen.bar(corpus["items"], desc="phones", unit="item", disable=not progress):
        if item.get("phones") is not True:
            labelled += _label(path.parent / item["file"], recogniser, ids_by_phone, rate_hz)
    corpus |= {"phones": list(PHONES), KEY: recogniser.name}
    corpus.pop("pseudo", None)  # clusters would stand in the place of phones
    save_json(path, corpus)
    return labelled


def _label(path: Path, recogniser: PhoneRecogniser, ids_by_phone: dict[str, int], rate_hz: int) -> bool:
    stored = arrays.npz(path)
    if KEY in stored and str(stored[KEY]) == recogniser.name:
        return False
    audio = stored["audio"].astype(np.float32) / 32768
    spans = recogniser.recognise(resample(audio, rate_hz, RATE_HZ))
    times = np.array([span[1:] for span in spans], np.float32).reshape(-1, 2)
    ids = np.array([ids_by_phone[phone] for phone, *_ in spans], np.int16)
    times = times.clip(0, len(audio) / rate_hz)
    save_arrays(path, stored | {"phone_ids": ids, "phone_times_s": times, KEY: np.array(recogniser.name)})
    return True
