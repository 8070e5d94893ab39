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


class PhoneHearer(Protocol):
    """``name`` tells the recogniser and its version: labels of two are never mixed."""

    name: str

    def hear(self, audio: np.ndarray) -> list[tuple[str, float, float]]:
        """audio [samples] at 16 kHz -> [(phone of the choir, start, end in seconds)], in order."""


def add_phones(corpus_dir, hearer: PhoneHearer, *, progress: bool = True) -> int:
    """Label every item that has no transcript and no labels of ``hearer`` yet; returns how many were labelled.

    The labels are stored as a transcript's are, so that training knows no difference. A broken run goes on where it
    was. Raises ConfigError where the corpus cannot be read, or has other phones than the choir's.
    """
    path = arguments.path("corpus_dir", corpus_dir) / "corpus.json"
    arguments.flag("progress", progress)
    with records.alone(path, "labelling phones") as corpus:
        files.clear_leftovers(path.parent, deep=True)
        return _add(path, corpus, hearer, progress)


def _add(path: Path, corpus: dict, hearer: PhoneHearer, progress: bool) -> int:
    from fastsvc.data.choir.phones import PHONES

    if corpus["phones"] and tuple(corpus["phones"]) != PHONES:
        raise ConfigError(f"{path}: its phones are not those of the choir", "prepare the corpus again")
    known = {phone: index for index, phone in enumerate(PHONES)}
    done, rate_hz = 0, from_dict(MelConfig, corpus["mel"]).rate_hz
    for item in screen.bar(corpus["items"], desc="phones", unit="item", disable=not progress):
        if item.get("phones") is not True:
            done += _label(path.parent / item["file"], hearer, known, rate_hz)
    corpus |= {"phones": list(PHONES), KEY: hearer.name}
    corpus.pop("pseudo", None)  # clusters would stand in the place of phones
    save_json(path, corpus)
    return done


def _label(path: Path, hearer: PhoneHearer, known: dict[str, int], rate_hz: int) -> bool:
    read = arrays.npz(path)
    if KEY in read and str(read[KEY]) == hearer.name:
        return False
    audio = read["audio"].astype(np.float32) / 32768
    heard = hearer.hear(resample(audio, rate_hz, RATE_HZ))
    times = np.array([span[1:] for span in heard], np.float32).reshape(-1, 2)
    ids = np.array([known[phone] for phone, *_ in heard], np.int16)
    times = times.clip(0, len(audio) / rate_hz)
    save_arrays(path, read | {"phone_ids": ids, "phone_times_s": times, KEY: np.array(hearer.name)})
    return True
