"""The rooms of the house: what lives in each, and whom it may import. docs/architecture.md has them as a table.

`python tests/rooms.py` writes that table anew; tests/test_imports.py holds every import against it.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "architecture.md"
BEGIN, END = "<!-- rooms: written by tests/rooms.py -->\n", "<!-- end of rooms -->\n"


class Room(NamedTuple):
    """``uses``: rooms that it may import, besides those of BASE that stand before it."""

    what: str
    uses: str = ""


# Each may import those above it, and every room those that lie on this ground.
BASE = {
    "version": "the version",
    "errors": "errors that name cause and remedy",
    "hush": "C libraries' chatter, kept off the terminal",
    "screen_log": "progress in a log file: whole lines",
    "screen": "all that is printed: streams that stop no work, others' control characters escaped",
    "memory": "how much memory is left to this process; errors that hold none",
    "machine": "what this machine is",
    "faults": "whose an error is: the user's, the machine's or ours",
    "children": "Python, programs and pools of workers, in which nothing of the current folder runs",
    "spelling": "names compared composed (NFC)",
    "file_names": "names of people and songs as names of files",
    "reading": "files of strangers, read within limits and without running code: JSON, YAML, arrays, tensors, pickles",
    "files": "files and folders that appear whole or not at all, leftovers of the dead, locks, hashes",
    "remote": "files by URL, in object stores, through fsspec",
    "config": "frozen dataclasses with checks",
    "arguments": "checks of arguments, with the limits that the command line shares",
    "environment": "the variables of the environment that choose",
}
ROOMS = {
    "audio": Room("decode, encode, resample, slice, join, loudness, mel"),
    "model": Room("**the specification, in plain PyTorch**; everything fast is tested against it", "audio"),
    "features": Room("content encoders, pitch, alignment to mel frames", "audio model"),
    "checkpoints": Room("one reader a format: file → config and named tensors", "model"),
    "artifact": Room("the engine folder: where compiler and engine meet", "model"),
    "kernels": Room("Triton kernels, one operation a file: reference, kernel, tile, run"),
    "engine": Room("the runtime, one folder a device", "audio features model artifact kernels"),
    "build": Room("the compiler's passes", "checkpoints features model artifact kernels engine"),
    "convert": Room("many files through one engine", "audio engine"),
    "data": Room("corpora, and the choir that is synthesised", "audio features model"),
    "training": Room("one loop, one objective a file", "audio features model checkpoints data"),
    "recipe": Room(
        "one command from songs to an engine, and the configurations of the package",
        "audio model artifact engine build data training",
    ),
    "evaluation": Room("metrics, tables, plots", "audio features model checkpoints artifact engine data"),
    "serve": Room(
        "the page in the browser, its API, jobs, and engines in processes of their own",
        "audio features checkpoints artifact engine build convert",
    ),
    "commands": Room(
        "the command line, without logic; text for people",
        "audio features checkpoints artifact engine build convert data training recipe evaluation serve",
    ),
    "cli": Room("which command is meant", "commands"),
    "__main__": Room("`python -m fastsvc`", "cli"),
    "fastsvc": Room("`fastsvc.load`: the only arrows back up", "artifact engine"),
}
# What the compiler knows of the engine: the backend that it verifies and measures, what a GPU will start, who is asked.
COMPILER_USES = (
    "cpu.",
    "cuda.launch_plan",
    "cuda.launcher",
    "cuda.selfcheck",
    "tensorrt.",
    "buckets",
    "margins",
    "speakers",
)


def may_import(room: str) -> set[str]:
    """The rooms that ``room`` may import; itself is not among them."""
    ground = list(BASE)
    if room in BASE:
        return set(ground[: ground.index(room)])
    return {*ground, *ROOMS[room].uses.split()}


def where(room: str) -> str:
    """Its folder or file, for people."""
    if room == "fastsvc":
        return "fastsvc/\\_\\_init\\_\\_.py"
    if room in ("kernels", "build"):
        return f"{room}/"
    return f"fastsvc/{room}/" if (ROOT / "fastsvc" / room).is_dir() else f"fastsvc/{room}.py"


def table() -> str:
    """The table of docs/architecture.md."""
    rows = ["| room | what lives there | may import |", "|---|---|---|"]
    rows += [f"| {where(name)} | {what} | those above |" for name, what in BASE.items()]
    rows += [f"| {where(name)} | {room.what} | {room.uses.replace(' ', ', ')} |" for name, room in ROOMS.items()]
    return "\n".join(rows).replace("__main__", "\\_\\_main\\_\\_") + "\n"


def written(page: str) -> str:
    """The page with the table in its place."""
    before, _, rest = page.partition(BEGIN)
    return before + BEGIN + table() + END + rest.partition(END)[2]


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
