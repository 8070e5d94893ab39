"""Fetch the recordings of bench/ears.py from Debian's archive: `apt-get download` and `dpkg-deb -x`, nothing installed.

    python -m bench.ears_data [FOLDER]

Needs Debian or a kin of it (Ubuntu), no root. Nothing is fetched twice, nor what `make speech` has fetched already.
docs/ears.md lists the packages, their licences and speakers. The recordings are for tests only: never train on them.
"""

from __future__ import annotations

import os
import sys

if not __package__:  # started as a file: bench/, whose names would hide others, gives way to the folder above it
    here = os.path.dirname(os.path.realpath(__file__))
    sys.path[:] = [os.path.dirname(here), *(path for path in sys.path if path != here)]

import json

from bench import program
from bench.hearing import DATA, LIST
from bench.speech import fetch

ELSEWHERE = ("examples", "moonshine_voice")  # in the repository, in a wheel


def main() -> None:
    """Fetch what is not there yet, and name each package's folder."""
    parser = program.parser(__doc__)
    parser.add_argument("folder", nargs="?", type=program.folder, default=DATA, help="default: %(default)s")
    folder = parser.parse_args().folder
    for package in packages():
        print(fetch.fetch(package, folder), flush=True)


def packages() -> list[str]:
    """Debian's packages that the fixed clips lie in, in their order."""
    entries = json.loads(LIST.read_text(encoding="utf-8"))["clips"]
    return [name for name in dict.fromkeys(entry["package"] for entry in entries) if name not in ELSEWHERE]


if __name__ == "__main__":
    program.start(main)
