"""Two early signs of a failing run, before its sound shows it: low diversity, and a fake score that lags."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from fastsvc.training import diffusion

LEAST_DIVERSITY = 0.3  # of the teacher's
MOST_LAG = 1.1


def spread(sampled: Callable[[int], Tensor], seeds: int, valid: Tensor) -> float:
    """Standard deviation over noise for one condition, mean over values; sampled(seed) → [B, T, M]."""
    samples = torch.stack([sampled(seed) for seed in range(seeds)]).double()
    return float(diffusion.batch_mean(samples.std(0), valid))


def fake_lag(fake: nn.Module, loss: Callable[[nn.Module], Tensor], draws: Iterable[Callable], rate: float) -> float:
    """L(fake now) / L(fake after more updates): near 1 where the fake score keeps up with the student.

    loss(net) is the loss on fixed samples and noise; each of ``draws``, called with a network, gives the loss of one
    more update. The updates act on a copy: ``fake`` itself does not change.
    """
    trained = copy.deepcopy(fake).requires_grad_(True)
    optimizer = torch.optim.AdamW(trained.parameters(), lr=rate, betas=(0.9, 0.99), weight_decay=0.0)
    with torch.no_grad():
        loss_before = float(loss(fake))
    with torch.enable_grad():
        for draw in draws:
            optimizer.zero_grad(set_to_none=True)
            draw(trained).backward()
            optimizer.step()
    with torch.no_grad():
        return loss_before / max(float(loss(trained)), 1e-12)


def warnings(figures: dict[str, float]) -> list[str]:
    """A line for each figure beyond its bound."""
    lines = []
    if figures.get("diversity", 1.0) < LEAST_DIVERSITY:
        lines.append(
            f"diversity is {figures['diversity']:.0%} of the teacher's: samples of one condition are nearly alike; "
            "lower the weights of ctc, singer and adversarial, or stop earlier"
        )
    if figures.get("fake_lag", 1.0) >= MOST_LAG:
        lines.append(
            f"the fake score lags behind the student ({figures['fake_lag']:.2f}): raise task.fake_updates or "
            "task.fake_rate, or lower optim.lr"
        )
    return lines
