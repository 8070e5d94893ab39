"""Seconds per step on this machine: a short measurement of the network that will be trained, on random crops."""

from __future__ import annotations

import time
from typing import TypeGuard

import torch

from fastsvc.config import AcousticConfig, HubertConfig, RecogniserConfig
from fastsvc.model.acoustic import AcousticModel
from fastsvc.model.recogniser import Recogniser
from fastsvc.training import optim, wavenet_train
from fastsvc.training.paired import patches
from fastsvc.training.paired.patches import Patches

STEPS = 2
# Of a step: crops of songs, and of others.
OWN, OTHERS = 8, 1
CROPS = OWN + OTHERS


def listens(content: RecogniserConfig | HubertConfig) -> TypeGuard[RecogniserConfig]:
    """Whether a base's content encoder takes part in trainings: a HuBERT and a GRU do not."""
    return isinstance(content, RecogniserConfig) and content.architecture != "gru"


def step_seconds(
    config: AcousticConfig, content: RecogniserConfig | HubertConfig, device: str, size: int = 4, frames: int = 128
) -> float:
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
        with torch.autocast(where.type, torch.bfloat16, enabled=dtype == torch.bfloat16):
            scores = judges(mel, torch.zeros(size, dtype=torch.int64, device=where))[0]
        patches.mean([score.float() for score in scores]).backward()

    heard = 0.0
    if listens(content):
        ear, sound = Recogniser(content).to(where).eval(), torch.randn(size, frames, content.mel.bins, device=where)
        ear.requires_grad_(False)
        sound.requires_grad_(True)
        heard = _timed(lambda: ear(sound)[1].square().mean().backward(), where) / size
    trained, judged = _timed(train, where) / size, _timed(judge, where) / size
    with torch.no_grad():
        evaluated = _timed(evaluate, where) / size
    # The judges learn from recordings and results, then judge results; recordings' features are evaluated alone.
    judging = (OWN + 2 * CROPS + OWN / 3) * judged
    # Of each crop the encoder hears the result, with gradients, and the recording; and half of them in disguise. Where
    # it does not listen, the first student evaluates what others say.
    listening = CROPS * heard * (1 + 1 / 3 + 1 / 6) if heard else OTHERS * evaluated
    return CROPS * (trained + evaluated) + judging + listening


def _timed(call, device: torch.device) -> float:
    call()
    start = time.perf_counter()
    for _ in range(STEPS):
        call()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return (time.perf_counter() - start) / STEPS
