"""Few-step solvers of the DDPM chain's probability flow, on a denoiser ``denoise(x, level) -> x0``.

A chain is a list of (level, α, s) from noisy to clean; the network is evaluated at all of them but the last. With
λ = ln(α/s) and h = λ' − λ, every method steps along  x' = (s'/s) x − α' (e^{−h} − 1) · (an estimate of x0).
"""

import itertools
import math
from collections.abc import Callable

import torch
from torch import Tensor

from fastsvc.config import DdpmConfig
from fastsvc.model.ddpm import alpha_and_spread

ChainPoint = tuple[float, float, float]  # (level, α, s)
FEW = 10  # with fewer steps the last one is of first order, as in upstream's DPM-Solver++


def chain(config: DdpmConfig, levels: list[float]) -> list[ChainPoint]:
    """(level, α, s) of each level."""
    alpha, spread = alpha_and_spread(config, torch.tensor(levels, dtype=torch.float64))
    return list(zip(levels, alpha.tolist(), spread.tolist()))


def start(first: ChainPoint, noise: Tensor, x0: Tensor | None = None) -> Tensor:
    """The chain's first x: ``noise`` alone, or x0 noised to the first level (shallow diffusion)."""
    return noise if x0 is None else first[1] * x0 + first[2] * noise


def step_coefficients(before: ChainPoint, after: ChainPoint) -> tuple[float, float, float]:
    """(h, s'/s, −α'(e^{−h} − 1)) of a step."""
    h = math.log(after[1] / after[2]) - math.log(before[1] / before[2])
    return h, after[2] / before[2], -after[1] * math.expm1(-h)


def ddim(denoise: Callable, points: list[ChainPoint], x: Tensor) -> Tensor:
    """DDIM with η = 0 (Song et al., arXiv 2010.02502, eq. 12)."""
    for before, after in itertools.pairwise(points):
        _, keep, pull = step_coefficients(before, after)
        x = keep * x + pull * denoise(x, before[0])
    return x


def dpm_solver(denoise: Callable, points: list[ChainPoint], x: Tensor) -> Tensor:
    """DPM-Solver++(2M) (Lu et al., arXiv 2211.01095, algorithm 2): x0 extrapolated from the last two estimates."""
    steps, previous, h_before = len(points) - 1, None, 0.0
    for step, (before, after) in enumerate(itertools.pairwise(points), start=1):
        h, keep, pull = step_coefficients(before, after)
        x0 = denoise(x, before[0])
        aim = x0
        if previous is not None and not (step == steps and steps < FEW):
            aim = x0 + (x0 - previous) * (h / (2 * h_before))
        x = keep * x + pull * aim
        previous, h_before = x0, h
    return x


def unipc(denoise: Callable, points: list[ChainPoint], x: Tensor) -> Tensor:
    """UniPC-2 with B(h) = e^{−h} − 1 (Zhao et al., arXiv 2302.04867, "bh2"): each new estimate also corrects its x.

    The last step has no estimate at its end, hence no correction, and is of first order.
    """
    steps, previous, h_before = len(points) - 1, None, 0.0
    x0 = denoise(x, points[0][0])
    for step, (before, after) in enumerate(itertools.pairwise(points), start=1):
        h, keep, pull = step_coefficients(before, after)
        base = keep * x + pull * x0
        slope = None if previous is None else (previous - x0) * (h / -h_before)
        if step == steps:
            return base
        predicted = base if slope is None else base + pull * 0.5 * slope
        new = denoise(predicted, after[0])
        if slope is None:
            x = base + pull * 0.5 * (new - x0)
        else:
            past, ahead = _corrector(h, -h_before / h)
            x = base + pull * (past * slope + ahead * (new - x0))
        previous, x0, h_before = x0, new, h
    return x


def _corrector(h: float, r: float) -> tuple[float, float]:
    """Weights of the two differences, at r (the previous level, in steps of h) and at 1: R ρ = b of the paper."""
    first = math.expm1(-h)
    phi1 = first / -h - 1
    phi2 = phi1 / -h - 0.5
    b1, b2 = phi1 / first, 2 * phi2 / first
    ahead = (b2 - r * b1) / (1 - r)
    return b1 - ahead, ahead


SOLVERS = {"ddim": ddim, "dpm++": dpm_solver, "unipc": unipc}
