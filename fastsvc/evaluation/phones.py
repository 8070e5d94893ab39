"""Phone error rate of a recording by a recogniser that took no part in training."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import torch

from fastsvc.audio.mel import log_mel
from fastsvc.audio.resample import resample
from fastsvc.model.recogniser import Recogniser, decode, edit_costs, edit_distance

PAUSE = "pau"


def reference_phones(phones: Sequence[str]) -> list[str]:
    """A transcript's symbols as a recogniser gives them: runs of one symbol become one, pauses are dropped.

    Two equal phones that touch (the t of "that time") are one sound, and decoding gives one symbol.
    """
    return [symbol for symbol, _ in itertools.groupby(phones) if symbol != PAUSE]


@torch.inference_mode()
def recognise(recogniser: Recogniser, audio: np.ndarray, rate_hz: int) -> list[str]:
    """audio [samples] -> symbols (:func:`fastsvc.model.recogniser.decode`: Viterbi, runs merged, blanks dropped)."""
    config = recogniser.config.mel
    audio = resample(np.asarray(audio, np.float32), rate_hz, config.rate_hz)
    return recognise_mel(recogniser, log_mel(torch.from_numpy(audio)[None], config)[0])


@torch.inference_mode()
def recognise_mel(recogniser: Recogniser, mel: torch.Tensor) -> list[str]:
    """log-mel [T, M] as ``recogniser`` takes it -> symbols, as :func:`recognise`."""
    if not len(mel):
        return []
    _, logits = recogniser(mel[None])
    symbols = [recogniser.config.phones[label] for label in decode(logits[0])]
    return [symbol for symbol in symbols if symbol != PAUSE]


def error_rate(symbols: Sequence[str], reference: Sequence[str]) -> float:
    """Edit distance / length of the reference; may exceed 1. NaN for an empty reference."""
    return edit_distance(list(symbols), list(reference)) / len(reference) if len(reference) else float("nan")


def matched(symbols: Sequence[str], reference: Sequence[str]) -> list[bool]:
    """For each symbol of the reference, whether a shortest edit of it into ``symbols`` keeps it."""
    cost = edit_costs(reference, symbols)
    was_matched, i, j = [False] * len(reference), len(reference), len(symbols)
    while i and j:
        same = symbols[j - 1] == reference[i - 1]
        if cost[i][j] == cost[i - 1][j - 1] + (not same):
            i, j = i - 1, j - 1
            was_matched[i] = same
        elif cost[i][j] == cost[i - 1][j] + 1:
            i -= 1
        else:
            j -= 1
    return was_matched
