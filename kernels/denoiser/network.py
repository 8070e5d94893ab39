"""The launches of one evaluation of the lowered denoiser, and of a whole schedule, over buffers allocated once.

Nothing here waits for the device or depends on its values, so a list of launches can be captured in a CUDA graph. Its
kernels read lengths, first frames, seeds and the condition from buffers when the graph runs.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from fastsvc.kernels.denoiser import condition, first, gated_conv, head, layers, layers_tile, residual, skip
from fastsvc.kernels.denoiser.pack import PackedDenoiser
from fastsvc.kernels.launch import Launch
from fastsvc.kernels.tiles import Tile


@dataclass(frozen=True)
class NoiseLevel:
    """A noise level: its row of the step vectors, and D(x) = c_skip·x + c_out·F(c_in·x)."""

    index: int
    c_skip: float
    c_out: float
    c_in: float


@dataclass(frozen=True)
class Update:
    """The sampler's update of x: x ← keep·x + pull·D + past·(the previous D) + spread·noise (kernels/denoiser/head.py).

    ``remember``: D is kept for the next update's ``past``.
    """

    keep: float = 0.0
    pull: float = 1.0
    past: float | None = None
    spread: float | None = None
    remember: bool = False


def consistency_updates(sigmas: Sequence[float], sigma_min: float) -> list[Update]:
    """Denoise, renoise to the next level, …, denoise."""
    return [Update(spread=(after**2 - sigma_min**2) ** 0.5) for after in sigmas[1:]] + [Update()]


def euler_updates(sigmas: Sequence[float]) -> list[Update]:
    """x + (σ' − σ)(x − D)/σ; sigmas end in 0."""
    return [Update(keep=after / sigma, pull=1 - after / sigma) for sigma, after in itertools.pairwise(sigmas)]


@dataclass(frozen=True)
class Tiles:
    """The block sizes of all operations at one shape."""

    condition: Tile
    first: Tile
    conv: Tile
    residual: Tile
    skip: Tile
    head: Tile
    layers: layers_tile.LayersTile | None = None  # of all layers in one launch; None where inputs are too long for it

    @classmethod
    def of(cls, weights: PackedDenoiser, batch: int, frames: int, arch: int) -> Tiles:
        c, h, dtype = weights.channels, weights.hidden, weights.conv_weight.dtype
        pulses = len(weights.vectors) > condition.SCALED
        skip_tile = skip.tile(frames, c, weights.layers, dtype, arch, batch)
        return cls(
            condition.tile(frames, len(weights.units_weight), h, dtype, arch, batch, pulses),
            first.tile(frames, weights.mel_bins, c, dtype, arch, batch),
            gated_conv.tile(frames, c, h, dtype, arch, batch),
            residual.tile(frames, c, dtype, arch, batch),
            skip_tile,
            head.tile(frames, c, weights.mel_bins, dtype, arch, batch, skip_tile.splits),
            layers_tile.tile(frames, c, h, dtype, arch, batch),
        )


class DenoiserLaunches:
    """Buffers for ``batch`` sequences of at most ``frames``, and the launches over them.

    ``x`` [B, T, M] is the sampler's state (float32), ``out`` [B, T, M] the result of a schedule, ``cond`` [B, T, H] the
    condition as the convolutions read it, ``lengths``, ``first_frames`` (absolute) and ``seeds`` [B].
    ``allocate`` is called like torch.zeros; its result need not be zeros if every batch brings its condition.
    ``pdl``: use kernels that may begin early (kernels/dependent.py); :func:`chained` decides whether they do.
    ``together``: all layers in one launch (kernels/denoiser/layers.py), which ``processors`` of the device must hold;
    where :attr:`can_join` is false it changes nothing.
    """

    def __init__(
        self,
        weights: PackedDenoiser,
        dilations: Sequence[int],
        levels: Sequence[NoiseLevel],
        batch: int,
        frames: int,
        tiles: Tiles,
        precision: str = "tf32x3",
        allocate: Callable[..., Tensor] = torch.zeros,
        pdl: bool = False,
        processors: int = 0,
    ):
        device, dtype = weights.conv_weight.device, weights.conv_weight.dtype
        self.weights, self.dilations, self.levels = weights, tuple(dilations), tuple(levels)
        self.tiles, self.options = tiles, {"precision": precision, "pdl": pdl}
        self.processors, self.together = processors, False

        def zeros(*shape: int, dtype=dtype) -> Tensor:
            return allocate(batch, *shape, dtype=dtype, device=device)

        self.state = zeros(frames, weights.channels + weights.hidden)
        self.cond = self.state[..., weights.channels :]
        self.z = zeros(frames, weights.layers * weights.channels)
        self.parts = skip.parts_like(self.z, weights.channels, tiles.skip, allocate)
        self.x, self.history, self.out = (zeros(frames, weights.mel_bins, dtype=torch.float32) for _ in range(3))
        self.lengths = zeros(dtype=torch.int32)
        self.first_frames, self.seeds = zeros(dtype=torch.int64), zeros(dtype=torch.int64)
        count = layers_tile.counts_size(batch, frames, weights.layers, tiles.layers) if tiles.layers else 1
        self.counts = allocate(count, dtype=torch.int32, device=device)

    @property
    def can_join(self) -> bool:
        """Whether all layers can be one launch: of short inputs, with the usual dilations."""
        block = self.tiles.layers
        cycle = layers_tile.cycle(self.dilations) if self.weights.layers > 1 else None
        return block is not None and self.processors > 0 and cycle is not None

    def prepare(
        self, lengths: Tensor, cond: Tensor | None = None, first_frames: Tensor | None = None, seeds=None
    ) -> None:
        """Copy in one batch's lengths, first frames and seeds [B], condition [B, T, H]; None leaves a buffer alone."""
        self.lengths.copy_(lengths, non_blocking=True)
        for buffer, value in ((self.first_frames, first_frames), (self.seeds, seeds)):
            if value is not None:
                buffer.copy_(value, non_blocking=True)
        if cond is not None:
            self.cond[:, : cond.shape[1], : cond.shape[2]].copy_(cond, non_blocking=True)

    def __call__(self, x: Tensor, level: int) -> Tensor:
        """D(x) of x [B, T, M] at one of the levels; the result is the buffer ``out``."""
        self.x.copy_(x)
        for launch in self.evaluation(level):
            launch.run()
        return self.out

    def project_units(self, units: Tensor, unit_rows: Tensor, scalars: Tensor, utterance: Tensor) -> Launch:
        """The condition of one batch from features (kernels/denoiser/condition.py) into ``cond``."""
        w = self.weights
        arguments = units, unit_rows, w.units_weight, scalars, w.vectors, utterance, self.cond, self.lengths
        return condition.launch(*arguments, self.tiles.condition, self.options["precision"])

    def schedule(self, updates: Sequence[Update], *, spread: float, carry: float = 0.0) -> list[Launch]:
        """All launches from noise to mel: x begins as carry·(a normalised mel in ``out``) + spread·noise(0).

        The i-th evaluation is at ``levels[i]``, and update i draws noise i + 1. The denormalised mel is in ``out``.
        """
        launches = []
        for i, update in enumerate(updates):
            begin = {"carry": carry, "spread": spread} if i == 0 else None
            launches += self.evaluation(i, update, begin, last=i + 1 == len(updates))
        return launches

    def evaluation(
        self, level: int, update: Update | None = None, begin: dict | None = None, last: bool = False
    ) -> list[Launch]:
        """D into ``out``; or with ``update`` the next x into ``x``, and if ``last`` the mel into ``out``."""
        noise_level = self.levels[level]
        return [
            self._first(noise_level, begin),
            *(self._joined(noise_level) if self.together and self.can_join else self._layers(noise_level)),
            self._skip(),
            self._head(noise_level, level, update, last),
        ]

    def _first(self, level: NoiseLevel, begin: dict | None) -> Launch:
        w = self.weights
        layer = w.first_weight, w.first_bias, w.first_shift[level.index]
        slices = self.lengths, self.first_frames, self.seeds
        begin = {} if begin is None else {**begin, "noised": self.x}
        x = self.out if begin else self.x
        if self.together and self.can_join:
            begin = {**begin, "counts": self.counts}
        return first.launch(x, *layer, self.state, *slices, self.tiles.first, level.c_in, **self.options, **begin)

    def _joined(self, level: NoiseLevel) -> list[Launch]:
        w, block, precision = self.weights, self.tiles.layers, self.options["precision"]
        assert block is not None, "can_join says so"
        weights = w.conv_weight, w.conv_bias, w.residual_weight, w.residual_shift[level.index]
        buffers = self.lengths, self.counts
        options = {"precision": precision, "prefetch": self.options["pdl"]}
        return [
            layers.launch(self.state, self.z, *weights, *buffers, self.dilations, block, self.processors, **options)
        ]

    def _layers(self, level: NoiseLevel) -> list[Launch]:
        w, launches = self.weights, []
        for layer, dilation in enumerate(self.dilations):
            z = self.z[..., layer * w.channels : (layer + 1) * w.channels]
            conv = self.state, w.conv_weight[layer], w.conv_bias[layer], z, self.lengths, dilation
            launches.append(gated_conv.launch(*conv, self.tiles.conv, **self.options))
            if layer + 1 < w.layers:
                arguments = self.state, z, w.residual_weight[layer], w.residual_shift[level.index, layer], self.lengths
                launches.append(residual.launch(*arguments, self.tiles.residual, **self.options))
        return launches

    def _skip(self) -> Launch:
        w = self.weights
        arguments = self.z, w.skip_weight, w.skip_bias, self.parts, self.lengths
        return skip.launch(*arguments, self.tiles.skip, **self.options)

    def _head(self, level: NoiseLevel, evaluation: int, update: Update | None, last: bool) -> Launch:
        w = self.weights
        out = self.out if update is None or last else self.x
        arguments = self.parts, w.skip_bias, w.head_weight, w.head_bias, self.x, w.scale, w.offset, out
        slices = self.lengths, self.first_frames, self.seeds
        options = dict(self.options)
        if update is not None:
            options |= {"keep": update.keep, "pull": update.pull, "past": update.past, "spread": update.spread}
            options |= {"noise_step": evaluation + 1, "finish": last}
            options["history"] = self.history if update.remember or update.past is not None else None
        return head.launch(*arguments, *slices, self.tiles.head, level.c_skip, level.c_out, **options)
