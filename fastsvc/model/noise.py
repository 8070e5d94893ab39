"""Counter-based Gaussian noise: a pure function of (seed, stream, step, absolute position, channel).

Each position gets the same number on every device, however an input is cut or batched. The generator is
Philox-4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"), the one Triton's `tl.randn` uses.
"""

import math

import torch
from torch import Tensor

MASK = 0xFFFFFFFF
MEL_STREAM, SOURCE_STREAM, PHASE_STREAM, FRAME_STREAM = 0, 1, 2, 3


def philox(
    counter: tuple[Tensor, Tensor, Tensor, Tensor], key: tuple[int | Tensor, int | Tensor]
) -> tuple[Tensor, ...]:
    """Ten rounds over four 32-bit words held in int64 tensors of one shape."""
    a, b, c, d = counter
    low_key, high_key = key
    for _ in range(10):
        first, second = a * 0xD2511F53, c * 0xCD9E8D57  # int64 wraps; the shifted bits below are masked
        a, b, c, d = (
            ((second >> 32) & MASK) ^ b ^ low_key,
            second & MASK,
            ((first >> 32) & MASK) ^ d ^ high_key,
            first & MASK,
        )
        low_key, high_key = (low_key + 0x9E3779B9) & MASK, (high_key + 0xBB67AE85) & MASK
    return a, b, c, d


def _uniform(word: Tensor) -> Tensor:
    """32-bit words → float32 in (0, 1): 24 bits, centred, so that neither end occurs."""
    return ((word >> 8).to(torch.float32) + 0.5) * 2.0**-24


def _words(seed: int | Tensor, step: int, places: Tensor, channels: int, stream: int) -> tuple[Tensor, ...]:
    groups, device = -(-channels // 4), places.device
    frame = places[..., None].expand(*places.shape, groups)
    group = torch.arange(groups, dtype=torch.int64, device=device).expand(*places.shape, groups)
    constant = torch.full((1, 1), step & MASK, dtype=torch.int64, device=device)
    key = (seed & MASK, (seed >> 32) & MASK)
    return philox((frame & MASK, (frame >> 32) & MASK, group | (stream << 24), constant), key)


def gaussian(
    seed: int,
    step: int,
    first_frame: int,
    frames: int,
    channels: int,
    device: str | torch.device = "cpu",
    stream: int = MEL_STREAM,
) -> Tensor:
    """Standard normal noise [frames, channels], float32, for frames first_frame … first_frame + frames − 1."""
    return drawn(seed, step, _consecutive(first_frame, frames, device), channels, stream)


def drawn(seed: int | Tensor, step: int, places: Tensor, channels: int, stream: int = MEL_STREAM) -> Tensor:
    """The noise of :func:`gaussian` at any places [...] (int64): [..., channels]; ``seed`` may be int64 [..., 1]."""
    u1, u2, u3, u4 = (_uniform(w) for w in _words(seed, step, places, channels, stream))
    radius_a, radius_b = (-2 * u1.log()).sqrt(), (-2 * u3.log()).sqrt()
    angle_a, angle_b = 2 * math.pi * u2, 2 * math.pi * u4
    quad = (radius_a * angle_a.cos(), radius_a * angle_a.sin(), radius_b * angle_b.cos(), radius_b * angle_b.sin())
    return torch.stack(quad, dim=-1).flatten(-2)[..., :channels]


def uniform(seed: int, channels: int, device="cpu", stream: int = PHASE_STREAM) -> Tensor:
    """Uniform numbers [channels] in (0, 1), one set a seed: the starting phases of the harmonics."""
    words = _words(seed, 0, _consecutive(0, 1, device), channels, stream)
    return torch.stack([_uniform(word) for word in words], -1).reshape(-1)[:channels]


def _consecutive(first: int, count: int, device) -> Tensor:
    return torch.arange(first, first + count, dtype=torch.int64, device=device)
