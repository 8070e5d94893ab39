"""What the processor computes in bfloat16, and why: rows of `fastsvc doctor`."""

from __future__ import annotations

import os

from fastsvc.engine.cpu import precision
from fastsvc.engine.cpu.denoiser_bf16 import supported
from fastsvc.engine.cpu.precision import Figures

NAME = "bf16 on cpu"
SIZES = ("family", "channels", "initial_channels", "layers")  # of a form, for people


def rows() -> list[tuple[str, str]]:
    """Whether there are units, then a row for each measured form: figures and choice."""
    if not supported():
        return [(NAME, "no units for it: everything computes in float32")]
    pinned = os.environ.get(precision.VARIABLE)
    first = "has units; with --precision auto each part is measured when an engine is first opened"
    lines = [first if not pinned else f"has units; {precision.VARIABLE}={pinned} stands for auto"]
    return [(NAME, line) for line in lines + [line(figures) for figures in precision.stored()]]


def line(figures: Figures) -> str:
    """A form's figures and the choice, for its weights with the largest error."""
    sizes = " ".join(str(figures.sizes[name]) for name in SIZES if name in figures.sizes)
    times = f"{figures.part} {sizes}: {figures.fp32_ms:.1f} ms in float32, {figures.bf16_ms:.1f} in bf16"
    if not figures.faster:
        return f"{times} ({figures.speedup:.2f}×): float32, as bf16 is not {precision.LEAST_SPEEDUP:g}× as fast"
    times += f" ({figures.speedup:.2f}×)"
    if not figures.errors:
        return f"{times}: error not measured yet"
    error, plain = max(figures.errors.values())
    passed = sum(map(figures.exact_enough, figures.errors))
    chosen = "bf16" if passed == len(figures.errors) else f"bf16 for {passed} of {len(figures.errors)} sets of weights"
    return f"{times}, error {error:.1e}, plain PyTorch's {plain:.1e}: {chosen}"
