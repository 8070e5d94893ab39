"""`make demo`: every recording of a folder with a few voices, a picture beside each result, and a table.

python -m bench.demo --input examples/recordings --out out [--model MODEL.fsvc] [--voices ada,bruno]
"""

from __future__ import annotations

import os
import sys

if not __package__:  # started as a file: bench/, whose names would hide others, gives way to the folder above it
    here = os.path.dirname(os.path.realpath(__file__))
    sys.path[:] = [os.path.dirname(here), *(path for path in sys.path if path != here)]

import argparse
import contextlib
import math
import time
from collections.abc import Sequence
from pathlib import Path

from bench import program
from fastsvc import faults, file_names, files, screen
from fastsvc.errors import FastsvcError

VOICES = 3  # at most
AUDIO_SECONDS = 110.0  # for all voices together: at a real-time factor of 0.35 the demo stays below a minute


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code. 0: all converted; 1: some failed, and are named; 70: a fault of ours."""
    with screen.steady():
        options = _options(arguments)
        try:
            return run(options.input, options.out, options.model, options.voices, options.steps)
        except KeyboardInterrupt:
            print("demo: stopped; finished results stay", file=sys.stderr)
            return 130
        except Exception as error:
            print(f"demo: {screen.shown(faults.line_with_report(error))}", file=sys.stderr)
            return 1 if faults.user_error(error) else faults.EXIT


def _options(arguments):
    parser = argparse.ArgumentParser(prog="python -m bench.demo", description=__doc__.split("\n")[0])
    parser.add_argument("--input", default="examples/recordings", help="folder of recordings (default: %(default)s)")
    parser.add_argument("--out", default="out", help="folder for sound, pictures and table (default: %(default)s)")
    parser.add_argument("--model", help="engine folder (default: as `fastsvc convert` chooses)")
    parser.add_argument("--voices", help="names, with commas between (default: a few from low to high)")
    parser.add_argument("--steps", type=int, help="sampling steps (default: the fewest that the engine has)")
    return parser.parse_args(arguments)


def run(folder, out, model: str | None = None, voices: str | None = None, steps: int | None = None) -> int:
    """Convert, draw and print; ``voices`` are names with commas between. Returns the exit status."""
    start = time.perf_counter()
    from fastsvc.commands.choose import choose_model
    from fastsvc.convert import batch
    from fastsvc.convert.plan import plan
    from fastsvc.engine import Engine, Request

    folder, out = Path(folder), Path(out)
    path, why = choose_model(model)
    engine = Engine.open(path, precision="built")
    names = pick(engine, voices, _affordable(folder))
    steps = steps or engine.steps[0]
    batch.check_output_folder(out)
    summary = f"{path.name} ({why}), {len(engine.speakers)} voices; here: {', '.join(names)}; {_steps(steps)}"
    print(screen.shown(summary))
    rows, failures = [], []
    for name, tag in zip(names, file_names.safe_tags(names)):
        planned = plan([folder], out / tag)
        request = Request(name, steps=steps, transpose=_transpose(engine, name))
        settings = batch.ConversionSettings(request, name=name, overwrite=True)
        report = batch.run(engine, planned, settings, on_entry=lambda report, entry: _print_entry(entry))
        if report.interrupted:
            raise KeyboardInterrupt
        rows += [_draw(entry, name) for entry in report.entries if entry.status == batch.DONE]
        failures += report.failures
    rows.sort(key=lambda row: row.file)
    _finish(out, folder, rows, failures, time.perf_counter() - start)
    return 1 if failures or not rows else 0


def pick(engine, voices: str | None, count: int = VOICES) -> list[str]:
    """The named voices, or a few from low to high by their median pitch. Raises SpeakerError."""
    if voices:
        return [engine.table.name(name.strip()) for name in voices.split(",") if name.strip()]
    names, f0_hz = list(engine.speakers), engine.table.f0_hz
    if len(names) <= count:
        return names
    if len(f0_hz) == len(names):
        names = [name for _, name in sorted(zip(f0_hz, names))]
    # Not the extremes: with two voices the quarter points, which are closer to the middle than lowest and highest.
    return [names[int((i + 0.5) * len(names) / count)] for i in range(count)]


def _affordable(folder: Path) -> int:
    """How many voices fit into the time of a demo, for all recordings."""
    from fastsvc.audio import io
    from fastsvc.files.tree import files_below

    seconds = 0.0
    for path in files_below(folder):
        if path.suffix.lower() in io.EXTENSIONS:
            with contextlib.suppress(FastsvcError):  # the conversion will name it
                seconds += io.probe(path).seconds
    return max(1, min(VOICES, int(AUDIO_SECONDS / max(seconds, 1e-3))))


def _transpose(engine, name: str):
    """ "auto" where the range of the voice is known, else 0."""
    return "auto" if engine.table.median_f0_hz(engine.table.weights(name)) else 0


def _steps(steps: int) -> str:
    return "one step" if steps == 1 else f"{steps} steps"


def _print_entry(entry) -> None:
    if entry.reason:
        print(screen.shown(f"  {entry.input}: {entry.reason}"))
        return
    factor = entry.timings_s["convert"] / entry.seconds if entry.seconds else 0.0
    line = f"  {entry.input} → {entry.output}  {entry.seconds:.1f} s, real-time factor {factor:.2f}"
    print(screen.shown(line), flush=True)


def _draw(entry, name: str):
    """The picture beside the result, and the row of the table."""
    from fastsvc.audio import io
    from fastsvc.audio.resample import resample
    from fastsvc.evaluation import pictures, pitch

    source, target = Path(entry.input), Path(entry.output)
    before, rate_in_hz = io.read(source, mono=True)
    after, rate_hz = io.read(target, mono=True)
    before, after = resample(before[0], rate_in_hz, rate_hz), after[0]
    tracks = [pictures.pitch_of(audio, rate_hz) for audio in (before, after)]
    pictures.before_after(
        target.with_suffix(".png"),
        before,
        after,
        rate_hz,
        f"{source.name} with the voice of {name}",
        transpose=entry.transpose,
        before="before",
        after=f"after: {name}",
        pitch_in=tracks[0],
        pitch_out=tracks[1],
    )
    frames = min(len(f0_hz) for f0_hz, _ in tracks)
    cut = [tuple(part[:frames] for part in track) for track in tracks]
    return pictures.ConversionRow(
        file=source.name,
        seconds=entry.seconds,
        voice=name,
        transpose=entry.transpose,
        f0_before_hz=pitch.median_hz(*tracks[0]),
        f0_after_hz=pitch.median_hz(*tracks[1]),
        fpc=pitch.fpc_voiced(*cut[1], *cut[0]),
        rtf=entry.timings_s["convert"] / entry.seconds if entry.seconds else math.nan,
    )


def _finish(out: Path, folder: Path, rows, failures, seconds: float) -> None:
    from fastsvc.evaluation import machine, pictures

    table = pictures.file_table(rows)
    about = (
        "f0: medians of the voiced frames. FPC: correlation of log f0 before and after, in the frames voiced in both."
        f"\nRTF: time of conversion by length, on {machine.hardware()}."
    )
    if rows:
        files.write_text(out / "table.md", f"{table}\n\n{about}\n")
        print(f"\n{table}\n\n{about}")
    for entry in failures:
        print(screen.shown(f"not converted: {entry.input}: {entry.reason}"))
    if rows:
        print(
            f"\nDone in {seconds:.0f} s. Listen to {out}/<voice>/…, each with its picture beside it and its source in "
            f"{folder}.\nNext, your own: fastsvc convert my.wav --spk {rows[0].voice} --transpose auto -o {out}"
        )


if __name__ == "__main__":
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # as the command line; beside other work 8 times as fast
    program.start(main)
