"""Closing an engine: its memory is given back at once, a GPU's graphs and buffers above all."""

from __future__ import annotations

import torch

from fastsvc.errors import EngineError


class Closed:
    """In place of a closed engine's part: whatever is asked of it is refused."""

    def __init__(self, path):
        self._path = path

    def __getattr__(self, name: str):
        raise EngineError(f"{self._path} is closed", "open it again with fastsvc.load")


def close(engine) -> None:
    """Free the engine's memory, once what is at work in other threads has ended: a method of an Engine. Afterwards
    conversions raise EngineError; closing again does nothing."""
    with engine.lock:
        if isinstance(engine.sampler, Closed):
            return
        network, synthesiser = getattr(engine.sampler, "network", None), engine.synthesiser
        held = (
            network,
            synthesiser,
            *(getattr(part, "programs", None) for part in (engine.encoder, engine.yin, engine.device_front)),
        )
        for part in held:
            release = getattr(part, "release", None)
            if release is not None:
                release()
        engine.sampler = engine.encoder = engine.synthesiser = Closed(engine.path)
        engine.yin = engine.index = engine.device_front = None
        if engine.device.type == "cuda":
            torch.cuda.empty_cache()
