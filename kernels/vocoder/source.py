"""The vocoder's excitation: sines at f0 and its harmonics (or a pulse train), noise, mixed to one signal.

It computes fastsvc/model/source.py followed by `Generator.source`, one number a sample. Phase is counted in 2⁻⁶⁴ of a
turn in int64, whose overflow is a full turn: exact at any time and for any harmonic. Signed, it lies in −½ … ½.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from fastsvc.kernels import philox
from fastsvc.kernels.language import jit, tl
from fastsvc.kernels.launch import ElementwiseOptions, Launch, check_aligned

BLOCK = 256  # samples of one program
BAND = 0.45  # of the rate: the pulse train's upper end


def phases(f0_hz: Tensor, rate_hz: int, hop_samples: int) -> tuple[Tensor, Tensor]:
    """f0_hz [B, T] → (phase at the start of each frame, its growth a sample), int64 in 2⁻⁶⁴ of a turn, [B, T]."""
    return running_phases(f0_hz, rate_hz, hop_samples, 0)[:2]


def running_phases(
    f0_hz: Tensor, rate_hz: int, hop_samples: int, before: Tensor | int
) -> tuple[Tensor, Tensor, Tensor]:
    """:func:`phases` of frames that follow others, and the phase at the end of each, which may be the next ``before``:
    int64 in 2⁻⁴⁸ of a turn."""
    frame = (f0_hz.double() * hop_samples / rate_hz).remainder(1.0)
    steps = (frame * 2.0**48).round().to(torch.int64)
    ends = torch.cumsum(steps, dim=1) + before
    growth = (f0_hz.double() / rate_hz * 2.0**48).round().to(torch.int64)
    return (ends - steps) << 16, growth << 16, ends


def offsets(turns: Tensor) -> Tensor:
    """Starting phases [..., channels] in turns, 0 … 1, → int64 in 2⁻⁶⁴ of a turn."""
    return (turns.double() * 2.0**48).to(torch.int64) << 16


def reference(
    f0_hz: Tensor, phase: Tensor, start: Tensor, draws: Tensor, weight: Tensor, bias: Tensor, rate_hz: int
) -> Tensor:
    """Sines: f0_hz and phase (turns) [B, T], start [channels], draws [B, T·hop, channels], weight [channels], bias [1]
    → excitation [B, T·hop], in the type of the input (float64: exact)."""
    hop = draws.shape[1] // f0_hz.shape[1]
    inside = torch.arange(1, hop + 1, device=f0_hz.device) / rate_hz
    turns = (phase[..., None] + f0_hz[..., None] * inside).flatten(1)[..., None]
    order = torch.arange(1, len(weight) + 1, device=f0_hz.device)
    voiced = (f0_hz > 0).to(draws.dtype).repeat_interleave(hop, dim=1)[..., None]
    below = f0_hz.repeat_interleave(hop, dim=1)[..., None] * order < rate_hz / 2
    sines = 0.1 * torch.sin(2 * math.pi * (turns * order + start)) * voiced * below
    level = voiced * 0.003 + (1 - voiced) * 0.1 / 3
    return torch.tanh((sines + level * draws) @ weight + bias)


@jit
def signed(turns):
    """int64 in 2⁻⁶⁴ of a turn → float32, −½ … ½, with 24 bits however small."""
    return turns.to(tl.float32) * 5.421010862427522e-20


@jit
def pulse_train(phase, f0_hz, RATE: tl.constexpr):
    """Σ cos kx up to 0.45 RATE, the next harmonic fading in, at one level: fastsvc/model/source.py."""
    count = 0.45 * RATE / tl.maximum(f0_hz, 1.0)
    full_count = tl.floor(count)
    harmonics = full_count.to(tl.int64)
    half = phase >> 1
    sine = philox.turn(signed(half))[1]
    near = tl.abs(sine) < 1e-9
    ratio = philox.turn(signed((2 * harmonics + 1) * half))[1] / (2.0 * tl.where(near, 1.0, sine)) - 0.5
    following = philox.turn(signed((harmonics + 1) * phase))[0]
    return (tl.where(near, full_count, ratio) + (count - full_count) * following) / tl.sqrt(count / 2.0)


@jit(do_not_specialize=["frames"])
def source_kernel(
    f0_hz,
    starts,
    growth,
    offsets,
    weight,
    bias,
    out,
    lengths,
    first_frames,
    seeds,
    frames,
    HOP: tl.constexpr,
    RATE: tl.constexpr,
    CHANNELS: tl.constexpr,
    WIDE: tl.constexpr,  # width(CHANNELS)
    PULSE: tl.constexpr,
    SAMPLES: tl.constexpr,
):
    batch = tl.program_id(1).to(tl.int64)
    sample = tl.program_id(0) * SAMPLES + tl.arange(0, SAMPLES)
    frame = sample // HOP
    inside = frame < tl.load(lengths + batch)
    at = batch * frames + frame
    f0 = tl.load(f0_hz + at, mask=inside, other=0.0)
    phase = tl.load(starts + at, mask=inside, other=0)
    phase += tl.load(growth + at, mask=inside, other=0) * (sample - frame * HOP + 1).to(tl.int64)
    voiced = tl.where(f0 > 0, 1.0, 0.0)
    channel = tl.arange(0, WIDE)
    mix = tl.load(weight + channel)[None, :]
    position = tl.load(first_frames + batch) * HOP + sample
    draws = philox.gaussian(tl.load(seeds + batch), position, 0, SAMPLES, WIDE, philox.SOURCE)
    if PULSE:
        noise = tl.sum(tl.where(channel == 1, mix, 0.0) * draws, axis=1)
        gain = tl.sum(tl.where(channel == 0, mix, 0.0), axis=1)
        value = 0.3 * (gain * pulse_train(phase, f0, RATE) * voiced + (1.0 - 0.9 * voiced) * noise)
        value += tl.load(bias)
    else:
        turns = phase[:, None] * (channel + 1).to(tl.int64)[None, :]
        turns += tl.load(offsets + batch * WIDE + channel)[None, :]
        below = f0[:, None] * (channel + 1)[None, :] < 0.5 * RATE
        sine = tl.where(below, philox.turn(signed(turns))[1], 0.0)
        level = voiced * 0.003 + (1.0 - voiced) * (0.1 / 3)
        value = tl.sum(mix * (0.1 * sine * voiced[:, None] + level[:, None] * draws), axis=1) + tl.load(bias)
        value = 2.0 * tl.sigmoid(2.0 * value) - 1.0
    tl.store(out + batch * frames * HOP + sample, tl.where(inside, value, 0.0), mask=frame < frames)


def width(channels: int) -> int:
    """Channels in a buffer for ``channels``: the least power of two, and at least the four that a draw gives."""
    return max(4, 1 << (channels - 1).bit_length())


def tile(channels: int) -> tuple[int, int]:
    """(samples of one program, warps): the kernel is elementwise, so they are the same everywhere."""
    return (BLOCK, 4) if width(channels) > 4 else (4 * BLOCK, 4)


def launch(
    f0_hz: Tensor,
    starts: Tensor,
    growth: Tensor,
    offsets: Tensor,
    weight: Tensor,
    bias: Tensor,
    out: Tensor,
    lengths: Tensor,
    first_frames: Tensor,
    seeds: Tensor,
    rate_hz: int,
    channels: int,
    pulse: bool = False,
) -> Launch:
    """f0_hz (0: unvoiced), starts, growth [B, T] (:func:`phases`); offsets [B, WIDE], weight [WIDE], zeros beyond the
    channels, WIDE = width(channels); bias [1]; out [B, T·hop] float32; lengths and first_frames in frames."""
    batch, frames = f0_hz.shape
    hop, wide = out.shape[1] // frames, width(channels)
    if weight.shape != (wide,) or offsets.shape != (batch, wide):
        raise ValueError(f"weight and offsets need {wide} channels, zeros beyond {channels}")
    check_aligned(f0_hz=f0_hz, starts=starts, growth=growth, offsets=offsets, weight=weight, bias=bias, out=out)
    samples, warps = tile(channels)
    return Launch.of(
        source_kernel,
        (-(-frames * hop // samples), batch),
        ElementwiseOptions(warps),
        f0_hz=f0_hz,
        starts=starts,
        growth=growth,
        offsets=offsets,
        weight=weight,
        bias=bias,
        out=out,
        lengths=lengths,
        first_frames=first_frames,
        seeds=seeds,
        frames=frames,
        HOP=hop,
        RATE=rate_hz,
        CHANNELS=channels,
        WIDE=wide,
        PULSE=pulse,
        SAMPLES=samples,
    )


def run(*values, **options) -> Tensor:
    """:func:`launch` and start; out is written and returned."""
    started = launch(*values, **options)
    started.run()
    return started.arguments["out"]
