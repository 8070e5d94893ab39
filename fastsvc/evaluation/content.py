"""What the engine's own content encoder makes of a source: of words that it mishears, no student can know."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from fastsvc.evaluation import phones
from fastsvc.evaluation.clips import Clip
from fastsvc.model.recogniser import Recogniser


def phone_error_rate(engine, clips: Iterable[Clip]) -> float:
    """Of the sources, by the head that the encoder was trained with, the mean over clips.

    NaN where the encoder has none (HuBERT and its kin), or runs on a GPU.
    """
    network = getattr(engine.encoder, "model", None)
    if not isinstance(network, Recogniser) or network.head.weight.device.type != "cpu":
        return math.nan
    read = ((phones.recognise(network, clip.audio, clip.rate_hz), clip.phones) for clip in clips)
    heard = [phones.error_rate(symbols, phones.reference_phones(sung)) for symbols, sung in read]
    return float(np.nanmean(heard)) if np.isfinite(heard).any() else math.nan
