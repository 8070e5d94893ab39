"""The work of one launch of a kernel, counted from its grid and its constants: operations, bytes, steps."""

from __future__ import annotations

import math
from dataclasses import dataclass

from fastsvc.kernels.denoiser import gated_conv
from fastsvc.kernels.launch import Launch

KIB = 1024
RESIDENT_BYTES = 64 * KIB  # weights of a residual unit that stay in a multiprocessor's own cache from block to block


@dataclass(frozen=True)
class Work:
    """Of one launch of ``programs``. ``loads``, ``stores``: bytes that all of them read from and write to the L2 cache,
    each on its own; ``weights``, ``rows``: bytes of device memory behind them. ``steps`` along K of one block, of which
    a program has ``rounds``, one after another."""

    flops: float
    loads: float
    stores: float
    weights: float
    rows: float
    steps: int
    programs: int
    rounds: int = 1


def work(launch: Launch) -> Work:
    """Of a launch. Rows that are loaded for several taps count once, with their halo: loads that pass through the
    multiprocessor's own cache find them there."""
    name = getattr(launch.kernel, "fn", launch.kernel).__name__.removesuffix("_kernel")
    if name == "layers":
        return _layers(launch)
    return {"source": _source, "waveform": _waveform, "residual_unit": _residual_unit}.get(name, _product)(name, launch)


def phases(launch: Launch) -> list[tuple[Work, int]]:
    """Of all layers in one launch: (the work of a convolution, how many there are), the same of a residual. Their
    ``programs`` are tiles."""
    k, width = launch.constants, launch.arguments["state"].element_size()
    c, rows, columns, narrow, layers = k["C"], k["ROWS"], k["COLUMNS"], k["NARROW"], k["LAYERS"]
    blocks, deep = launch.arguments["batch"] * -(-launch.arguments["frames"] // rows), 2 * c + k["STATE_STRIDE"]
    reach = 1 << (k["CYCLE"] - 1)
    tiles, read = blocks * (2 * c // columns), _gated_columns(rows, reach, k)
    loads, stores = tiles * (read + columns * deep) * width, tiles * rows * columns // 2 * width
    products, steps = tiles * rows * columns * deep, deep // k["DEPTH"]
    conv = Work(2.0 * products, loads, stores, deep * 2 * c * width, 0, steps, tiles)
    tiles = blocks * (c // narrow)
    loads, stores = tiles * (rows * c + narrow * c + rows * narrow) * width, tiles * rows * narrow * width
    products, steps = tiles * rows * narrow * c, c // k["DEPTH"]
    residual = Work(2.0 * products, loads, stores, c * c * width, 0, steps, tiles)
    return [(conv, layers), (residual, layers - 1)]


def _gated_columns(rows: int, dilation: int, k: dict) -> int:
    """Numbers that a block of a gated convolution reads of the state: each tap's, or in large blocks all taps' once."""
    if rows < gated_conv.rows_to_reuse():
        return rows * (2 * k["C"] + k["STATE_STRIDE"])
    return (rows + 2 * dilation) * k["C"] + rows * (k["STATE_STRIDE"] - k["C"])


def _layers(launch: Launch) -> Work:
    """The sum over all phases."""
    sums = [
        sum(getattr(job, name) * times for job, times in phases(launch))
        for name in ("flops", "loads", "stores", "weights", "rows", "steps")
    ]
    return Work(*sums, launch.grid[0])


def _product(name: str, launch: Launch) -> Work:
    k, programs, width = launch.constants, math.prod(launch.grid), element_bytes(launch)
    rows, columns, depth = k["ROWS"], k.get("COLUMNS"), k.get("DEPTH", k.get("MEL"))
    inner = {
        "condition": lambda: -(-k["U"] // depth) * depth,
        "first": lambda: k["MEL"],
        "gated_conv": lambda: 2 * k["C"] + k["STATE_STRIDE"],
        "residual": lambda: k["C"],
        "skip": lambda: k["LC"] // k["SPLITS"],
        "head": lambda: k["C"],
        "conv": lambda: k["TAPS"] * k["C"],
        "upsample": lambda: k["TAPS"] * k["C"],
    }[name]()
    # bytes of the rows that a program reads; those of the last condition, mel and part in whole columns
    halo = (k["TAPS"] - 1) * launch.arguments.get("dilation", 1) if "TAPS" in k else 0
    read = {
        "condition": lambda: rows * k["U"] * launch.arguments["units"].element_size(),
        "gated_conv": lambda: _gated_columns(rows, launch.arguments["dilation"], k) * width,
        "first": lambda: rows * k["M"] * 4 * k["CARRY"],
        "head": lambda: rows * (k["C"] * (4 * k["SPLITS"] if k["SPLITS"] > 1 else width) + 4 * columns),
        "conv": lambda: (rows + halo) * k["X_STRIDE"] * launch.arguments["x"].element_size(),
        "upsample": lambda: (rows + halo) * k["C"] * width,
    }.get(name, lambda: rows * inner * width)()
    if name == "residual":
        read += rows * columns * width  # X
    if name == "conv" and k["RESIDUAL"]:
        read += rows * min(columns, k["RESIDUAL"]) * launch.arguments["residual"].element_size()
    if name == "conv" and launch.arguments["keep"]:
        read += rows * columns * width
    out = columns // 2 if name == "gated_conv" else columns
    written = rows * out * (4 if name == "head" or k.get("SPLITS", 1) > 1 else width)
    loads, stores = programs * (read + columns * inner * width), programs * written
    products = programs * rows * columns * inner
    return Work(2.0 * products, loads, stores, *_memory(launch, name), max(1, inner // depth), programs)


def _residual_unit(name: str, launch: Launch) -> Work:
    """Both convolutions of all blocks. The inner rows are written to the scratch and read again."""
    k, programs, width = launch.constants, math.prod(launch.grid), element_bytes(launch)
    c, taps, rows = k["C"], k["TAPS"], k["ROWS"]
    out = rows - taps + 1
    blocks = launch.arguments["batch"] * -(-launch.arguments["frames"] // out)
    weights = 2 * taps * c * c * width
    loaded = programs if weights <= RESIDENT_BYTES else blocks
    halo = (taps - 1) * launch.arguments["dilation"]
    kept = out if launch.arguments["keep"] else 0
    loads = loaded * weights + blocks * ((rows + halo) + rows + out + kept) * c * width
    stores = blocks * (rows + out) * c * width
    steps, rounds = 2 * taps * c // k["DEPTH"], -(-blocks // programs)
    flops = 4.0 * blocks * rows * taps * c * c
    return Work(flops, loads, stores, *_memory(launch, name), steps, programs, rounds)


def _waveform(name: str, launch: Launch) -> Work:
    k, programs = launch.constants, math.prod(launch.grid)
    rows, width = k["SAMPLES"] + k["TAPS"] - 1, launch.arguments["x"].element_size()
    loads = programs * k["C"] * (rows * width + 4 * k["TAPS"])
    flops = 2.0 * programs * k["SAMPLES"] * k["TAPS"] * k["C"]
    steps = k["TAPS"] * k["C"] // k["WIDTH"]
    return Work(flops, loads, programs * k["SAMPLES"] * 4, *_memory(launch, name), steps, programs)


def _source(name: str, launch: Launch) -> Work:
    """About 60 operations a sample and channel for a sine and a Gaussian; 20 bytes of each frame are read."""
    k, programs = launch.constants, math.prod(launch.grid)
    flops = 60.0 * programs * k["SAMPLES"] * k["CHANNELS"]
    loads = programs * (-(-k["SAMPLES"] // k["HOP"]) + 1) * 20
    return Work(flops, loads, programs * k["SAMPLES"] * 4, *_memory(launch, name), 1, programs)


def element_bytes(launch: Launch) -> int:
    """Of the operands of a launch's products."""
    tensors = launch.arguments
    return tensors["weight" if "weight" in tensors else "inner"].element_size()


def _memory(launch: Launch, name: str) -> tuple[float, float]:
    """(bytes of weights, bytes of all other tensors) that a launch touches; columns of a buffer count as they are."""
    weights = [t for key, t in launch.arguments.items() if key in ("weight", "inner", "outer", "mix")]
    skipped = ("scratch", *(["residual"] if launch.constants.get("RESIDUAL") == 0 else []))
    others = {
        key: t
        for key, t in launch.arguments.items()
        if hasattr(t, "element_size") and key not in ("weight", "inner", "outer", "mix", *skipped)
    }
    count = lambda tensors: float(sum(t.numel() * t.element_size() for t in tensors))  # noqa: E731
    return count({id(t): t for t in weights}.values()), count({id(t): t for t in others.values()}.values())
