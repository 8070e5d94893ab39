"""Arrays that programs hand to an engine as recordings, in several shapes and types → float32."""

from __future__ import annotations

import numpy as np
import torch

from fastsvc.errors import AudioError

MOST_CHANNELS = 64
_TYPES = "use float samples in −1 … 1, or int16, int32 or uint8 as files store them"
_SHAPES = "use [samples], [channels, samples] or [samples, channels]"


def as_floats(audio) -> np.ndarray:
    """[samples], [channels, samples] or [samples, channels], numpy or torch → float32 [samples] or [channels, samples].

    Whole numbers become −1 … 1 by their type's range. An array of more rows than columns is taken as [samples,
    channels] if it has more rows, and no more columns, than :data:`MOST_CHANNELS`. Raises AudioError for anything else.
    """
    try:
        audio = np.asarray(audio.detach().cpu() if isinstance(audio, torch.Tensor) else audio)
    except (TypeError, ValueError, RuntimeError) as error:  # rows of unequal length, a sparse tensor, bfloat16
        raise AudioError(f"audio is not an array: {error}", "use [samples] or [channels, samples]") from error
    if audio.ndim not in (1, 2):
        raise AudioError(f"audio has shape {audio.shape}", _SHAPES)
    if audio.ndim == 2 and audio.shape[0] > max(audio.shape[1], MOST_CHANNELS):
        if audio.shape[1] > MOST_CHANNELS:
            raise AudioError(f"audio of shape {audio.shape} has more than {MOST_CHANNELS} channels", _SHAPES)
        audio = audio.T
    if audio.ndim == 2 and audio.shape[0] == 0:
        raise AudioError("audio has no channels", _SHAPES)
    if audio.dtype in (np.int16, np.int32):
        return audio.astype(np.float32) / np.float32(np.iinfo(audio.dtype).max + 1)
    if audio.dtype == np.uint8:
        return (audio.astype(np.float32) - 128) / 128
    if not np.issubdtype(audio.dtype, np.floating):
        raise AudioError(f"audio is of type {audio.dtype}", _TYPES)
    with np.errstate(over="ignore"):  # float64 beyond float32's range becomes infinite, which is refused later
        return audio.astype(np.float32, copy=False)
