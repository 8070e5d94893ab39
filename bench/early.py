"""The denoiser with and without early starts of its kernels (programmatic dependent launch), in one run."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from bench.timing import Clock
from bench.vocoders import reason
from fastsvc.engine.cpu.sampler import Features, SeededNoise
from fastsvc.engine.engine import Engine
from fastsvc.errors import FastsvcError
from fastsvc.kernels import dependent


def compared(
    engine: Engine, lengths_s: Sequence[float], steps: Sequence[int], clock: Clock, say: Callable = print
) -> list[dict]:
    """Two rows, plain and early, for each length and number of steps; one with the reason where they cannot be."""
    network = getattr(engine.sampler, "network", None)
    if network is not None and not hasattr(network, "early"):
        return [{"skipped": "the acoustic part of RVC's voices has no kernels of its own"}]
    if network is None or not dependent.possible(network.device, network.arch):
        return [{"skipped": "early starts need an NVIDIA GPU of sm_90 or newer"}]
    rows, early_before = [], network.early
    try:
        for seconds in lengths_s:
            for count in (count for count in steps if count in engine.steps):
                run = denoiser(engine, seconds, count)
                for network.early in (False, True):
                    say(f"{seconds:g} s, {count} steps: denoiser, early starts {'on' if network.early else 'off'}")
                    rows.append({"seconds": seconds, "steps": count, "early": network.early, **clock(run)})
    except (FastsvcError, RuntimeError) as error:  # the figures that follow do not need it
        return [{"skipped": reason(error)}]
    finally:
        network.early = early_before
    return rows


def denoiser(engine: Engine, seconds: float, steps: int) -> Callable:
    """The engine's stage `denoiser` over random features."""
    frames = max(1, round(seconds * engine.config.mel.frame_rate_hz))
    units = torch.randn(frames, engine.config.unit_channels)
    features = Features(units, torch.arange(frames), torch.full((frames,), 220.0), units[:, 0] > 0, units[:, 1].abs())
    speaker = engine.sampler.condition.speaker({0: 1.0})
    return engine.sampler.timed_stages(features, speaker, steps, SeededNoise(0, engine.config.mel.bins))["denoiser"]
