"""Many clients of one `fastsvc serve` at once: whether a job is lost, how long each waits, and whether memory grows.

python -m bench.serve [MODEL.fsvc] [--json bench/results/serve.json] [--clients 50] [--jobs 500] [--seconds 1]
    [--voice slt]

Each client sends a recording, follows its job's events, fetches the result and begins again until all jobs are done.
The result must be that of `fastsvc convert`, bit for bit. The clients run on the server's processors. Beside them
another client asks for the voices ten times a second, as a page does: its wait shows whether the server answers while
it works.
Needs the extras web and test.
"""

from __future__ import annotations

import os
import sys

if not __package__:  # started as a file: bench/, whose names would hide others, gives way to the folder above it
    here = os.path.dirname(os.path.realpath(__file__))
    sys.path[:] = [os.path.dirname(here), *(path for path in sys.path if path != here)]

import subprocess
import tempfile
from pathlib import Path

from bench import circumstances, program
from fastsvc.artifact import bundled

ROOT = Path(__file__).resolve().parent.parent
SONG = ROOT / "examples" / "recordings" / "singing" / "viktor.wav"
RECORDINGS = 10  # different ones
PACKAGES = "fastapi", "starlette", "uvicorn", "httpx"


def recordings(folder: Path, seconds: float) -> list[Path]:
    """Parts of a song, of ``seconds`` each."""
    import numpy as np
    import soundfile

    audio, rate_hz = soundfile.read(SONG, dtype="float32")
    size = round(seconds * rate_hz)
    audio = np.tile(audio, -(-(size + len(audio)) // len(audio)))
    paths = [folder / f"{number}.wav" for number in range(RECORDINGS)]
    for number, path in enumerate(paths):
        start = number * rate_hz // 2
        soundfile.write(path, audio[start : start + size], rate_hz)
    return paths


def converted(paths: list[Path], model: Path, voice: str, out: Path) -> dict[str, bytes]:
    """What the command line makes of them: name → bytes."""
    command = [sys.executable, "-m", "fastsvc", "convert", *paths, "-m", model, "--spk", voice, "-o", out, "-q"]
    subprocess.run(list(map(str, command)), check=True, cwd=ROOT)
    return {path.name: (out / path.name).read_bytes() for path in paths}


def measured(result: dict, options) -> dict:
    """Start a server, let the clients work, stop it; the figures."""
    from bench import serve_load

    with tempfile.TemporaryDirectory() as folder:
        paths = recordings(Path(folder), options.seconds)
        wanted = converted(paths, options.model, options.voice, Path(folder) / "out")
        with serve_load.server(options.model, Path(folder) / "home") as (url, process):
            files = {path.name: path.read_bytes() for path in paths}
            load = serve_load.Load(url, options.model.stem, options.voice, files, wanted, options.jobs)
            result |= load.run(options.clients, process.pid)
        result["exit_code"] = process.returncode
    return result


def table(result: dict) -> str:
    """The figures as docs/serve.md shows them."""
    wait, accept, voices = (result[name] for name in ("wait_s", "accept_ms", "voices_ms"))
    memory = result["resident_mb"]
    rows = [
        (
            "jobs done, lost, with other bytes than `fastsvc convert`",
            f"{result['done']}, {result['lost']}, {result['wrong']}",
        ),
        ("from sending to the result", f"p50 {wait['p50']:g} s, p99 {wait['p99']:g} s"),
        ("until a job is accepted", f"p50 {accept['p50']:g} ms, p99 {accept['p99']:g} ms"),
        ("list of voices, asked meanwhile", f"p50 {voices['p50']:g} ms, p99 {voices['p99']:g} ms"),
        ("jobs a second", f"{result['jobs_a_second']:g}"),
        *(
            (
                f"memory of the {name}, MiB, after a fifth of the jobs and at the end",
                f"{one['after_a_fifth']:g}, {one['at_the_end']:g}",
            )
            for name, one in memory.items()
        ),
    ]
    return "".join(f"| {what} | {value} |\n" for what, value in [("", ""), ("---", "---"), *rows]).replace(
        "| --- | --- |", "|---|---|"
    )


def main() -> int:
    parser = program.parser(__doc__)
    parser.add_argument("model", nargs="?", type=program.existing, default=bundled.VOICES)
    parser.add_argument("--json", type=program.result)
    parser.add_argument("--clients", type=program.whole_number, default=50)
    parser.add_argument("--jobs", type=program.whole_number, default=500)
    parser.add_argument("--seconds", type=program.length, default=1.0, help="of each recording")
    parser.add_argument("--voice", default="slt")
    options = parser.parse_args()

    import importlib.metadata

    import torch

    result = circumstances.describe("python -m bench.serve", torch.device("cpu"))
    result["versions"] |= {name: importlib.metadata.version(name) for name in PACKAGES}
    result |= {"engine": options.model.name, "voice": options.voice, "clients": options.clients, "jobs": options.jobs}
    result["seconds_of_each"] = options.seconds
    measured(result, options)
    for name in ("done", "lost", "wrong", "refused", "wall_s", "jobs_a_second", "wait_s", "accept_ms", "voices_ms"):
        print(f"{name}: {result[name]}")
    print(f"memory: {result['resident_mb']}")
    circumstances.keep(result, options.json)
    return 1 if result["lost"] or result["wrong"] or result["exit_code"] else 0


if __name__ == "__main__":
    program.start(main)
