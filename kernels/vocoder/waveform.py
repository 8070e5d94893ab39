"""The vocoder's last convolution: audio = tanh(conv(leaky(x)) + b), all channels to one, in float32."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import leaky_relu, pad

from fastsvc.kernels.language import jit, tl
from fastsvc.kernels.launch import ElementwiseOptions, Launch, check_aligned

REGISTERS = 128  # ptxas would choose 64 on sm_100, to fit more programs, and spill


def reference(x: Tensor, weight: Tensor, bias: Tensor, slope: float) -> Tensor:
    """x [B, T, C], weight [taps, C], bias [1] → audio [B, T]."""
    taps, frames = len(weight), x.shape[1]
    x = pad(leaky_relu(x.to(weight.dtype), slope), (0, 0, taps // 2, taps // 2))
    return torch.tanh(sum(x[:, i : i + frames] @ weight[i] for i in range(taps)) + bias)


@jit(do_not_specialize=["frames"])
def waveform_kernel(
    x,
    weight,
    bias,
    audio,
    frames,
    C: tl.constexpr,
    TAPS: tl.constexpr,
    SLOPE: tl.constexpr,
    SAMPLES: tl.constexpr,
    WIDTH: tl.constexpr,  # channels at once
):
    batch = tl.program_id(1).to(tl.int64)
    t = tl.program_id(0) * SAMPLES + tl.arange(0, SAMPLES)
    column = tl.arange(0, WIDTH)
    rows = x + batch * frames * C + t[:, None] * C + column[None, :]
    sums = tl.zeros((SAMPLES, WIDTH), tl.float32)
    for step in range(TAPS * C // WIDTH):
        part, tap = step // TAPS, step % TAPS
        row = t + tap - TAPS // 2
        mask = ((row >= 0) & (row < frames))[:, None]
        value = tl.load(rows + ((tap - TAPS // 2) * C + part * WIDTH), mask=mask, other=0.0).to(tl.float32)
        value = tl.maximum(value, value * SLOPE)
        sums += value * tl.load(weight + tap * C + part * WIDTH + column)[None, :]
    value = tl.sum(sums, axis=1) + tl.load(bias)
    tl.store(audio + batch * frames + t, 2.0 * tl.sigmoid(2.0 * value) - 1.0, mask=t < frames)


def tile(channels: int) -> tuple[int, int, int]:
    """(samples of one program, channels at once, warps): without matrix products they are the same everywhere."""
    width = min(32, channels & -channels)
    return 4096 // width, width, 4


def launch(x: Tensor, weight: Tensor, bias: Tensor, audio: Tensor, slope: float) -> Launch:
    """x [B, T, C] of any floating type; weight [taps, C], bias [1], audio [B, T] float32."""
    batch, frames, channels = x.shape
    check_aligned(x=x, weight=weight, bias=bias, audio=audio)
    samples, width, warps = tile(channels)
    return Launch.of(
        waveform_kernel,
        (-(-frames // samples), batch),
        ElementwiseOptions(warps, REGISTERS),
        x=x,
        weight=weight,
        bias=bias,
        audio=audio,
        frames=frames,
        C=channels,
        TAPS=len(weight),
        SLOPE=float(slope),
        SAMPLES=samples,
        WIDTH=width,
    )


def run(x: Tensor, weight: Tensor, bias: Tensor, audio: Tensor, slope: float) -> Tensor:
    """:func:`launch` and start; audio is written and returned."""
    launch(x, weight, bias, audio, slope).run()
    return audio
