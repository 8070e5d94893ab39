"""Noise inside kernels is fastsvc/model/noise.py's; the sampler's updates around the first and last projection."""

import pytest
import torch
from kernel_check import DEVICE, poisoned, random

pytest.importorskip("triton")

from fastsvc.kernels import philox
from fastsvc.kernels.denoiser import first, head
from fastsvc.kernels.language import jit, tl
from fastsvc.kernels.tiles import Tile
from fastsvc.model import noise

FAR = 2**33 + 5  # beyond 32 bits
SEED = 2**40 + 12345


@jit
def words_kernel(out, seed, place, ROWS: tl.constexpr, GROUPS: tl.constexpr, STREAM: tl.constexpr):
    t, g = tl.arange(0, ROWS), tl.arange(0, GROUPS)
    words = philox.words(tl.load(seed), (tl.load(place) + t)[:, None], g[None, :], STREAM, 3)
    for i in tl.static_range(4):
        tl.store(out + i * ROWS * GROUPS + t[:, None] * GROUPS + g[None, :], words[i].to(tl.int64))


@jit
def gaussian_kernel(out, seed, place, ROWS: tl.constexpr, CHANNELS: tl.constexpr):
    t, m = tl.arange(0, ROWS), tl.arange(0, CHANNELS)
    draws = philox.gaussian(tl.load(seed), tl.load(place) + t, 3, ROWS, CHANNELS, philox.MEL)
    tl.store(out + t[:, None] * CHANNELS + m[None, :], draws)


def number(value):
    return torch.tensor([value], dtype=torch.int64, device=DEVICE)


@pytest.mark.parametrize(
    "seed, place, stream", [(SEED, FAR, noise.MEL_STREAM), (0, 0, noise.SOURCE_STREAM), (-1, 2**32 - 3, 0)]
)
def test_words_are_equal_bit_by_bit(seed, place, stream):
    out = torch.full((4, 8, 32), -1, dtype=torch.int64, device=DEVICE)
    words_kernel[(1,)](out, number(seed), number(place), ROWS=8, GROUPS=32, STREAM=stream)
    expected = noise._words(seed, 3, torch.arange(place, place + 8, device=DEVICE), 128, stream)
    for ours, theirs in zip(out, expected):
        assert torch.equal(ours & 0xFFFFFFFF, theirs)


def test_draws_are_equal_but_for_rounding():
    out = poisoned(256, 128)
    gaussian_kernel[(1,)](out, number(SEED), number(FAR), ROWS=256, CHANNELS=128)
    assert (out - noise.gaussian(SEED, 3, FAR, 256, 128, DEVICE)).abs().max() < 2e-5
    assert abs(out.std() - 1) < 0.02


def slices(batch, frames):
    """Lengths, first frames and seeds of a batch."""
    lengths = torch.tensor([frames, frames - 4][:batch], dtype=torch.int32, device=DEVICE)
    places = torch.tensor([7, FAR][:batch], device=DEVICE)
    return lengths, places, torch.tensor([SEED, 3][:batch], device=DEVICE)


def draws(lengths, places, seeds, step, frames, channels):
    rows = [noise.gaussian(int(s), step, int(p), frames, channels, DEVICE) for s, p in zip(seeds, places)]
    inside = torch.arange(frames, device=DEVICE) < lengths[:, None]
    return torch.where(inside[..., None], torch.stack(rows), 0)


@pytest.mark.parametrize("carry", [0.0, 0.25])
def test_a_schedule_begins_with_noise_or_a_noised_mel(carry):
    frames, mel_bins = 21, 80
    lengths, places, seeds = slices(2, frames)
    x = random(2, frames, mel_bins) if carry else poisoned(2, frames, mel_bins)
    weight = torch.zeros(128, 64, device=DEVICE)
    weight[:mel_bins] = random(mel_bins, 64, scale=0.1)
    bias, shift, state, noised = random(64), random(64), poisoned(2, frames, 64), poisoned(2, frames, mel_bins)
    given = (x, weight, bias, shift, state, lengths, places, seeds, Tile(16, 64, 128, 4, 1))
    first.launch(*given, c_in=0.5, noise_step=2, carry=carry, spread=3.0, noised=noised).run()
    expected = 3.0 * draws(lengths, places, seeds, 2, frames, mel_bins)
    if carry:
        inside = torch.arange(frames, device=DEVICE) < lengths[:, None]
        expected += carry * torch.where(inside[..., None], x, 0)
        with pytest.raises(ValueError, match="noised"):
            first.launch(*given, c_in=0.5, carry=carry, noised=x)
    assert (noised - expected).abs().max() < 1e-4
    exact = first.reference(expected, weight[:mel_bins], bias, shift, lengths, 0.5)
    assert (state - exact).abs().max() < 1e-4


@pytest.mark.parametrize(
    "past, spread, finish, columns", [(None, 0.5, False, 128), (0.3, None, False, 64), (None, 0.5, True, 32)]
)
def test_updates_after_the_last_projection(past, spread, finish, columns):
    """By programs with all mel bins, and with some of them, of which the last ones are padding alone."""
    frames, mel_bins, channels = 21, 100, 64
    lengths, places, seeds = slices(2, frames)
    inside = (torch.arange(frames, device=DEVICE) < lengths[:, None])[..., None]
    parts = torch.where(inside, random(1, 2, frames, channels).abs(), 0)
    weight, bias, scale, offset = random(channels, 128, scale=0.1), random(128), random(128), random(128)
    x, history = random(2, frames, mel_bins), random(2, frames, mel_bins)
    before, out = history.clone(), poisoned(2, frames, mel_bins)
    block = Tile(16, columns, 64, 4, 1)
    given = (parts, bias, weight, bias, x, scale, offset, out, lengths, places, seeds, block)
    options = {"keep": 0.2, "pull": 0.9, "past": past, "spread": spread, "noise_step": 4, "finish": finish}
    head.launch(*given, 0.3, 0.7, history=None if past is None else history, **options).run()
    d = head.reference(parts[0], weight[:, :mel_bins], bias[:mel_bins], x, lengths, 0.3, 0.7)
    expected = 0.2 * x + 0.9 * d
    if past is not None:
        expected = expected + past * before
        assert (torch.where(inside, history - d, 0)).abs().max() < 1e-5
    if spread is not None:
        expected = expected + spread * draws(lengths, places, seeds, 4, frames, mel_bins)
    if finish:
        expected = expected * scale[:mel_bins] + offset[:mel_bins]
    assert (out - torch.where(inside, expected, 0)).abs().max() < 5e-5
