"""The page of what each kernel takes: bench/results/kernels.md."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

from fastsvc import files

PAGE = Path(__file__).resolve().parents[2] / "bench" / "results" / "kernels.md"
ABOUT = """# What each kernel takes

Written by `python -m fastsvc.build.cubins.resources --check` with Triton {triton} and its own ptxas.

C 512, H 256, 20 layers, M 80, 768 unit channels, one sequence; 94 frames are half a second, 1875 ten seconds.
Registers and stack are a thread's, in 32-bit registers and bytes, by `cuobjdump -res-usage`; a stack of 0 means that
nothing spills. The vocoder's rows are the m4 size, 512 initial channels and rates 8·4·2·2, by channels out, with 11
taps where there is a choice.
"""
TITLES = "| | kernel | type | frames | block | warps | stages | registers | shared bytes | stack | products by |"


def write(lines: list[str], keep: bool = False) -> None:
    """Write the page; ``keep``: with the rows that it has, but for those of the same architecture, kernel, type and
    frames."""
    if keep:
        lines = merged(PAGE.read_text(encoding="utf-8"), lines)
    table = "\n".join([TITLES, "|" + "---|" * 11, *lines])
    files.write_text(PAGE, f"{ABOUT.format(triton=metadata.version('triton'))}\n{table}\n")


def merged(text: str, lines: list[str]) -> list[str]:
    """The rows of a page with ``lines`` in place of those of the same architecture, kernel, type and frames."""
    new = {tuple(line.split("|")[1:5]): line for line in lines}
    rows = [line for line in text.splitlines() if line.startswith("| sm_")]
    return [new.get(tuple(line.split("|")[1:5]), line) for line in rows]
