"""Compares two folders of results, bit for bit: did a change of the code change the audio?

    make demo && mv out before        # then the change, and
    make demo && python -m bench.same before out

Exit code 0: every recording of the first folder is in the second one and equal.
"""

from __future__ import annotations

import os
import sys

if not __package__:  # started as a file: bench/, whose names would hide others, gives way to the folder above it
    here = os.path.dirname(os.path.realpath(__file__))
    sys.path[:] = [os.path.dirname(here), *(path for path in sys.path if path != here)]

import filecmp
from pathlib import Path

from bench import program

SUFFIXES = {".wav", ".flac", ".mp3", ".ogg"}


def differing(before: Path, after: Path) -> tuple[list[str], int]:
    """(recordings that are missing or differ in ``after``, number of recordings in ``before``)."""
    names = sorted(path.relative_to(before) for path in before.rglob("*") if path.suffix in SUFFIXES)
    same = {name for name in names if (after / name).is_file() and filecmp.cmp(before / name, after / name, False)}
    return [str(name) for name in names if name not in same], len(names)


def main() -> int:
    parser = program.parser(__doc__)
    parser.add_argument("before", type=program.existing, help="results of the older code")
    parser.add_argument("after", type=program.existing, help="results of the newer code")
    options = parser.parse_args()
    others, count = differing(options.before, options.after)
    for name in others:
        print(f"differs: {name}")
    print(f"{count - len(others)} of {count} recordings are the same, bit for bit")
    return 1 if others or not count else 0


if __name__ == "__main__":
    program.start(main)
