"""How many phones an engine's content encoder passes on: a student cannot know the phones that it mishears."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from fastsvc.evaluation import phones
from fastsvc.evaluation.clips import Clip
from fastsvc.model.recogniser import Recogniser


def recognised_phones(engine, judge: Recogniser | None, clip: Clip) -> dict[str, list[bool]]:
    """For each phone of the source: whether the content encoder recognises it, by its training head (``misheard``),
    and whether the judge recognises it in the true target as well (``lost``).

    {} where the encoder names no phones (HuBERT and its kin) or runs on a GPU; without a judge there is no ``lost``.
    """
    network = getattr(engine.encoder, "model", None)
    if not isinstance(network, Recogniser) or network.head.weight.device.type != "cpu":
        return {}
    reference = phones.reference_phones(clip.phones)
    encoder_hits = phones.matched(phones.recognise(network, clip.audio, clip.rate_hz), reference)
    if judge is None:
        return {"misheard": encoder_hits}
    judge_hits = phones.matched(phones.recognise(judge, clip.truth, clip.rate_hz), reference)
    return {"misheard": encoder_hits, "lost": [a and b for a, b in zip(encoder_hits, judge_hits)]}


def missed_shares(clips: Iterable[dict[str, list[bool]]]) -> dict[str, float]:
    """:func:`recognised_phones` of many clips → the shares of their phones that are ``misheard`` and ``lost``.

    A student that renders its units exactly has a phone error rate near ``lost``, lower where it guesses well.
    """
    hits: dict[str, list[bool]] = {}
    for clip in clips:
        for name, clip_hits in clip.items():
            hits.setdefault(name, []).extend(clip_hits)
    return {name: 1 - float(np.mean(clip_hits)) for name, clip_hits in hits.items() if clip_hits}
