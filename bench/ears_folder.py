"""Recordings of a folder by judges that nobody here trained: opinion score, words, voice, pitch and level.

    python -m bench.ears_folder out/ --input in/ --target voice/

--input: the recordings that those of the folder were made from, of the same names without the ending; they give WER
(Moonshine's own transcript of the input, English only), similarity to the source, f0 within 50 cents (untransposed)
and level. --target: recordings of the voice that shall be heard. docs/ears.md says what the judges are.
"""

from __future__ import annotations

import os
import sys

if not __package__:  # started as a file: bench/, whose names would hide others, gives way to the folder above it
    here = os.path.dirname(os.path.realpath(__file__))
    sys.path[:] = [os.path.dirname(here), *(path for path in sys.path if path != here)]

from pathlib import Path

from bench import program

COLUMNS = ("mos", "wer", "to_source", "to_target", "f0_within_50", "level_db")


def main() -> None:
    """Print a line for each recording and the means."""
    options = _parser().parse_args()
    import numpy as np

    from fastsvc.audio import io
    from fastsvc.evaluation.ears import voice
    from fastsvc.evaluation.recordings_table import recordings

    def read(path: Path):
        audio, rate_hz = io.read(path, mono=True)
        return audio[0], rate_hz

    inputs = {path.stem: path for path in recordings(options.input)} if options.input else {}
    targets = [voice.embed(*read(path)) for path in recordings(options.target)] if options.target else []
    target = np.mean(targets, axis=0) / np.linalg.norm(np.mean(targets, axis=0)) if targets else None
    rows = []
    print("recording".ljust(32), *(name.rjust(12) for name in COLUMNS))
    for path in recordings(options.folder):
        source = inputs.get(path.stem)
        rows.append(_figures(read(path), read(source) if source else None, target))
        print(path.stem[:32].ljust(32), *(f"{rows[-1].get(name, np.nan):12.3f}" for name in COLUMNS), flush=True)
    means = [np.nanmean([row.get(name, np.nan) for row in rows] or [np.nan]) for name in COLUMNS]
    print(f"mean of {len(rows)}".ljust(32), *(f"{value:12.3f}" for value in means))


def _figures(made, source, target) -> dict[str, float]:
    from fastsvc.evaluation.ears import faults, melody, opinion, voice, words

    own = voice.embed(*made)
    row = {"mos": opinion.mos(*made)}
    if target is not None:
        row["to_target"] = voice.similarity(own, target)
    if source is not None:
        row["wer"] = words.word_error_rate(words.words(*made), words.words(*source))
        row["to_source"] = voice.similarity(own, voice.embed(*source))
        row["f0_within_50"] = melody.within(melody.track(*made), melody.track(*source))
        row["level_db"] = faults.level_db(*faults.together(made, source))
    return row


def _parser():
    parser = program.parser(__doc__)
    parser.add_argument("folder", type=program.existing, help="recordings to judge")
    parser.add_argument("--input", type=program.existing, help="folder of the recordings that they were made from")
    parser.add_argument("--target", type=program.existing, help="folder of recordings of the target's voice")
    return parser


if __name__ == "__main__":
    program.start(main)
