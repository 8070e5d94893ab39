"""Counter-based Gaussian noise inside kernels: the numbers of fastsvc/model/noise.py, from the same Philox-4x32-10
words.

The words are equal bit by bit. The normal draws differ only in the last bits of float32: sine and cosine are
polynomials in turns, which need no table and no stack, and the logarithm is the device's.
"""

import math

from fastsvc.kernels.language import constant, jit, tl

MEL, SOURCE = 0, 1  # streams
_LAST, _PI = constant(2.0**-24), constant(math.pi)


@jit
def words(seed, position, group, stream: tl.constexpr, step):
    """Four 32-bit words at absolute positions (int64) and channel groups (int32), tensors that broadcast."""
    low = (position & 0xFFFFFFFF).to(tl.uint32)
    high = ((position >> 32) & 0xFFFFFFFF).to(tl.uint32)
    which = (group + stream * 16777216).to(tl.uint32)
    return tl.philox(seed, low, high, which, (which * 0 + step).to(tl.uint32))


@jit
def uniform(word):
    """24 bits of a word → float32 in (0, 1), neither end included."""
    return ((word >> 8).to(tl.int32).to(tl.float32) + 0.5) * _LAST


@jit
def turn(u):
    """(cos, sin) of u turns, |u| ≤ 1, float32: the nearest quarter by exact arithmetic, the rest by Taylor."""
    quarter = tl.floor(u * 4.0 + 0.5).to(tl.int32)
    x = (u - quarter.to(tl.float32) * 0.25) * (2.0 * _PI)
    y = x * x
    sine = x * (1.0 + y * (-1.0 / 6 + y * (1.0 / 120 + y * (-1.0 / 5040 + y * (1.0 / 362880)))))
    cosine = 1.0 + y * (-0.5 + y * (1.0 / 24 + y * (-1.0 / 720 + y * (1.0 / 40320 - y * (1.0 / 3628800)))))
    odd = (quarter & 1) == 1
    negative_cosine = ((quarter + 1) & 2) != 0
    negative_sine = (quarter & 2) != 0
    c, s = tl.where(odd, sine, cosine), tl.where(odd, cosine, sine)
    return tl.where(negative_cosine, -c, c), tl.where(negative_sine, -s, s)


@jit
def pair(first, second):
    """Two words → two standard normal draws (Box and Muller)."""
    radius = tl.sqrt(tl.maximum(-2.0 * tl.log(uniform(first)), 0.0))  # near 1 a fast logarithm may exceed 0
    cosine, sine = turn(uniform(second))
    return radius * cosine, radius * sine


@jit
def gaussian(seed, position, step, ROWS: tl.constexpr, CHANNELS: tl.constexpr, stream: tl.constexpr, first_group=0):
    """Standard normal draws [ROWS, CHANNELS] at positions [ROWS] (int64), from channel 4·first_group on; CHANNELS a
    power of two, at least 4."""
    group = first_group + tl.arange(0, CHANNELS // 4)
    a, b, c, d = words(seed, position[:, None], group[None, :], stream, step)
    g0, g1 = pair(a, b)
    g2, g3 = pair(c, d)
    return tl.interleave(tl.interleave(g0, g2), tl.interleave(g1, g3))
