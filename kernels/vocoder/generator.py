"""The launches of one whole vocoder over buffers allocated once: mel and excitation in, audio out.

Nothing here waits for the device or depends on its values, so the list can be captured in a CUDA graph. Every
sequence of a batch has all rows; rows before the first and after the last are zeros.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from fastsvc.config import VocoderConfig
from fastsvc.kernels.launch import Launch
from fastsvc.kernels.tiles import AREA, PROCESSORS, Tile, architecture
from fastsvc.kernels.vocoder import conv, residual_unit, upsample, waveform
from fastsvc.kernels.vocoder.pack import PackedConv, PackedGenerator, PackedStage, hops

SLOPE = 0.1  # of every leaky ReLU
LAST_SLOPE = 0.01  # except the last, in both families
LEAST_FRAMES = 64  # shorter inputs get the blocks for this length: few kernels serve all lengths
ALWAYS_FUSED = 64  # channels up to which a residual unit is one launch, however short the input


class GeneratorLaunches:
    """Buffers for ``batch`` sequences of ``frames`` mel frames, and the launches over them.

    ``allocate`` is called like torch.zeros; its result need not be zeros.
    """

    def __init__(
        self,
        weights: PackedGenerator,
        config: VocoderConfig,
        batch: int,
        frames: int,
        arch: int,
        precision: str = "tf32x3",
        allocate: Callable[..., Tensor] = torch.zeros,
    ):
        self.weights, self.config, self.arch, self.precision = weights, config, architecture(arch), precision
        self.batch, self.frames = batch, frames
        self.tiled_frames = batch * max(frames, LEAST_FRAMES)  # mel frames by which blocks are chosen
        device = weights.pre.weight.device
        size = batch * frames * weights.most_elements
        # a stage's input, two buffers that its units alternate, a unit's inner rows, and the sum over its blocks
        self.input, self.even, self.odd, self.inner, self.sum = (
            allocate(size, dtype=weights.dtype, device=device) for _ in range(5)
        )
        self.scratch = allocate(max(map(self._scratch, self._fused()), default=1), dtype=weights.dtype, device=device)

    def launches(self, mel: Tensor, excitation: Tensor | None, added: Tensor | None, audio: Tensor) -> list[Launch]:
        """mel [B, T, M], excitation [B, T·source_hop] or None, ``added`` to conv_pre's output [B, T, initial_channels]
        or None → audio [B, T·hop], all float32."""
        launches = [self._pre(mel, added)]
        for stage, hop in zip(self.weights.stages, hops(self.config)):
            launches += self._stage(stage, hop, excitation)
        x = self._rows(self.sum, self.config.mel.hop_samples, self.weights.post_weight.shape[1])
        return [*launches, waveform.launch(x, self.weights.post_weight, self.weights.post_bias, audio, LAST_SLOPE)]

    def _rows(self, buffer: Tensor, hop: int, channels: int) -> Tensor:
        """[B, T·hop, C] of a buffer."""
        shape = self.batch, self.frames * hop, channels
        return buffer[: torch.Size(shape).numel()].view(shape)

    def _pre(self, mel: Tensor, added: Tensor | None) -> Launch:
        pre = self.weights.pre
        out = self._rows(self.sum, 1, pre.weight.shape[2])
        block = self._block(pre, 1)
        arguments = mel, pre.weight, pre.bias, out, block
        return conv.launch(*arguments, residual=added, gain=self.config.added_gain, precision=self.precision)

    def _block(self, layer: PackedConv, hop: int, residual: bool = True) -> Tile:
        taps, depth, columns = layer.weight.shape
        return conv.tile(self.tiled_frames * hop, depth, columns, taps, layer.weight.dtype, self.arch, residual)

    def _stage(self, stage: PackedStage, hop: int, excitation: Tensor | None) -> list[Launch]:
        """From the previous stage's sum to this stage's: the upsampling, and every unit of every block."""
        up, block_count = stage.up, len(stage.blocks)
        rate, taps, depth, columns = up.weight.shape
        x = self._rows(self.input, hop, columns)
        norm = self.config.family == "m4"
        product = self.tiled_frames * hop // rate, depth, columns, rate, taps
        block = upsample.tile(*product, up.weight.dtype, self.arch, up.mix_taps)
        before = self._rows(self.sum, hop // rate, depth)
        source = {}
        if up.mix is not None:
            source = {"excitation": excitation, "mix": up.mix, "mix_bias": up.mix_bias, "mix_taps": up.mix_taps}
            source |= {"channels": up.channels, "norm": norm}
        arguments = before, up.weight, up.bias, x, block, up.padding, SLOPE
        launches = [upsample.launch(*arguments, **source, precision=self.precision)]
        block_sum = self._rows(self.sum, hop, columns)
        buffers = [self._rows(buffer, hop, columns) for buffer in (self.even, self.odd)]
        for i, units in enumerate(stage.blocks):
            y = x
            for j, unit in enumerate(units):
                last = j + 1 == len(units)
                target = block_sum if last else buffers[j % 2]
                end = {"keep": i > 0, "scale": 1 / block_count if i + 1 == block_count else 1.0} if last else {}
                launches += self._unit(unit, hop, y, target, end)
                y = target
        return launches

    def _unit(self, unit: tuple[PackedConv, ...], hop: int, x: Tensor, out: Tensor, epilogue: dict) -> list[Launch]:
        """out = x + the unit's convolutions, or with ``epilogue`` the sum over blocks."""
        first, last = unit[0], unit[-1]
        epilogue = {**epilogue, "precision": self.precision}
        if len(unit) == 1:
            arguments = x, first.weight, first.bias, out, self._block(first, hop), first.dilation
            return [conv.launch(*arguments, SLOPE, residual=x, **epilogue)]
        if self.fuses(unit, hop):
            block, programs = self._tile(unit, hop)
            scratch = self.scratch[: programs * block.rows * block.columns].view(programs, block.rows, block.columns)
            arguments = x, first.weight, first.bias, last.weight, last.bias, scratch, out, block
            return [residual_unit.launch(*arguments, first.dilation, SLOPE, **epilogue)]
        y = self._rows(self.inner, hop, x.shape[2])
        arguments = x, first.weight, first.bias, y, self._block(first, hop, residual=False), first.dilation
        return [
            conv.launch(*arguments, SLOPE, SLOPE, precision=self.precision),
            conv.launch(y, last.weight, last.bias, out, self._block(last, hop), last.dilation, residual=x, **epilogue),
        ]

    def fuses(self, unit: tuple[PackedConv, ...], hop: int) -> bool:
        """Whether a unit is one launch: in narrow stages, and in wider ones whose large blocks fill the device and need
        not share registers with their operands."""
        (taps, _, channels), rows = unit[0].weight.shape, self.tiled_frames * hop
        if len(unit) == 1 or not residual_unit.fits(channels, taps):
            return False
        if channels <= ALWAYS_FUSED:
            return True
        return AREA[self.arch] > 128 * 128 and rows >= 2 * residual_unit.LONG * PROCESSORS[self.arch]

    def _fused(self) -> list[tuple[tuple[PackedConv, ...], int]]:
        units = [
            (unit, hop)
            for stage, hop in zip(self.weights.stages, hops(self.config))
            for block in stage.blocks
            for unit in block
        ]
        return [(unit, hop) for unit, hop in units if self.fuses(unit, hop)]

    def _tile(self, unit: tuple[PackedConv, ...], hop: int) -> tuple[Tile, int]:
        """(the block of a unit in one launch, the number of programs)."""
        taps, _, channels = unit[0].weight.shape
        rows, dtype = self.frames * hop, self.weights.dtype
        block = residual_unit.tile(self.tiled_frames * hop, channels, dtype, self.arch)
        return block, residual_unit.programs(rows, taps, self.batch, block, dtype.itemsize, self.arch)

    def _scratch(self, unit: tuple[tuple[PackedConv, ...], int]) -> int:
        block, programs = self._tile(*unit)
        return programs * block.rows * block.columns
