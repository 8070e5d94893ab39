"""How an engine sounds, by public judges that nobody here trained (extra `ears`; docs/ears.md).

    python -m bench.ears                                  the fixed clips that `make ears-data` fetches
    python -m bench.ears my.fsvc --recordings songs/      recordings of your own; --english where they are English

Rows: the input, WORLD's copy, Griffin-Lim and a formula of the engine's own mel, copy-synthesis by its vocoder, and
conversions; then one stage exchanged at a time. Exit code 1: the vocoder loses to Griffin-Lim by more than the bar.
"""

from __future__ import annotations

import os
import sys

if not __package__:  # started as a file: bench/, whose names would hide others, gives way to the folder above it
    here = os.path.dirname(os.path.realpath(__file__))
    sys.path[:] = [os.path.dirname(here), *(path for path in sys.path if path != here)]

import json
from pathlib import Path

from bench import program
from bench.hearing import DATA
from fastsvc.artifact import bundled

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "bench" / "results" / "ears"
LOST = 1


def main() -> int:
    """Measure, print, write after every clip; the exit code is the verdict."""
    options = _parser().parse_args()
    import torch

    from bench.hearing import rows, table, voices
    from fastsvc import screen
    from fastsvc.engine import Engine
    from fastsvc.engine.checks import makes_mels
    from fastsvc.evaluation.ears import packages

    for module in packages.WEIGHTS:
        packages.require(module)  # what is missing shows now
    torch.set_num_threads(options.threads)
    engine = Engine.open(options.model, options.device, "built")
    makes_mels(engine)
    samples, notes = _samples(options)
    names = [engine.speakers[engine.table.row(name)] for name in options.voices or engine.speakers[:1]]
    steps = [count for count in options.steps if count in engine.steps]
    notes += [f"The engine has no {count} steps." for count in options.steps if count not in engine.steps]
    result = _begun(options, engine, names)
    targets, lacking = voices.embeddings(engine, names, options.targets)
    notes += rows.lacking() + [f"Similarity to the target is not measured: {line}" for line in lacking]
    result["notes"] = notes + [note for note in result["notes"] if note not in notes]
    for sample in screen.bar(samples, desc="ears", unit="clip", disable=options.quiet):
        recording = rows.Recording(engine, sample.audio, sample.rate_hz)
        tables = {"rows": rows.copies_of(recording) | rows.conversions(recording, steps, names)}
        if options.stages and sample.english:
            tables["stages"] = rows.stages(recording, names[0])
        judged = None
        for table_name, ways in tables.items():
            done = {(row["system"], row.get("target", "")) for row in result[table_name] if row["clip"] == sample.name}
            for (system, voice), way in ways.items():
                if (system, voice) not in done:
                    judged = judged or rows.JudgedInput.of(sample)
                    row = judged.row(system, *way(), targets.get(voice))
                    result[table_name].append(row | ({"target": voice} if voice else {}))
        if judged:
            note = f"{sample.name}: words by {judged.reference}."
            result["notes"] += [note] if judged.words and note not in result["notes"] else []
            _written(result, options)
    _written(result, options)
    print(table.markdown(result))
    if options.verdict and result["verdict"] is None:
        print("no verdict: it needs the rows of Griffin-Lim (librosa) and copy-synthesis (a vocoder)", file=sys.stderr)
        return LOST
    return LOST if options.verdict and not result["verdict"]["passed"] else 0


def _begun(options, engine, names: list[str]) -> dict:
    """A new result, or with --resume the rows of an earlier run of the same engine and voices."""
    from fastsvc.evaluation import machine

    name = f"{Path(options.model).name}, {engine.precision}, content hash {engine.content_hash[:12]}"
    result = machine.describe(str(engine.device)) | {
        "command": " ".join(["python -m bench.ears", *sys.argv[1:]]),
        "engine": name,
        "voices": names,
        "notes": [],
        "rows": [],
        "stages": [],
    }
    path = options.out / "ears.json"
    if options.resume and path.is_file():
        earlier = json.loads(path.read_text(encoding="utf-8"))
        if all(earlier.get(key) == result[key] for key in ("engine", "voices")):
            result |= {key: earlier[key] for key in ("notes", "rows", "stages")}
    return result


def _written(result: dict, options) -> None:
    """ears.json, ears.md and ears.csv of what is measured so far."""
    from bench.hearing import table
    from fastsvc import files
    from fastsvc.evaluation.report import plain

    result["verdict"] = table.verdict(result["rows"], options.bar) if options.verdict else None
    result |= {"summary": table.summaries(result["rows"]), "stages_summary": table.summaries(result["stages"])}
    files.write_json(options.out / "ears.json", plain(result))
    files.write_text(options.out / "ears.md", table.markdown(result))
    files.write_text(options.out / "ears.csv", table.comma_separated(result["rows"] + result["stages"]))


def _samples(options):
    """(samples, notes) of what the options name."""
    from bench.hearing import clips
    from fastsvc.evaluation import recordings_table

    if not options.recordings:
        samples, lacking = clips.fixed(options.data, options.groups)
        return samples, [f"Left out: {line}." for line in lacking]
    paths = [
        path
        for given in options.recordings
        for path in (recordings_table.recordings(given) if given.is_dir() else [given])
    ]
    return clips.own(paths, options.english), []


def _parser():
    parser = program.parser(__doc__)
    add = parser.add_argument
    add("model", nargs="?", type=program.existing, default=bundled.VOICES, help="engine")
    add("--recordings", nargs="+", type=program.existing, metavar="PATH", help="files and folders, not the fixed clips")
    add("--english", action="store_true", help="recordings are English: count wrong words, as heard in the input")
    add("--data", type=Path, default=DATA, help="folder of the fixed clips (default: %(default)s)")
    add("--groups", type=program.listed(str), default=[], help="of the fixed clips: speech,actors,choir (default: all)")
    add("--voices", type=program.listed(str), default=[], help="target voices (default: the engine's first)")
    add("--targets", type=program.existing, help="folder with a folder of recordings for each voice")
    add("--steps", type=program.listed(program.whole_number), default=[1, 2, 4], help="sampling steps (default: 1,2,4)")
    add("--no-stages", dest="stages", action="store_false", help="leave out the exchange of stages")
    add("--no-verdict", dest="verdict", action="store_false", help="exit 0 whatever the vocoder is worth")
    add("--bar", type=program.seconds, default=0.3, help="MOS below Griffin-Lim that passes (default: %(default)s)")
    add("--device", choices=("cpu", "cuda", "auto"), default="cpu", help="of the engine (default: cpu)")
    add("--threads", type=program.whole_number, default=1, help="of PyTorch (default: 1)")
    add("--out", type=program.folder, default=RESULTS, help="folder of the results (default: %(default)s)")
    add("--resume", action="store_true", help="keep the rows that an earlier run of the same engine measured")
    add("--quiet", action="store_true", help="no progress bar")
    return parser


if __name__ == "__main__":
    program.start(main)
