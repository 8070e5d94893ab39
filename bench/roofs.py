"""The machine's limits, measured in the same run: matrix products and copies; and floors of time from them."""

from __future__ import annotations

import torch

from bench.timing import Clock

SIDE = {"cuda": 8192, "cpu": 1024}
COPY_BYTES = {"cuda": 2**30, "cpu": 2**27}
DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


def measure(device: torch.device, precision: str, repeats: int = 10) -> dict:
    """{"tflops", "copy_gbs"}: a square product on random data in the engine's precision; bytes read and written."""
    clock = Clock(device, repeats)
    side, dtype = SIDE[device.type], DTYPES[precision]
    a, b = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    out = torch.empty_like(a)
    product_ms = clock(lambda: torch.mm(a, b, out=out))["p50_ms"]
    source = torch.ones(COPY_BYTES[device.type] // 4, device=device)
    target = torch.empty_like(source)
    copy_ms = clock(lambda: target.copy_(source))["p50_ms"]
    return {
        "tflops": round(2 * side**3 / product_ms / 1e9, 3),
        "copy_gbs": round(2 * COPY_BYTES[device.type] / copy_ms / 1e6, 1),
        "precision": precision,
        "product": f"{side}³",
    }


def floor_ms(flops: float, bytes_: float, roofs: dict) -> float:
    """The least time for that many operations and moved bytes: the longer of the two."""
    return max(flops / (roofs["tflops"] * 1e9), bytes_ / (roofs["copy_gbs"] * 1e6))


def percent(floor: float, spent: float) -> float:
    """The floor in percent of the time spent."""
    return round(100 * floor / spent, 1)
