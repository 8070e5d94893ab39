"""Values that arguments must not have: of a wrong kind, or out of range."""

import math

import numpy as np
import torch

NAN, INF = math.nan, math.inf
HUGE = 10**5000  # of more digits than Python writes
NO_WHOLE = ["1", 1.0, 1.5, True, NAN, None, [1], HUGE, -HUGE, np.float32(1), np.bool_(True), torch.tensor(1.5)]
NO_NUMBER = ["x", "1", True, NAN, INF, -INF, [1.0], HUGE, 1j, np.nan, b"1", {}]
NO_FLAG = [0, 1, "yes", NAN, []]
NO_PATH = [5, b"x", "", "a\0b", 1.5, [], True]
NO_WORD = ["x", 5, None, ["yin"], True, HUGE]


def without(values, *allowed):
    return [value for value in values if not any(value is one for one in allowed)]


CONVERT = {
    "rate_hz": [*NO_WHOLE, 0, 999, 1_000_001, -44100],
    "steps": [*without(NO_WHOLE, None), 0, -1, 1001],
    "transpose": [*NO_NUMBER, "Auto", 61, -60.5, None, np.array([1.0, 2.0])],
    "formant": [*NO_NUMBER, 12.5, -13, None],
    "seed": [*NO_WHOLE, -1, 2**64],
    "noise_scale": [*NO_NUMBER, -0.01, 1.01, None],
    "f0_method": without(NO_WORD, None),
    "f0_weights": NO_PATH,
    "f0_range": [
        5,
        "x",
        "50:1100",
        True,
        [],
        (50,),
        (50, 60, 70),
        (1100, 50),
        (50, 50),
        (0, 1100),
        (50, NAN),
        (-1, INF),
    ],
    "rate_out_hz": [*without(NO_WHOLE, None), 0, 999, 1_000_001],
    "normalise": NO_FLAG,
    "high_pass": [*NO_FLAG, None],
    "rms_mix_rate": [*NO_NUMBER, -0.01, 1.01, None],
    "index_rate": [*NO_NUMBER, -0.01, 1.01],
    "protect": [*NO_NUMBER, -0.01, 0.51],
    "index_search": without(NO_WORD, None),
    "unvoiced": without(NO_WORD, None),
    "f0_fill": NO_WORD,
    "resampler": NO_WORD,
    "progress": [5, "x", True],
}
