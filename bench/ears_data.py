"""Fetch the recordings of bench/ears.py from Debian's archive: `apt-get download` and `dpkg-deb -x`, nothing installed.

    python -m bench.ears_data [FOLDER]

Needs Debian or a kin of it (Ubuntu), no root. Nothing is fetched twice. docs/ears.md lists the packages, their
licences and speakers. The recordings are for tests only: never train on them.
"""

from __future__ import annotations

import os
import sys

if not __package__:  # started as a file: bench/, whose names would hide others, gives way to the folder above it
    here = os.path.dirname(os.path.realpath(__file__))
    sys.path[:] = [os.path.dirname(here), *(path for path in sys.path if path != here)]

import json
import shutil
import subprocess
import tempfile
from pathlib import Path

from bench import program
from bench.hearing import DATA, LIST
from fastsvc.errors import ResourceError

ELSEWHERE = ("examples", "moonshine_voice")  # in the repository, in a wheel


def main() -> None:
    """Fetch what is not there yet, and name each package's folder."""
    parser = program.parser(__doc__)
    parser.add_argument("folder", nargs="?", type=program.folder, default=DATA, help="default: %(default)s")
    folder = parser.parse_args().folder
    for tool in ("apt-get", "dpkg-deb"):
        if shutil.which(tool) is None:
            raise ResourceError(f"there is no {tool}", "fetch the recordings on Debian or Ubuntu and copy the folder")
    folder.mkdir(parents=True, exist_ok=True)
    for package in packages():
        if not (folder / package).is_dir():
            fetch(package, folder)
        print(folder / package)


def packages() -> list[str]:
    """Debian's packages that the fixed clips lie in, in their order."""
    entries = json.loads(LIST.read_text(encoding="utf-8"))["clips"]
    return [name for name in dict.fromkeys(entry["package"] for entry in entries) if name not in ELSEWHERE]


def fetch(package: str, folder: Path) -> None:
    """Download and unpack one package to folder/package, whole or not at all. Raises ResourceError."""
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        _run("apt-get", "download", package, folder=scratch)
        (archive,) = Path(scratch).glob("*.deb")
        _run("dpkg-deb", "-x", archive.name, "content", folder=scratch)
        os.replace(Path(scratch) / "content", folder / package)


def _run(*command: str, folder: str) -> None:
    try:
        subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    except subprocess.CalledProcessError as error:
        why = (error.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise ResourceError(f"{' '.join(command)}: {why}", "check the network, and run: apt-get update") from error


if __name__ == "__main__":
    program.start(main)
