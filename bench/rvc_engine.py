"""An engine of a full-size voice of RVC with random weights and an index, to be measured by other programs.

    python -m bench.rvc_engine FOLDER [--voice "v2 40k"] [--vectors 30000] [--precision auto] [--target auto]
    python -m bench.latency FOLDER/rvc.fsvc --device cuda

Ten minutes of audio give 30 000 vectors.
"""

from __future__ import annotations

import os
import sys

if not __package__:  # started as a file: bench/, whose names would hide others, gives way to the folder above it
    here = os.path.dirname(os.path.realpath(__file__))
    sys.path[:] = [os.path.dirname(here), *(path for path in sys.path if path != here)]

import struct
from pathlib import Path

from bench import program
from bench.rvc_voices import SIZES


def write_index(path: Path, channels: int, vectors: int) -> Path:
    """Random vectors in faiss' layout of an IVF-Flat index, as upstream writes it, but sorted by list."""
    import numpy as np

    lists, draw = max(1, round(vectors**0.5)), np.random.default_rng(0)
    sizes = np.bincount(np.arange(vectors) % lists)

    def header(kind: bytes, count: int) -> bytes:
        return kind + struct.pack("<iqqqBi", channels, count, 1 << 20, 1 << 20, 1, 1)

    with path.open("wb") as file:
        file.write(header(b"IwFl", vectors) + struct.pack("<QQ", lists, 1))
        file.write(header(b"IxF2", lists) + struct.pack("<Q", lists * channels))
        file.write(draw.standard_normal((lists, channels), dtype=np.float32).tobytes())
        file.write(b"\0" + struct.pack("<Q", 0) + b"ilar" + struct.pack("<QQ", lists, 4 * channels))
        file.write(b"full" + struct.pack("<Q", lists) + sizes.astype("<u8").tobytes())
        ids = np.arange(vectors, dtype=np.int64)
        for first, size in zip(np.cumsum(sizes) - sizes, sizes):
            file.write(draw.standard_normal((int(size), channels), dtype=np.float32).tobytes())
            file.write(ids[first : first + size].tobytes())
    return path


def main() -> None:
    parser = program.parser(__doc__)
    parser.add_argument("folder", type=program.folder)
    parser.add_argument("--voice", choices=SIZES, default="v2 40k")
    parser.add_argument("--vectors", type=program.whole_number, default=30_000, help="of the index")
    parser.add_argument("--precision", choices=("auto", "fp32", "fp16"), default="auto")
    parser.add_argument("--target", default="auto")
    options = parser.parse_args()
    from bench import rvc_voices

    options.folder.mkdir(parents=True, exist_ok=True)
    channels = rvc_voices.configs(options.voice)[0].unit_channels
    index = write_index(options.folder / "random.index", channels, options.vectors)
    build_options = {"index": index, "precision": options.precision, "target": options.target}
    print(rvc_voices.make(options.folder, options.voice, **build_options))


if __name__ == "__main__":
    program.start(main)
