"""Seconds per step on this machine: a short measurement of the network that will be trained, on random crops."""

from __future__ import annotations

import time

import torch

from fastsvc.config import AcousticConfig
from fastsvc.model.acoustic import AcousticModel
from fastsvc.training import optim, wavenet_train
from fastsvc.training.paired import patches
from fastsvc.training.paired.patches import Patches

STEPS = 2
# Of a step: crops of songs, and of others, which the first student evaluates, too.
OWN, OTHERS = 8, 1
CROPS = OWN + OTHERS


def step_seconds(config: AcousticConfig, device: str, size: int = 4, frames: int = 128) -> float:
    """Of a step of the recipe's configuration, where a crop has ``frames`` frames."""
    where = optim.device_of(device)
    dtype = optim.precision_of("auto", where)
    model = AcousticModel(config).to(where)
    x = torch.randn(size, frames, config.mel.bins, device=where)
    cond = torch.randn(size, frames, config.condition.channels, device=where)
    valid, sigma = torch.ones(size, frames, device=where), torch.full((size,), 0.3, device=where)

    def evaluate() -> torch.Tensor:
        with torch.autocast(where.type, dtype, enabled=dtype != torch.float32):
            if where.type == "cpu":
                return wavenet_train.forward(model.denoiser, x, sigma, cond, valid)
            return model.denoiser(x, sigma, cond, valid)

    def train() -> None:
        evaluate().float().square().mean().backward()

    judges, mel = Patches(config.condition.speakers).to(where), x.clone().requires_grad_(True)

    def judge() -> None:
        patches.mean(judges(mel, torch.zeros(size, dtype=torch.int64, device=where))[0]).backward()

    trained, judged = _timed(train, where) / size, _timed(judge, where) / size
    with torch.no_grad():
        evaluated = _timed(evaluate, where) / size
    # The judges learn from recordings and results, then judge results; recordings' features are evaluated alone.
    judging = (OWN + 2 * CROPS + OWN / 3) * judged
    return CROPS * (trained + evaluated) + OTHERS * evaluated + judging


def _timed(call, device: torch.device) -> float:
    call()
    start = time.perf_counter()
    for _ in range(STEPS):
        call()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return (time.perf_counter() - start) / STEPS
