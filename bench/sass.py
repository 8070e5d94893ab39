"""Instructions of each compiled kernel, counted in its machine code (SASS), for the estimates of bench/roofline.py.

    python bench/sass.py [--only gated_conv] [--arch 90]

Compiles the kernels of bench/results/kernels.md ahead of time, disassembles them with Triton's own cuobjdump and writes
bench/results/sass.json: instructions by kind within the loops that multiply, and outside of them. No GPU is needed.
"""

from __future__ import annotations

import os
import sys

if not __package__:  # started as a file: bench/, whose names would hide others, gives way to the folder above it
    here = os.path.dirname(os.path.realpath(__file__))
    sys.path[:] = [os.path.dirname(here), *(path for path in sys.path if path != here)]

import json
import re
import subprocess
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from bench import program

COUNTS = Path(__file__).parent / "results" / "sass.json"
LINE = re.compile(r"/\*([0-9a-f]{4,})\*/\s+(@!?U?P\w+ )?\s*([A-Za-z0-9_.]+)\s*(.*?);")
TARGET = re.compile(r"0x([0-9a-f]+)\s*$")
ADDS, SHARED = "multiply-adds", "shared bytes"
# What an instruction is counted as, by the beginning of its name; the first that fits.
KINDS = {
    "products": ("HGMMA", "HMMA", "QGMMA", "UTCHMMA", "UTCQMMA"),
    "copies": ("LDGSTS", "UTMALDG", "UBLKCP"),
    "barriers": ("BAR", "DEPBAR", "LDGDEPBAR", "MEMBAR", "WARPGROUP", "SYNCS", "WARPSYNC", "UTCBAR", "FENCE"),
    "shared": ("LDSM", "LDS", "STSM", "STS", "LDTM", "STTM"),
    "global": ("LDG", "STG", "LD.", "ST.", "ATOM", "RED"),
    "special": ("MUFU",),
}


@dataclass(frozen=True)
class Instruction:
    address: int
    name: str
    rest: str
    conditional: bool
    target: int | None  # of a branch


@dataclass(frozen=True)
class Code:
    """Counts of one warp's instructions by kind: ``loops`` once through each loop that multiplies, ``outside`` the
    rest. Beside them, of the whole program: ADDS, the multiply-adds of these products, and SHARED, the bytes that all
    of it reads and writes in the multiprocessor's memory. Code without products has all its loops in ``loops``."""

    loops: dict[str, float]
    outside: dict[str, float]

    def executed(self, multiply_adds: float, turns: float = 0.0) -> dict[str, float]:
        """What a program executes that does that many multiply-adds; without products its loops turn ``turns`` times.
        Of branches both ways count."""
        if self.loops.get(ADDS):
            turns = max(0.0, multiply_adds - self.outside.get(ADDS, 0.0)) / self.loops[ADDS]
        kinds = self.loops.keys() | self.outside.keys()
        return {k: self.outside.get(k, 0) + turns * self.loops.get(k, 0) for k in sorted(kinds)}


def parse(text: str) -> list[Instruction]:
    """The instructions of cuobjdump's text, without the padding behind them."""
    code = []
    for match in LINE.finditer(text):
        address, predicate, name, rest = match.groups()
        target = TARGET.search(rest) if name.startswith("BRA") else None
        conditional = bool(predicate) or name.startswith("BRA.U")
        name = "NEVER" if predicate == "@!PT " else name  # takes a turn, does nothing
        code.append(Instruction(int(address, 16), name, rest, conditional, int(target[1], 16) if target else None))
    while code and code[-1].name == "NOP":
        code.pop()
    return code


def loops(code: list[Instruction]) -> list[tuple[int, int]]:
    """(first, last address) of the innermost loops with products; of all innermost loops where nothing multiplies. A
    loop ends in a conditional branch: unconditional ones lead back from waits that lie behind the code."""
    multiplying = [i.address for i in code if kind(i.name) == "products"]
    found = [(i.target, i.address) for i in code if i.conditional and i.target is not None and i.target < i.address]
    if multiplying:
        found = [(a, b) for a, b in found if any(a <= at <= b for at in multiplying)]
    return [(a, b) for a, b in found if not any((c, d) != (a, b) and a <= c and d <= b for c, d in found)]


def kind(name: str) -> str:
    return next((k for k, starts in KINDS.items() if name.startswith(starts)), "other")


def count(text: str, warps: int, rows: int, columns: int, width: int) -> Code:
    """The counts of one kernel; rows and columns of its block stand for those of products whose name has no shape."""
    code = parse(text)
    spans = loops(code)
    loop, outside = Counter(), Counter()
    for instruction in code:
        place = loop if any(a <= instruction.address <= b for a, b in spans) else outside
        group = kind(instruction.name)
        place[group] += 1
        if group == "products":
            adds, operands = product(instruction, warps, rows, columns, width)
            place[ADDS] += adds
            place[SHARED] += operands
        elif group in ("copies", "shared"):
            place[SHARED] += accessed(instruction.name) * warps
    return Code(dict(loop), dict(outside))


def accessed(name: str) -> int:
    """Bytes of a multiprocessor's memory that a warp's instruction reads and writes. A copy that does not pass by the
    L1 cache goes through it: it is read there and written to its place."""
    parts = name.split(".")
    if name.startswith(("LDSM", "STSM")):  # of 8 × 8 matrices of two bytes: LDSM.16.MT88.4
        return 128 * (int(parts[-1]) if parts[-1] in "24" else 1)
    size = 512 if "128" in parts else 256 if "64" in parts else 128
    return 2 * size if parts[0] == "LDGSTS" and "BYPASS" not in parts else size


def product(instruction: Instruction, warps: int, rows: int, columns: int, width: int) -> tuple[float, float]:
    """(multiply-adds, bytes read from shared memory) of a program whose warps all come to a product."""
    name = instruction.name
    if name.startswith("HMMA"):  # one warp's, from registers: HMMA.16816.F32, HMMA.1688.F32.TF32
        shape = name.split(".")[1]
        return int(shape[:2]) * int(shape[2]) * int(shape[3:]) * warps, 0
    if name.startswith("HGMMA"):  # one warpgroup's: HGMMA.64x128x16.F32; its rows may come from registers
        m, n, k = map(int, name.split(".")[1].split("x"))
        groups, stored = warps / 4, 0 if re.match(r"R\d+, R\d+,", instruction.rest) else m
    else:  # one thread's of sm_100, for all rows that one product may have
        m, n, k, groups = min(rows, 128), columns, 32 // width, 1
        stored = 0 if instruction.rest.startswith("tmem") else m
    return m * n * k * groups, (stored + n) * k * width * groups


def disassembled(cubin: bytes) -> str:
    """The SASS as text, by the cuobjdump in Triton's wheel."""
    import triton.backends.nvidia

    tool = Path(triton.backends.nvidia.__file__).parent / "bin" / "cuobjdump"
    with TemporaryDirectory() as folder:
        path = Path(folder) / "kernel.cubin"
        path.write_bytes(cubin)
        return subprocess.run([tool, "-sass", path], capture_output=True, text=True, check=True).stdout


def of_kernel(launch, cubin) -> Code:
    """The counts of a launch of fastsvc.kernels that was compiled to ``cubin``."""
    k = launch.constants
    width = {"*fp32": 4}.get(dict(cubin.parameters).get("weight") or dict(cubin.parameters).get("inner", ""), 2)
    columns = k.get("COLUMNS", k.get("C", 0))
    return count(disassembled(cubin.code), cubin.warps, k.get("ROWS", 0), columns, width)


def load() -> dict[str, Code]:
    """{cells of a row of bench/results/kernels.md: its counts}; nothing where none have been written."""
    if not COUNTS.exists():
        return {}
    rows = json.loads(COUNTS.read_text(encoding="utf-8"))["kernels"]
    return {cells: Code(row["loops"], row["outside"]) for cells, row in rows.items()}


def save(codes: dict[str, Code], triton: str) -> None:
    from fastsvc import files

    rows = {cells: {"loops": code.loops, "outside": code.outside} for cells, code in codes.items()}
    lines = ",\n".join(f"  {json.dumps(key, ensure_ascii=False)}: {json.dumps(row)}" for key, row in rows.items())
    files.write_text(
        COUNTS, f'{{"command": "python bench/sass.py", "triton": "{triton}", "kernels": {{\n{lines}\n}}}}\n'
    )


def main() -> None:
    from importlib import metadata

    parser = program.parser(__doc__)
    parser.add_argument("--only", nargs="*", help="operations, such as head conv; the file's other rows stay")
    parser.add_argument("--arch", type=program.whole_number, nargs="*", help="90 for sm_90 (default: all six)")
    parser.add_argument("--processes", type=program.whole_number, default=2)
    options = parser.parse_args()
    from fastsvc.build.cubins import compiler, resources

    cases = resources.table_cases(options.arch or resources.ARCHITECTURES)
    cases = [case for case in cases if not options.only or case[0].split()[0] in options.only]
    cubins = compiler.compile_kernels([(launch.spec(), arch) for *_, launch, arch in cases], options.processes)
    kept = load() if options.only or options.arch else {}
    new = {resources.tile_cells(*case): of_kernel(case[3], cubin) for case, cubin in zip(cases, cubins)}
    save({**kept, **new}, metadata.version("triton"))
    print(f"{COUNTS}: {len(new)} kernels")


if __name__ == "__main__":
    program.start(main)
