"""The kernels' denoiser on a GPU: packed weights, and for every shape its buffers, its launches and their graphs.

Buffers of all shapes are cut from one block of memory, so only one shape is at work at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from copy import copy
from dataclasses import dataclass

import torch
from torch import Tensor

from fastsvc.artifact import lowered
from fastsvc.config import AcousticConfig
from fastsvc.engine.buckets import Shape
from fastsvc.engine.cuda import early
from fastsvc.engine.cuda.conditions import condition_for
from fastsvc.engine.cuda.graphs import Arena, ArenaSizer, Graphs, settle
from fastsvc.engine.cuda.schedules import FusedSchedule
from fastsvc.kernels import dependent
from fastsvc.kernels.denoiser.network import Denoiser, Level, Tiles
from fastsvc.kernels.denoiser.pack import Packed, pack
from fastsvc.kernels.launch import Launch
from fastsvc.model import process

FLOAT32_PRODUCTS = "tf32x3"  # how float32 is multiplied on tensor cores: three products, about float32's precision


@dataclass(frozen=True)
class Slice:
    """Frames of a recording: what the kernels are told of them. Units and utterance lie on the device already."""

    units: Tensor  # [Tu, U], float32, of the whole recording
    places: Tensor  # [T] int32, rows of units
    scalars: Tensor  # [3, T]: f0_hz, loudness, voiced
    utterance: Tensor  # [H]
    first: int  # absolute frame of the first one
    seed: int = 0

    def __len__(self) -> int:
        return len(self.places)


def packed(tensors: dict[str, Tensor], config: AcousticConfig, dtype: torch.dtype, device) -> Packed:
    """The kernels' weights, of lowered tensors."""
    tensors = condition_for(config).packable(tensors, config)
    low, high = torch.tensor(config.norm.low), torch.tensor(config.norm.high)
    return pack(tensors, low, high, dtype, device)


def without_storage(config: AcousticConfig, levels: int, dtype: torch.dtype) -> Packed:
    """The same on the meta device, for compiling ahead of time."""
    shapes = lowered.shapes(config, levels)
    with torch.device("meta"):
        return packed({name: torch.empty(shape) for name, shape in shapes.items()}, config, dtype, "meta")


def table(config: AcousticConfig, levels: Iterable[float]) -> dict[float, Level]:
    """By noise level: its row of the step vectors and its scalars, as fastsvc/engine/cpu/denoiser.py takes them."""
    found = {}
    for index, level in enumerate(levels):
        scalars = process.coefficients(config, torch.tensor(level, dtype=torch.float32, device="cpu"))
        found[float(level)] = Level(index, *map(float, scalars[:3]))
    return found


class DenoiserProgram:
    """One shape: its buffers, and replays of the work over them."""

    def __init__(
        self, weights: Packed, config: AcousticConfig, levels: dict[float, Level], shape: Shape, arch: int, allocate
    ):
        self.shape, self.levels = shape, levels
        tiles = Tiles.of(weights, shape.batch, shape.frames, arch)
        known = list(levels.values())
        dilations, device, (b, t) = config.denoiser.dilations, weights.conv_weight.device, (shape.batch, shape.frames)
        pdl = dependent.possible(device, arch)
        self.net = Denoiser(weights, dilations, known, b, t, tiles, FLOAT32_PRODUCTS, allocate, pdl)

        def buffer(*sizes: int, dtype=torch.float32) -> Tensor:
            return allocate(*sizes, dtype=dtype, device=device)

        channels = condition_for(config).unit_channels(config)
        self.units, self.places = buffer(b, t, channels), buffer(b, t, dtype=torch.int32)
        self.scalars, self.utterance = buffer(3, b, t), buffer(b, weights.hidden)

    def condition(self) -> list[Launch]:
        return [self.net.project_units(self.units, self.places, self.scalars, self.utterance)]

    def sampling(self, plan: FusedSchedule) -> list[Launch]:
        """From noise (or the mel in ``net.out``) to the mel in ``net.out``."""
        net = copy(self.net)  # over the same buffers
        net.levels = tuple(self.levels[level] for level in plan.levels)
        return net.schedule(plan.updates, spread=plan.spread, carry=plan.carry)

    def evaluation(self, level: float) -> list[Launch]:
        """D of ``net.x`` into ``net.out``."""
        net = copy(self.net)
        net.levels = (self.levels[level],)
        return net.evaluation(0)

    def launches(self, plans: Iterable[FusedSchedule], levels: Iterable[float], conditioned: bool) -> list[Launch]:
        """Everything that this shape may start."""
        found = self.condition() if conditioned else []
        for plan in plans:
            found += self.sampling(plan)
        for level in levels:
            found += self.evaluation(level)
        return found


class Staging:
    """Slices on their way to a program's buffers; what is by frame goes through pinned memory, and nobody waits."""

    def __init__(self, device: torch.device):
        self.device, self.pinned = device, device.type == "cuda"
        self.memory: Tensor | None = None
        self.sent = None

    def send(self, program: DenoiserProgram, slices: list[Slice]) -> None:
        """Fill the static inputs of ``program``; rows without a slice get length 0."""
        net, (batch, frames) = program.net, (program.shape.batch, program.shape.frames)
        self._begin(batch * (16 * frames + 20) + 256)
        lengths, places, seeds = (self._cut((batch,), d) for d in (torch.int32, torch.int64, torch.int64))
        scalars, rows = self._cut((3, batch, frames), torch.float32), self._cut((batch, frames), torch.int32)
        for part in (lengths, places, seeds, scalars, rows):
            part.zero_()
        for i, one in enumerate(slices):
            lengths[i], places[i], seeds[i] = len(one), one.first, signed(one.seed)
            units, where = compact(one.units, one.places, frames)
            scalars[:, i, : len(one)], rows[i, : len(one)] = one.scalars, where
            program.units[i, : len(units)].copy_(units, non_blocking=True)
            program.utterance[i].zero_()
            program.utterance[i, : len(one.utterance)].copy_(one.utterance, non_blocking=True)
        pairs = (net.lengths, lengths), (net.places, places), (net.seeds, seeds)
        for target, source in (*pairs, (program.scalars, scalars), (program.places, rows)):
            target.copy_(source, non_blocking=True)
        if self.pinned:
            self.sent = torch.cuda.current_stream(self.device).record_event()

    def _begin(self, size: int) -> None:
        if self.sent is not None:
            self.sent.synchronize()  # the last copies have left
        if self.memory is None or len(self.memory) < size:
            with torch.inference_mode(False):
                self.memory = torch.empty(size, dtype=torch.uint8, pin_memory=self.pinned)
        self.used = 0

    def _cut(self, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        size = dtype.itemsize * torch.Size(shape).numel()
        start, self.used = self.used, -(-(self.used + size) // 16) * 16
        assert self.memory is not None, "_begin() makes it"
        return self.memory[start : start + size].view(dtype).view(shape)


def compact(units: Tensor, places: Tensor, most: int) -> tuple[Tensor, Tensor]:
    """Only those units that are read, and the places in them; at most ``most`` units."""
    low, high = int(places.min()), int(places.max())
    if high - low < most:
        return units[low : high + 1], places - low
    return units[places.long()], torch.arange(len(places), dtype=torch.int32)


def signed(seed: int) -> int:
    """The 64 bits of a seed as int64 has them."""
    seed &= 2**64 - 1
    return seed - 2**64 if seed >= 2**63 else seed


class DenoiserNetwork:
    """The denoiser on one device: programs made as shapes are met, all in one block of memory."""

    def __init__(
        self,
        weights: Packed,
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
        self.levels, self.launcher, self.graphs = table(config, levels), launcher, graphs
        self.device = weights.conv_weight.device
        self.early = early.asked(self.device, arch)  # may be changed at any time: graphs of both kinds are kept apart
        self.staging = Staging(self.device)
        self.arena: Arena | None
        self.reserved: set[Shape]  # shapes that the arena is known to hold
        self.programs: dict[Shape, DenoiserProgram]
        self.replays: dict[tuple, Callable[[], None]]
        self.release()

    def program(self, shape: Shape) -> DenoiserProgram:
        """The program of a shape. Raises torch.OutOfMemoryError."""
        if shape not in self.programs:
            self.reserve([shape])
            assert self.arena is not None, "reserve() makes it"
            given = self.weights, self.config, self.levels, shape, self.arch
            self.programs[shape] = DenoiserProgram(*given, self.arena.again())
        return self.programs[shape]

    def reserve(self, shapes: list[Shape]) -> None:
        """Memory for the largest of these shapes; if more is needed than there is, programs are made anew."""
        if self.reserved.issuperset(shapes):
            return
        sizes = []
        for shape in shapes:
            sizer = ArenaSizer()
            DenoiserProgram(self.weights, self.config, self.levels, shape, self.arch, sizer)
            sizes.append(sizer.size)
        if self.arena is None or len(self.arena.memory) < max(sizes):
            self.release()
            self.arena = Arena(max(sizes), self.device)
        self.reserved.update(shapes)

    def release(self) -> None:
        """Forget all programs and their memory."""
        settle(self.device)
        self.programs, self.replays, self.arena, self.reserved = {}, {}, None, set()

    def replay(self, shape: Shape, what: tuple, launches: Callable[[DenoiserProgram], list[Launch]]) -> None:
        """Do the launches of a program, through the graph that was captured when they were first asked for."""
        self.prepared(shape, what, launches)()

    def prepared(
        self, shape: Shape, what: tuple, launches: Callable[[DenoiserProgram], list[Launch]]
    ) -> Callable[[], None]:
        """The replay alone. Capturing does the work, too: outputs that are inputs as well must be filled afterwards."""
        key = (shape, *what, self.early)
        if key not in self.replays:
            chain = early.chain(launches(self.program(shape)), self.early)
            bound = [self.launcher.bind(launch) for launch in chain]

            def run() -> None:
                for start in bound:
                    start()

            self.replays[key] = self.graphs.capture(run)
        return self.replays[key]
