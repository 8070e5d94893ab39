"""How much of the words an engine's content encoder lets through: of what it mishears, no student can know."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from fastsvc.evaluation import phones
from fastsvc.evaluation.clips import Clip
from fastsvc.model.recogniser import Recogniser


def heard(engine, judge: Recogniser | None, clip: Clip) -> dict[str, list[bool]]:
    """For each phone of the source, whether the content encoder hears it, by the head that it was trained with
    (``misheard``), and whether the judge hears it in the true target as well (``lost``).

    Empty where the encoder names no phones (HuBERT and its kin) or runs on a GPU; without a judge there is no ``lost``.
    """
    network = getattr(engine.encoder, "model", None)
    if not isinstance(network, Recogniser) or network.head.weight.device.type != "cpu":
        return {}
    sung = phones.reference_phones(clip.phones)
    known = phones.found(phones.recognise(network, clip.audio, clip.rate_hz), sung)
    if judge is None:
        return {"misheard": known}
    told = phones.found(phones.recognise(judge, clip.truth, clip.rate_hz), sung)
    return {"misheard": known, "lost": [a and b for a, b in zip(known, told)]}


def words(clips: Iterable[dict[str, list[bool]]]) -> dict[str, float]:
    """:func:`heard` of many clips → the shares of their phones that are ``misheard`` and ``lost``.

    A student that sings exactly what it was told would be near ``lost``, less where it guesses well.
    """
    every: dict[str, list[bool]] = {}
    for clip in clips:
        for name, right in clip.items():
            every.setdefault(name, []).extend(right)
    return {name: 1 - float(np.mean(right)) for name, right in every.items() if right}
