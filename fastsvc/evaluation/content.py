"""How much of the words an engine's content encoder lets through: of what it mishears, no student can know."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from fastsvc.evaluation import phones
from fastsvc.evaluation.clips import Clip
from fastsvc.model.recogniser import Recogniser


def words(engine, judge: Recogniser | None, clips: Iterable[Clip]) -> dict[str, float]:
    """Shares of the sources' phones: ``misheard`` by the content encoder, by the head that it was trained with, and
    ``lost``: misheard by it, or by the judge in the true target.

    A student that sings exactly what it was told would be near ``lost``, less where it guesses well. Empty where the
    encoder names no phones (HuBERT and its kin), or runs on a GPU; without a judge there is no ``lost``.
    """
    network = getattr(engine.encoder, "model", None)
    if not isinstance(network, Recogniser) or network.head.weight.device.type != "cpu":
        return {}
    known, told = [], []
    for clip in clips:
        sung = phones.reference_phones(clip.phones)
        right = phones.found(phones.recognise(network, clip.audio, clip.rate_hz), sung)
        known += right
        if judge is not None:
            heard = phones.found(phones.recognise(judge, clip.truth, clip.rate_hz), sung)
            told += [a and b for a, b in zip(right, heard)]
    shares = {"misheard": known, "lost": told}
    return {name: 1 - float(np.mean(right)) for name, right in shares.items() if right}
