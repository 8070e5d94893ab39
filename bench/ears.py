"""How an engine sounds, by public judges that nobody here trained (extra `ears`; docs/ears.md).

    python -m bench.ears                                  the fixed clips that `make ears-data` fetches
    python -m bench.ears my.fsvc --recordings songs/      recordings of your own; --english where they are English

Rows: the input, WORLD's copy, Griffin-Lim and a formula of the engine's own mel, copy-synthesis by its vocoder, and
conversions; then one stage exchanged at a time. Exit code 1: the vocoder loses to Griffin-Lim by more than the bar.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
if __package__ in (None, ""):  # run as a file
    sys.path.insert(0, str(ROOT))

from bench import program

DATA = ROOT / "work" / "ears"
RESULTS = ROOT / "bench" / "results" / "ears"
LOST = 1


def main() -> int:
    """Measure, print, write; the exit code is the verdict."""
    options = _parser().parse_args()
    import torch

    from bench.hearing import clips, rows, table, voices
    from fastsvc import files, screen
    from fastsvc.engine import Engine
    from fastsvc.evaluation import machine, recordings_table
    from fastsvc.evaluation.ears import packages
    from fastsvc.evaluation.report import plain

    for module in packages.WEIGHTS:
        packages.weights(module)  # what is missing shows now
    torch.set_num_threads(options.threads)
    engine = Engine.open(options.model, options.device)
    samples, notes = _samples(options, clips, recordings_table)
    names = [engine.speakers[engine.table.row(name)] for name in options.voices or engine.speakers[:2]]
    targets, lacking = voices.embeddings(engine, names, options.targets)
    notes += rows.lacking() + [f"Similarity to the target is not measured: {line}" for line in lacking]
    steps = [count for count in options.steps if count in engine.steps]
    notes += [f"No engine for {count} steps was built." for count in options.steps if count not in engine.steps]
    result = machine.describe(str(engine.device)) | {
        "command": " ".join(["python -m bench.ears", *sys.argv[1:]]),
        "engine": f"{Path(options.model).name}, {engine.precision}, content hash {engine.content_hash[:12]}",
        "voices": names,
        "notes": notes,
        "rows": [],
        "stages": [],
    }
    judged = {name: targets.get(name) for name in names}
    for sample in screen.bar(samples, desc="ears", unit="clip", disable=options.quiet):
        heard = rows.Heard.of(sample)
        recording = rows.Recording(engine, sample.audio, sample.rate_hz)
        result["rows"] += rows.copies_of(heard, recording)
        result["rows"] += rows.conversions(heard, recording, steps, judged)
        if options.stages and heard.words:
            result["stages"] += rows.stages(heard, recording, names[0])
        notes += [f"{sample.name}: words by its {heard.reference}."] if heard.words else []
        files.write_json(options.out / "ears.json", plain(result))  # an interrupted run keeps what it has
    result["verdict"] = table.verdict(result["rows"], options.bar) if options.verdict else None
    result |= {"summary": table.summaries(result["rows"]), "stages_summary": table.summaries(result["stages"])}
    files.write_json(options.out / "ears.json", plain(result))
    files.write_text(options.out / "ears.md", table.markdown(plain(result)))
    files.write_text(options.out / "ears.csv", table.comma_separated(result["rows"] + result["stages"]))
    print(table.markdown(plain(result)))
    if options.verdict and result["verdict"] is None:
        print("no verdict: it needs the rows of Griffin-Lim (librosa) and copy-synthesis (a vocoder)", file=sys.stderr)
        return LOST
    return LOST if options.verdict and not result["verdict"]["passed"] else 0


def _samples(options, clips, recordings_table):
    """(samples, notes) of what the options name."""
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
    add("model", nargs="?", type=program.existing, default=ROOT / "fastsvc" / "demo" / "choir.fsvc", help="engine")
    add("--recordings", nargs="+", type=program.existing, metavar="PATH", help="files and folders, not the fixed clips")
    add("--english", action="store_true", help="recordings are English: count wrong words, as heard in the input")
    add("--data", type=Path, default=DATA, help="folder of the fixed clips (default: %(default)s)")
    add("--groups", type=program.listed(str), default=[], help="of the fixed clips: speech,actors,choir (default: all)")
    add("--voices", type=program.listed(str), default=[], help="target voices (default: the engine's first two)")
    add("--targets", type=program.existing, help="folder with a folder of recordings for each voice")
    add("--steps", type=program.listed(program.whole), default=[1, 2, 4], help="sampling steps (default: 1,2,4)")
    add("--no-stages", dest="stages", action="store_false", help="leave out the exchange of stages")
    add("--no-verdict", dest="verdict", action="store_false", help="exit 0 whatever the vocoder is worth")
    add("--bar", type=program.seconds, default=0.3, help="MOS below Griffin-Lim that passes (default: %(default)s)")
    add("--device", choices=("cpu", "cuda", "auto"), default="cpu", help="of the engine (default: cpu)")
    add("--threads", type=program.whole, default=1, help="of PyTorch (default: 1)")
    add("--out", type=program.folder, default=RESULTS, help="folder of the results (default: %(default)s)")
    add("--quiet", action="store_true", help="no progress bar")
    return parser


if __name__ == "__main__":
    program.start(main)
