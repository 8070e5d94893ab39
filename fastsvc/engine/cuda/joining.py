"""The end of a conversion on a GPU: rate, length, gain and loudness of the output, before it comes to the host.

As conversion.finished_audio and LoudnessProfile.follow. The host decides about gains from some hundred powers and peaks
a second; samples are touched on the device alone.
"""

from __future__ import annotations

import contextlib
import functools
import math

import numpy as np
import torch
from torch import Tensor

from fastsvc.audio import envelope
from fastsvc.audio.peaks import PeakLimit
from fastsvc.audio.polyphase import possible, resampled
from fastsvc.audio.resample import resampled_length
from fastsvc.engine import checks
from fastsvc.engine.conversion import OutputSpec
from fastsvc.engine.cuda.copies import HostValues, host_stream, to_device
from fastsvc.engine.cuda.filters import Blocks
from fastsvc.engine.cuda.graphs import on
from fastsvc.engine.cuda.programs import audio_to_device
from fastsvc.engine.level import ENOUGH, MADE_UP, LoudnessProfile

MOST_SAMPLES = 1 << 24  # of an output; longer ones are finished on the processor


class DeviceJoin:
    """Audio at the model's rate, on the host or on the device → the output, on the host."""

    most_samples = MOST_SAMPLES

    def __init__(self, rate_hz: int, device: torch.device):
        self.rate_hz, self.device, self.stream = rate_hz, device, host_stream(device)

    def takes(self, spec: OutputSpec) -> bool:
        """Whether it can make this output: not what streams do, nor rates without a filter."""
        length = resampled_length(spec.samples, spec.rate_hz, spec.rate_out_hz)
        known = possible(self.rate_hz, spec.rate_out_hz, self.device)
        return known and spec.quality == "HQ" and 0 < length <= MOST_SAMPLES

    @torch.inference_mode()
    def __call__(self, audio: np.ndarray | Tensor, spec: OutputSpec) -> np.ndarray:
        """float32 [samples] → float32 [samples at the output's rate]. Raises EngineError for values not finite."""
        # Audio from the host has a stream of its own, so that it need not wait for the next recordings' work.
        beside = self.stream is not None and not isinstance(audio, Tensor)
        own = torch.cuda.stream(self.stream) if beside else contextlib.nullcontext()
        with on(self.device), own:
            audio = audio_to_device(audio, self.device)
            return self._finished(audio[: math.ceil(spec.samples * self.rate_hz / spec.rate_hz)], spec)

    def _finished(self, audio: Tensor, spec: OutputSpec) -> np.ndarray:
        length = resampled_length(spec.samples, spec.rate_hz, spec.rate_out_hz)
        audio = resampled(audio, self.rate_hz, spec.rate_out_hz)[:length]
        audio = torch.nn.functional.pad(audio, (0, length - len(audio))) * spec.gain
        blocks = _blocks(spec.rate_out_hz, length, self.device)
        count = blocks.edges.new_full((), length)
        measured = HostValues(torch.stack((blocks.powers(audio, count), blocks.peaks(audio).double()))).wait()
        powers, highest = measured
        checks.finite(highest)  # NaN and infinity pass through the maximum
        if isinstance(spec.level, PeakLimit):
            excess = float(highest.max()) / spec.level.most
            audio = audio / excess if excess > 1 else audio
        elif isinstance(spec.level, LoudnessProfile) and powers.any():
            audio = _followed(spec.level, audio, blocks, spec.rate_out_hz, powers, highest)
        return HostValues(audio).wait().copy()  # not pinned memory, which the caller may keep


@functools.lru_cache(maxsize=8)
def _blocks(rate_hz: int, length: int, device: torch.device) -> Blocks:
    with torch.inference_mode(False):
        return Blocks(rate_hz, length, device)


def _followed(
    level: LoudnessProfile, audio: Tensor, blocks: Blocks, rate_hz: int, powers: np.ndarray, highest: np.ndarray
) -> Tensor:
    """As LoudnessProfile.follow, for audio whose blocks have these powers and peaks."""
    gains, ceiling = level.gains(powers), level.ceiling
    nodes = torch.from_numpy(envelope.edge_gains(level.amplitudes(gains, highest)))
    audio = audio * _curve(to_device(nodes, audio.device), blocks, rate_hz, len(audio))
    if float(HostValues(audio.abs().amax()).wait()) <= ceiling:
        return audio
    power, count = float((gains * powers).sum()), blocks.edges.new_full((), len(audio))
    audio = rounded_off(audio, ceiling)
    for _ in range(3):
        lost = min(power / float(HostValues(blocks.powers(audio, count).sum()).wait()), MADE_UP)
        if lost < ENOUGH:
            break
        audio = rounded_off(audio * math.sqrt(lost), ceiling)
    return audio


def _curve(nodes: Tensor, blocks: Blocks, rate_hz: int, length: int) -> Tensor:
    """[length] float32: straight lines between the gains at the blocks' edges, float64 [blocks + 1]."""
    sample = torch.arange(length, device=nodes.device)
    block = torch.div((sample + 1) * envelope.BLOCKS_HZ - 1, rate_hz, rounding_mode="floor")
    edges = blocks.edges.clamp_max(length)
    share = (sample - edges[block]).double() / (edges[block + 1] - edges[block])
    return (nodes[block] + (nodes[block + 1] - nodes[block]) * share).float()


def rounded_off(audio: Tensor, ceiling: float) -> Tensor:
    """As envelope.round_off."""
    knee, room, size = envelope.KNEE * ceiling, (1 - envelope.KNEE) * ceiling, audio.abs()
    return torch.where(size > knee, torch.copysign(knee + room * torch.tanh((size - knee) / room), audio), audio)
