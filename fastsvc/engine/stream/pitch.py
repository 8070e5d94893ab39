"""Pitch of a stream: tracked over a window anew for each block, or from YIN's candidates that are kept."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from fastsvc.engine import extraction
from fastsvc.engine.request import Request
from fastsvc.engine.stream import reach
from fastsvc.features import f0
from fastsvc.features.f0.candidates import decimation, outermost, reach_samples


def pitch_of(engine, request: Request) -> CachedYin | WindowPitch:
    pitch = WindowPitch(engine, request)
    if pitch.method != "yin" or engine.config.features.f0_style != "fastsvc":
        return pitch
    yin = CachedYin(engine, request)
    return yin if yin.on_the_grid else pitch


class WindowPitch:
    """Any tracker, over ``past`` frames more than asked for."""

    def __init__(self, engine, request: Request):
        self.config, self.request, self.mel = engine.config, request, engine.config.mel
        self.method = request.f0_method or engine.config.features.f0_method
        self.f0_range = request.range_of(engine)
        past_s = reach.YIN_PAST_S if self.method == "yin" else reach.PAST_S
        self.past = math.ceil(past_s * self.mel.frame_rate_hz)

    def find(self, audio: Tensor, begin: int, first: int, gain: float) -> tuple[Tensor, Tensor]:
        """Audio [frames · hop] from the frame ``begin`` on, times ``gain`` → f0_hz and voiced from ``first`` on; f0_hz
        says nothing where unvoiced. ``begin`` is ``past`` frames before ``first``, or 0."""
        frames = len(audio) // self.mel.hop_samples
        options = self.request.f0_method, self.request.f0_weights, None, self.f0_range
        f0_hz, voiced = extraction.pitch(audio, frames, self.config, *options)
        return f0_hz[first - begin :], voiced[first - begin :]

    def settle(self) -> None:
        """The next block comes, of the audio that there was and what follows it."""

    def clear(self) -> None:
        """The next audio is that of another recording."""


@dataclass(frozen=True)
class Candidates:
    """Final ones of the frames ``first`` …: f0_hz and cost [frames, K]."""

    first: int
    f0_hz: np.ndarray
    cost: np.ndarray
    gain: float


class CachedYin(WindowPitch):
    """A frame's candidates are final once its window has ended; the path through them is found anew."""

    def __init__(self, engine, request: Request):
        super().__init__(engine, request)
        spec, rate_hz = engine.config.features, self.mel.rate_hz
        model_range, widest = f0.ranges(spec.f0_low_hz, spec.f0_high_hz, rate_hz, self.f0_range)
        self.range, self.beyond = (widest, None) if model_range is None else (model_range, widest)
        highest = outermost(*self.range, self.beyond)[1]
        # so that part of a recording is decimated, and its frames have their middles, as in the whole one
        self.future = spec.f0_future_frames
        self.on_the_grid = self.mel.hop_samples % (2 * decimation(rate_hz, highest)) == 0
        self.reach = reach_samples(rate_hz, *self.range, self.beyond)
        self.kept: Candidates | None = None
        self.found: Candidates | None = None

    def settle(self) -> None:
        self.kept = self.found

    def clear(self) -> None:
        self.kept = self.found = None

    def find(self, audio: Tensor, begin: int, first: int, gain: float) -> tuple[Tensor, Tensor]:
        hop, kept = self.mel.hop_samples, self.kept if self.kept is not None and self.kept.gain == gain else None
        end = begin + len(audio) // hop
        start = begin if kept is None else max(begin, kept.first + len(kept.f0_hz))
        context = max(begin, start - math.ceil(self.reach / hop) - 1)
        part = torch.nan_to_num(audio[(context - begin) * hop :], posinf=0.0, neginf=0.0)[None]
        fresh = f0.yin_candidates(part, self.mel.rate_hz, hop, end - context, *self.range, self.beyond)
        f0_hz, cost = (rows[0, start - context :] for rows in fresh)
        if kept is not None:
            own = slice(begin - kept.first, start - kept.first)
            f0_hz, cost = np.concatenate((kept.f0_hz[own], f0_hz)), np.concatenate((kept.cost[own], cost))
        final = max(0, math.floor(end - 0.5 - self.reach / hop) - begin)
        self.found = Candidates(begin, f0_hz[:final], cost[:final], gain)
        found = f0.yin_path(f0_hz[None], cost[None], hop / self.mel.rate_hz, self.future)
        hz, voiced = (row[0, first - begin :] for row in found)
        return torch.from_numpy(hz.astype(np.float32)), torch.from_numpy(voiced & (hz > 0))
