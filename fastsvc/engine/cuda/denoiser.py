"""The kernels' denoiser on a GPU: packed weights, and for every shape its buffers, its launches and their graphs.

Buffers of all shapes are cut from one block of memory, so only one shape can run at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from copy import copy

import torch
from torch import Tensor

from fastsvc.artifact import lowered
from fastsvc.config import AcousticConfig
from fastsvc.engine.buckets import Shape
from fastsvc.engine.cuda import early, joined
from fastsvc.engine.cuda.arena_programs import ArenaPrograms
from fastsvc.engine.cuda.conditions import condition_for
from fastsvc.engine.cuda.graphs import Graphs
from fastsvc.engine.cuda.schedules import FusedSchedule
from fastsvc.engine.cuda.staging import Staging
from fastsvc.kernels import dependent
from fastsvc.kernels.denoiser.network import DenoiserLaunches, NoiseLevel, Tiles
from fastsvc.kernels.denoiser.pack import PackedDenoiser, pack
from fastsvc.kernels.launch import Launch
from fastsvc.model import process

FLOAT32_PRODUCTS = "tf32x3"  # how float32 is multiplied on tensor cores: three products, about float32's precision


def packed(tensors: dict[str, Tensor], config: AcousticConfig, dtype: torch.dtype, device) -> PackedDenoiser:
    """The kernels' weights, packed from lowered tensors."""
    tensors = condition_for(config).packable(tensors, config)
    low, high = torch.tensor(config.norm.low), torch.tensor(config.norm.high)
    return pack(tensors, low, high, dtype, device)


def without_storage(config: AcousticConfig, levels: int, dtype: torch.dtype) -> PackedDenoiser:
    """The packed weights on the meta device, for compiling ahead of time."""
    shapes = lowered.shapes(config, levels)
    with torch.device("meta"):
        return packed({name: torch.empty(shape) for name, shape in shapes.items()}, config, dtype, "meta")


def level_table(config: AcousticConfig, levels: Iterable[float]) -> dict[float, NoiseLevel]:
    """By noise level: its row of the step vectors and its scalars, as in fastsvc/engine/cpu/denoiser.py."""
    table = {}
    for index, level in enumerate(levels):
        scalars = process.coefficients(config, torch.tensor(level, dtype=torch.float32, device="cpu"))
        table[float(level)] = NoiseLevel(index, *map(float, scalars[:3]))
    return table


class DenoiserProgram:
    """One shape: its buffers, and replays of the work over them."""

    def __init__(
        self, weights: PackedDenoiser, config: AcousticConfig, levels: dict[float, NoiseLevel], shape: Shape, arch, new
    ):
        """``new``: allocates a buffer, as torch.empty does."""
        self.shape, self.levels = shape, levels
        tiles = Tiles.of(weights, shape.batch, shape.frames, arch)
        dilations, device, (b, t) = config.denoiser.dilations, weights.conv_weight.device, (shape.batch, shape.frames)
        rows, pdl = list(levels.values()), dependent.possible(device, arch)
        processors = joined.processors(device, arch)
        self.net = DenoiserLaunches(weights, dilations, rows, b, t, tiles, FLOAT32_PRODUCTS, new, pdl, processors)

        def buffer(*sizes: int, dtype=torch.float32) -> Tensor:
            return new(*sizes, dtype=dtype, device=device)

        channels = condition_for(config).unit_channels(config)
        self.units, self.unit_indices = buffer(b, t, channels), buffer(b, t, dtype=torch.int32)
        self.scalars, self.utterance = buffer(3, b, t), buffer(b, weights.hidden)

    def condition(self) -> list[Launch]:
        return [self.net.project_units(self.units, self.unit_indices, self.scalars, self.utterance)]

    def sampling(self, plan: FusedSchedule) -> list[Launch]:
        """From noise (or the mel in ``net.out``) to the mel in ``net.out``; over the same buffers."""
        net = copy(self.net)
        net.levels = tuple(self.levels[level] for level in plan.levels)
        return net.schedule(plan.updates, spread=plan.spread, carry=plan.carry)

    def evaluation(self, level: float) -> list[Launch]:
        """D of ``net.x`` into ``net.out``."""
        net = copy(self.net)
        net.levels = (self.levels[level],)
        return net.evaluation(0)

    def launches(self, plans: Iterable[FusedSchedule], levels: Iterable[float], conditioned: bool) -> list[Launch]:
        """All launches that this shape may start."""
        launches = self.condition() if conditioned else []
        for plan in plans:
            launches += self.sampling(plan)
        for level in levels:
            launches += self.evaluation(level)
        return launches

    def together(self) -> DenoiserProgram:
        """The same program over the same buffers with all layers in one launch, if its inputs are short."""
        program = copy(self)
        program.net = copy(self.net)
        program.net.together = True
        return program


class DenoiserNetwork:
    """The denoiser on one device: a program for each shape on first use, all in one block of memory."""

    def __init__(
        self,
        weights: PackedDenoiser,
        config: AcousticConfig,
        levels: list[float],
        vectors: Tensor,
        arch: int,
        launcher,
        graphs: Graphs,
    ):
        """``vectors``: d_l of the lowered form, [levels, L, C]."""
        self.weights, self.config, self.arch = weights, config, arch
        self.step_vectors = vectors.float().to(weights.conv_weight.device)
        self.levels, self.launcher, self.graphs = level_table(config, levels), launcher, graphs
        self.device = weights.conv_weight.device
        # both may change at any time: graphs of all kinds have keys of their own
        self.early, self.together = early.requested(self.device, arch), joined.requested()
        self.staging = Staging(self.device)
        settings = self.weights, self.config, self.levels
        self.in_arena = ArenaPrograms(lambda shape, new: DenoiserProgram(*settings, shape, arch, new), graphs)

    @property
    def programs(self) -> dict[Shape, DenoiserProgram]:
        return self.in_arena.by_shape

    @property
    def replays(self) -> dict[tuple, Callable[[], None]]:
        return self.in_arena.replays

    def program(self, shape: Shape) -> DenoiserProgram:
        """The program of a shape. Raises torch.OutOfMemoryError."""
        return self.in_arena.program(shape)

    def reserve(self, shapes: list[Shape]) -> None:
        """Allocate memory for the largest of these shapes; if the arena is too small, all programs are made again."""
        self.in_arena.reserve(shapes)

    def release(self) -> None:
        """Forget all programs and their memory."""
        self.in_arena.release()

    def replay(self, shape: Shape, work: tuple, launches: Callable[[DenoiserProgram], list[Launch]]) -> None:
        """Run the launches of a program through a graph, captured at the first call; ``work`` names them."""
        self.prepared(shape, work, launches)()

    def prepared(
        self, shape: Shape, work: tuple, launches: Callable[[DenoiserProgram], list[Launch]]
    ) -> Callable[[], None]:
        """The graph's replay as a call. Capturing runs the launches too, so buffers that are input and output at once
        must be filled afterwards."""
        key = (shape, *work, self.early, self.together)
        if key not in self.replays:
            program = self.program(shape)
            chain = early.chain(launches(program.together() if self.together else program), self.early)
            bound = self.launcher.bind_chain(chain)

            def run() -> None:
                for start in bound:
                    start()

            self.replays[key] = self.graphs.capture(run)
        return self.replays[key]
