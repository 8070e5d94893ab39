"""One process of `bench.bf16`: what `auto` chooses here, in a cache of its own; prints a line of JSON."""

from __future__ import annotations

import json
import os
import tempfile

import torch

from fastsvc.engine import Engine
from fastsvc.engine.cpu import precision


def main(path: str) -> None:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as cache:
        os.environ["FASTSVC_CACHE"] = cache
        auto = Engine.open(path, "cpu")
        found = {one.part: round(one.speedup, 2) for one in precision.stored()}
    exact = Engine.open(path, "cpu", "fp32")
    generator = torch.Generator().manual_seed(0)
    units, volume = (
        torch.randn(20, exact.config.unit_channels, generator=generator),
        torch.rand(60, generator=generator),
    )
    results = [engine.synthesise(units, torch.full((60,), 200.0), volume, 0)[0] for engine in (auto, exact)]
    print(json.dumps({"speedup": found, "bf16": list(auto.rounded), "same_bits": torch.equal(*results)}))
