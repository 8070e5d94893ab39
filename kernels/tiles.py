"""Block sizes: the limits of a device, the needs of a block of a matrix product, and the block that costs least.

Everything is arithmetic on shapes, so the result is the same on every machine and can be tested without a GPU. The
cost is a model of one multiprocessor: each step along K takes as long as multiplying or loading, whichever is longer.
Its rates are published ones of such GPUs; it has not been fitted to measurements of these kernels.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

KIB = 1024
# Shared memory that one block may use, and 32-bit registers of one thread (CUDA programming guide, table of
# technical specifications by compute capability).
SHARED_BYTES = {
    80: 163 * KIB,
    86: 99 * KIB,
    87: 163 * KIB,
    89: 99 * KIB,
    90: 227 * KIB,
    100: 227 * KIB,
    103: 227 * KIB,
    120: 99 * KIB,
    121: 99 * KIB,
}
OLDEST = min(SHARED_BYTES)  # the oldest architecture that our kernels run on; every check uses this constant
REGISTERS = 255
# Multiprocessors of one usual device: A100, RTX 3090, Orin, RTX 4090, H100 SXM, B200, B300, RTX 5090, GB10.
PROCESSORS = {80: 108, 86: 82, 87: 16, 89: 128, 90: 132, 100: 148, 103: 148, 120: 170, 121: 48}
# Multiply-adds a cycle and multiprocessor in 16 bits.
TENSOR_RATE = {80: 1024, 86: 512, 87: 1024, 89: 512, 90: 2048, 100: 4096, 103: 4096, 120: 512, 121: 512}
# Bytes a cycle that a multiprocessor reads from the L2 cache while all of them do, by published microbenchmarks: A100
# 35.5 (5400 GB/s), A40 16.7 (2430), L40 14.7 (5200; github.com/te42kyfo/gpu-benches, gpu-l2-cache and gpu-cache), RTX
# 4090 15.2 (1946 a cycle; github.com/smallscientist1/cuda_microbenchmark, which has 35.6 of an A100), H100 28 to 30,
# RTX PRO 6000 Blackwell 16 to 18 (8.7 TB/s; chipsandcheese.com/p/blackwell-nvidias-massive-gpu). None was found of a
# B200.
L2_BYTES = {80: 35, 86: 17, 89: 15, 90: 30, 120: 17}
# (architecture, bytes an element) of which blocks are chosen by that rate; elsewhere as if each multiprocessor had all
# that it can take, LOAD_BYTES. On sm_80 what would change is within what the estimates of bench/kernel_time.py may be
# off by; blocks of float32, of three products each, are bound by these.
BY_TRAFFIC = {(86, 2), (89, 2), (90, 2), (90, 4), (120, 2)}
OPERAND_PASSES = 3  # of an operand through shared memory, 128 bytes a cycle: in once, and out to two warps
# Limit of a block's accumulators: 128 registers a thread where operands stay in shared memory, else half as many.
AREA = {arch: 128 * (256 if arch in (90, 100, 103) else 128) for arch in SHARED_BYTES}
LOAD_BYTES = 64  # a cycle: what one multiprocessor can read from the L2 cache, and copy into its shared memory
STEP_CYCLES = 100  # of one step along K that neither multiplies nor loads much
PROGRAM_CYCLES = 1500  # of filling the pipeline and of the epilogue's latency
EPILOGUE_BYTES = 8  # read and written per output element, about


@dataclass(frozen=True)
class Tile:
    """A block of a matrix product: rows × columns of accumulators, ``depth`` along K, warps, pipeline stages.

    ``splits``: how many programs share one block's K. ``registers`` of a thread, where ptxas' own choice spills.
    """

    rows: int
    columns: int
    depth: int
    warps: int
    stages: int
    splits: int = 1
    registers: int | None = None

    def shared_bytes(self, width: int) -> int:
        """Operands of all stages, at ``width`` bytes an element."""
        return self.stages * (self.rows + self.columns) * self.depth * width

    @property
    def accumulator_registers(self) -> int:
        """Of one thread."""
        return self.rows * self.columns // (32 * self.warps)

    def divides(self, columns: int, depth: int) -> bool:
        """Whether a product of ``columns`` and ``depth`` consists of whole blocks; rows may be cut anywhere."""
        return columns % self.columns == 0 and depth % (self.depth * self.splits) == 0

    def check(self, columns: int, depth: int) -> None:
        """Raises ValueError where :meth:`divides` does not hold: kernels would skip the remainder."""
        if not self.divides(columns, depth):
            raise ValueError(f"{self} does not divide {columns} columns of depth {depth}")


def architecture(number: int) -> int:
    """The tabulated architecture for sm_``number``: 90 for 90; the nearest older one for newer ones without a row."""
    why = too_old(number)
    if why:
        raise ValueError(why)
    return max(arch for arch in SHARED_BYTES if arch <= number)


def too_old(number: int) -> str | None:
    """The reason why GPUs of this architecture cannot be used; None if they can. Whoever refuses one says this."""
    return f"the GPU is sm_{number}, the kernels need sm_{OLDEST} or newer" if number < OLDEST else None


def power_of_two(count: int) -> int:
    """The least power of two that is at least count, and at least 16 (the narrowest product of tensor cores)."""
    return max(16, 1 << (count - 1).bit_length())


def cache_rate(programs: int, arch: int, width: int, processors: int | None = None) -> float:
    """Bytes a cycle that each of the multiprocessors with work reads from the L2 cache: a share of what it gives to all
    of them, but at most :data:`LOAD_BYTES`."""
    arch = architecture(arch)
    processors = processors or PROCESSORS[arch]
    rate = L2_BYTES[arch] if (arch, width) in BY_TRAFFIC else LOAD_BYTES
    return min(LOAD_BYTES, rate * processors / max(1, min(programs, processors)))


def cost(
    tile: Tile,
    rows: int,
    columns: int,
    depth: int,
    width: int,
    arch: int,
    processors: int | None = None,
    fresh: float = 1.0,
    reuse_rows: int = 0,
) -> float:
    """Cycles of [rows, depth] @ [depth, columns] in blocks of ``tile``, at ``width`` bytes an element.

    ``fresh``: the share of a block's rows that is read from the L2 cache; the rest is in the multiprocessor's own, of
    blocks of at least ``reuse_rows``.
    """
    arch = architecture(arch)
    processors = processors or PROCESSORS[arch]
    programs = -(-rows // tile.rows) * -(-columns // tile.columns) * tile.splits
    waves = -(-programs // processors)
    rate = TENSOR_RATE[arch] * 2 / width
    multiply = tile.rows * tile.columns * tile.depth / rate
    from_cache = cache_rate(programs, arch, width, processors)
    fresh = fresh if tile.rows >= reuse_rows else 1.0
    load = (fresh * tile.rows + tile.columns) * tile.depth * width / from_cache
    copy = (tile.rows + tile.columns) * tile.depth * width / LOAD_BYTES
    if (arch, width) in BY_TRAFFIC:
        copy *= OPERAND_PASSES / 2
    steps = -(-depth // (tile.depth * tile.splits))
    epilogue = tile.rows * tile.columns * EPILOGUE_BYTES / from_cache
    return waves * (PROGRAM_CYCLES + steps * max(multiply, load, copy, STEP_CYCLES) + epilogue)


@lru_cache(maxsize=1024)
def choose(
    rows: int,
    columns: int,
    depth: int,
    width: int,
    arch: int,
    processors: int | None = None,
    *,
    narrowest: int = 16,
    widest: int = 128,
    splits: tuple[int, ...] = (1,),
    fresh: float = 1.0,
    reuse_rows: int = 0,
) -> Tile:
    """The cheapest tile of a matrix product that fits the device; columns and depth must divide by the tile's.

    ``width``: bytes an element. ``narrowest``, ``widest``: columns that a tile may have. ``fresh`` and
    ``reuse_rows``: as in :func:`cost`.
    """
    arch = architecture(arch)
    fitting = [
        tile
        for tile in _candidates(width, arch, splits)
        if tile.divides(columns, depth) and narrowest <= tile.columns <= widest
    ]
    if not fitting:
        raise ValueError(f"no tile for {columns} columns and depth {depth}")
    product = rows, columns, depth, width, arch, processors, fresh, reuse_rows
    return min(fitting, key=lambda t: (cost(t, *product), -t.rows * t.columns))


def _candidates(width: int, arch: int, splits: tuple[int, ...]):
    for rows in (16, 32, 64, 128):
        for columns in (16, 32, 64, 128, 256):
            for split in splits if columns <= 2 * rows else ():  # flat blocks load much for what they multiply
                tile = sized(rows, columns, width, arch, split)
                if tile is not None:
                    yield tile


def sized(rows: int, columns: int, width: int, arch: int, splits: int = 1) -> Tile | None:
    """Warps, depth and stages of a block of rows × columns; None if it does not fit the device."""
    area = rows * columns
    if area > (AREA[arch] if width == 2 else 128 * 64):
        return None
    warps = 8 if area >= (128 * 128 if width == 2 else 32 * 32) else 4
    depth = 64 if width == 2 else 32
    limit = SHARED_BYTES[arch]
    for stages in (4, 3, 2):
        tile = Tile(rows, columns, depth, warps, stages, splits)
        if tile.shared_bytes(width) <= limit - 3 * KIB:
            return tile if tile.accumulator_registers <= REGISTERS // 2 + 1 else None
    return None
