"""Fundamental frequency on the grid of the mel frames: frame t is centred at sample t * hop + hop / 2.

``yin`` is ours: windowed YIN candidates and a Viterbi path, on CPU and GPU. ``pyin`` is librosa's, ``dio`` and
``harvest`` are WORLD's (the module pyworld; CoMoSVC trains with dio), ``pm`` is Praat's. ``crepe``, ``crepe-tiny``,
``fcpe``, ``rmvpe`` and ``pesto`` are networks, which run on the audio's device; ``swift`` is one that runs in
onnxruntime on a CPU. docs/f0.md compares them.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import torch

from fastsvc import arguments
from fastsvc.config import F0_METHODS, F0_STYLES
from fastsvc.errors import ConfigError
from fastsvc.features.f0 import constant_q, device_yin, external, networks, neural, pitch_weights, styles, swift
from fastsvc.features.f0.beyond import extended_track, ranges
from fastsvc.features.f0.candidates import candidates, outermost
from fastsvc.features.f0.external import onto_frames
from fastsvc.features.f0.path import COSTS, best_path

__all__ = [
    "METHODS",
    "STYLES",
    "extract",
    "extract_batch",
    "fill",
    "onto_frames",
    "ranges",
    "require",
    "yin_candidates",
    "yin_path",
]

METHODS, STYLES = F0_METHODS, F0_STYLES


def extract(
    audio,
    rate_hz,
    hop_samples,
    frames,
    *,
    method="yin",
    low_hz=50.0,
    high_hz=1100.0,
    style="fastsvc",
    weights=None,
    beyond=None,
    future=None,
) -> tuple[Any, Any]:
    """Track the pitch of one recording [samples] (numpy or torch, any device).

    Returns (f0_hz float32 [frames], voiced bool [frames]) of the audio's type, on its device. Unvoiced stretches are
    filled (:func:`fill`); if no frame is voiced, f0_hz is 0 everywhere. Frames past the end of the audio are unvoiced.
    NaN and infinite samples count as silence. A ``style`` other than "fastsvc" has the time grid, rounding and filling
    of another project (:mod:`fastsvc.features.f0.styles`). ``weights``: the file of rmvpe, by default $FASTSVC_RMVPE.
    ``beyond``: (lowest, highest) Hz of pitch that YIN adds outside low_hz … high_hz, where it is clear
    (:mod:`fastsvc.features.f0.beyond`); inside nothing changes, and outside of both nothing is tracked.
    ``future``: frames after each one of which YIN's path decides about it; None: all (:mod:`fastsvc.features.f0.path`).
    Raises ConfigError for an unknown method, style or range, MissingPackageError where a method's package is not
    installed, CheckpointError where its weights cannot be read.
    """
    is_numpy = not isinstance(audio, torch.Tensor)
    batch = torch.as_tensor(np.ascontiguousarray(audio) if is_numpy else audio)[None]
    options = {"method": method, "low_hz": low_hz, "high_hz": high_hz, "style": style, "weights": weights}
    f0_hz, voiced = extract_batch(batch, rate_hz, hop_samples, frames, **options, beyond=beyond, future=future)
    return (f0_hz[0].numpy(), voiced[0].numpy()) if is_numpy else (f0_hz[0], voiced[0])


@torch.no_grad()
def extract_batch(
    audio,
    rate_hz,
    hop_samples,
    frames,
    *,
    method="yin",
    low_hz=50.0,
    high_hz=1100.0,
    style="fastsvc",
    weights=None,
    beyond=None,
    future=None,
):
    """The same for torch [B, samples] -> (f0_hz float32 [B, frames], voiced bool [B, frames])."""
    _check(method, style, rate_hz, hop_samples, frames, low_hz, high_hz)
    if beyond is not None:
        _check_range(rate_hz, *beyond)
    audio = torch.nan_to_num(audio.detach().float(), nan=0.0, posinf=0.0, neginf=0.0)
    if frames == 0 or audio.shape[-1] == 0 or audio.shape[0] == 0:
        shape = (audio.shape[0], frames)
        return torch.zeros(shape, device=audio.device), torch.zeros(shape, dtype=torch.bool, device=audio.device)
    grid = rate_hz, hop_samples, frames, low_hz, high_hz
    if method == "yin" and style == "fastsvc" and audio.is_cuda and future is None:
        return tuple(
            torch.stack(parts) for parts in zip(*(device_yin.extract(row, *grid, beyond=beyond) for row in audio))
        )
    if style != "fastsvc":
        rows = [
            styles.extract(
                style,
                method,
                row,
                *grid,
                weights,
                lambda row=row: _tracked(row[None], grid, method, weights, beyond)[0],
                None if beyond is None else functools.partial(_beyond, grid, beyond),
            )
            for row in audio
        ]
    else:
        within = (np.arange(frames) + 0.5) * hop_samples < audio.shape[-1]
        rows = [(f, v & within & (f > 0)) for f, v in _tracked(audio, grid, method, weights, beyond, future)]
        rows = [(fill(f, v), v) for f, v in rows]
    f0_hz, voiced = (np.stack(parts) for parts in zip(*rows))
    return torch.from_numpy(f0_hz).to(audio.device), torch.from_numpy(voiced).to(audio.device)


def require(method: str, weights=None) -> None:
    """Raise the error of :func:`extract` for a missing package or missing weights, before any work is done."""
    if method in pitch_weights.METHODS:
        pitch_weights.find(method, weights)
    else:
        external.require(method)


def fill(f0_hz: np.ndarray, voiced: np.ndarray) -> np.ndarray:
    """Run log f0 linearly through the unvoiced frames and hold it at both ends; all zeros if nothing is voiced."""
    indices = np.flatnonzero(voiced)
    if indices.size == 0:
        return np.zeros(len(f0_hz), dtype=np.float32)
    log = np.interp(np.arange(len(f0_hz)), indices, np.log(np.asarray(f0_hz, dtype=np.float64)[indices]))
    return np.where(voiced, f0_hz, np.exp(log)).astype(np.float32)


def _yin(audio, rate_hz, hop_samples, frames, low_hz, high_hz, beyond=None, future=None):
    found = yin_candidates(audio, rate_hz, hop_samples, frames, low_hz, high_hz, beyond)
    return yin_path(*found, hop_samples / rate_hz, future)


def yin_candidates(audio, rate_hz, hop_samples, frames, low_hz, high_hz, beyond=None) -> tuple[np.ndarray, np.ndarray]:
    """YIN's candidates of audio [B, samples] on a CPU: (f0_hz, cost) [B, frames, K]; a missing one costs infinity."""
    pair = candidates(audio, rate_hz, hop_samples, frames, low_hz, high_hz, beyond=beyond)
    f0_hz, cost = (part.numpy() for part in pair)
    lowest, highest = outermost(low_hz, high_hz, beyond)
    return f0_hz, np.where((f0_hz >= lowest) & (f0_hz <= highest), cost, np.inf)


def yin_path(f0_hz: np.ndarray, cost: np.ndarray, frame_s: float, future=None) -> tuple[np.ndarray, np.ndarray]:
    """Candidates → (f0_hz, 0 where unvoiced; voiced) [B, frames]."""
    choice = best_path(f0_hz, cost, frame_s, **COSTS, future=future)
    voiced = choice < f0_hz.shape[-1]
    index = np.minimum(choice, f0_hz.shape[-1] - 1)[..., None]
    return np.where(voiced, np.take_along_axis(f0_hz, index, -1)[..., 0], 0), voiced


def _tracked(audio, grid, method, weights=None, beyond=None, future=None):
    """(f0_hz [frames], voiced [frames]) of each row of audio [B, samples]; f0_hz is arbitrary where unvoiced."""
    if method == "yin" and audio.is_cuda and future is None:
        return [tuple(part.cpu().numpy() for part in device_yin.yin(row, *grid, beyond=beyond)) for row in audio]
    if method == "yin":
        return list(zip(*_yin(audio.cpu(), *grid, beyond, future)))
    rows = [_track_one(row, *grid, method, weights) for row in audio]
    return rows if beyond is None else [_beyond(grid, beyond, row, *track) for row, track in zip(audio, rows)]


def _beyond(grid, beyond, audio, f0_hz, voiced, shift=0):
    """A track of audio [samples] with YIN's pitch outside the range; ``shift``: each value's time, in samples before
    the middle of its frame."""
    rate_hz, hop_samples, _, low_hz, high_hz = grid
    voiced = voiced & (f0_hz >= beyond[0]) & (f0_hz <= beyond[1])  # in some styles networks have no range
    if low_hz <= beyond[0] and beyond[1] <= high_hz:
        return f0_hz, voiced
    audio = torch.nn.functional.pad(audio, (shift, 0))[None]
    ((yin_hz, yin_voiced),) = _tracked(audio, (rate_hz, hop_samples, len(f0_hz), low_hz, high_hz), "yin", None, beyond)
    return extended_track(f0_hz, voiced, yin_hz, yin_voiced, low_hz, high_hz, hop_samples / rate_hz)


def _track_one(audio, rate_hz, hop_samples, frames, low_hz, high_hz, method, weights):
    if method in styles.NETWORKS:
        f0_hz, voiced = neural.frames_of(method, audio, rate_hz, hop_samples, frames, low_hz, high_hz, weights)
    elif method == "pesto":
        f0_hz, voiced = constant_q.frames_of(audio, rate_hz, hop_samples, frames, low_hz, high_hz)
    elif method in ("pm", "swift"):
        f0_hz, voiced = _at_16k(method, audio, rate_hz, hop_samples, frames, low_hz, high_hz)
    elif method == "pyin":
        f0_hz, voiced = external.pyin(audio.cpu().numpy(), rate_hz, hop_samples, frames, low_hz, high_hz)
    else:
        f0_hz, voiced = external.world(audio.cpu().numpy(), rate_hz, hop_samples, frames, low_hz, high_hz, method)
    missing = frames - len(f0_hz)
    return np.pad(np.nan_to_num(f0_hz), (0, missing)), np.pad(voiced, (0, missing))


def _at_16k(method, audio, rate_hz, hop_samples, frames, low_hz, high_hz):
    samples = networks.at_16k(audio, rate_hz).cpu().numpy()
    if method == "pm":
        f0_hz, step_s = external.praat(samples, low_hz, high_hz), external.PRAAT_STEP_S
    else:
        f0_hz, step_s = swift.track(samples, low_hz, high_hz), swift.HOP / swift.RATE_HZ
    return onto_frames(f0_hz, step_s, rate_hz, hop_samples, frames)


def _check(method, style, rate_hz, hop_samples, frames, low_hz, high_hz):
    arguments.one_of("f0 method", method, METHODS)
    arguments.one_of("f0 style", style, STYLES)
    arguments.whole_number("hop_samples", hop_samples, 1)
    arguments.whole_number("frames", frames, 0)
    rate_hz = arguments.whole_number("rate_hz", rate_hz, 1)
    _check_range(rate_hz, low_hz, high_hz)


def _check_range(rate_hz, low_hz, high_hz):
    low_hz, high_hz = (arguments.number(n, v) for n, v in (("low_hz", low_hz), ("high_hz", high_hz)))
    if not 0 < low_hz < high_hz <= rate_hz / 4:
        raise ConfigError(
            f"f0: 0 < low_hz < high_hz <= rate_hz/4 does not hold ({low_hz}, {high_hz}, {rate_hz})",
            "correct the pitch range",
        )
