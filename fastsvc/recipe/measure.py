"""Seconds per step on this machine: a short measurement of the network that will be trained, on random crops."""

from __future__ import annotations

import time

import torch

from fastsvc.config import AcousticConfig
from fastsvc.model.acoustic import AcousticModel
from fastsvc.training import optim, wavenet_train

STEPS = 2
CROPS, OTHERS = 10, 2  # of a step: all, and those of others, which the first student evaluates, too
JUDGES = 1.5  # what discriminators and losses add, measured on one thread of 2026


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

    trained = _timed(train, where) / size
    with torch.no_grad():
        evaluated = _timed(evaluate, where) / size
    return JUDGES * (CROPS * (trained + evaluated) + OTHERS * evaluated)


def _timed(call, device: torch.device) -> float:
    call()
    start = time.perf_counter()
    for _ in range(STEPS):
        call()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return (time.perf_counter() - start) / STEPS
