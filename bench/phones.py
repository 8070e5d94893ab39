"""How many phones a content encoder mishears in recordings that no training ever had.

python -m bench.phones NAME=ENCODER... --clips FOLDER... [--texts FILE] [--hama] [--json bench/results/phones.json]

ENCODER: a recogniser's checkpoint, or an engine folder. What a folder's recordings say stands in transcripts beside
them (a choir's), else in FILE, a line "name: what is said" for each (asterisk's core-sounds-en.txt), else in their
names (alsa-utils), or with --heard it is what Moonshine hears (make ears). Of a text, the truth is what flite's
dictionary makes of it, so a part of the errors is the speaker's freedom: --hama adds the row of a general phone
recogniser, by others.
"""

from __future__ import annotations

import os
import sys

if not __package__:  # started as a file: bench/, whose names would hide others, gives way to the folder above it
    here = os.path.dirname(os.path.realpath(__file__))
    sys.path[:] = [os.path.dirname(here), *(path for path in sys.path if path != here)]

import re
import subprocess
from pathlib import Path

from bench import program

OURS = {"ax": "ah"}
DRAWS = 2000
RATE_HZ = 16000
HEARD_S, HEARD_WORDS = (2.0, 10.0), 4  # recordings whose words Moonshine may write down


def texts(path: Path) -> dict[str, str]:
    """ "name: what is said" lines -> name -> text; sounds in brackets and silence are left out, notes are cut."""
    found = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        name, colon, said = line.partition(": ")
        said = re.sub(r"\[.*?\]|\(.*?\)|\.\.\.", " ", said).strip()
        if colon and said and not name.startswith((";", "silence/")):
            found[name.strip().removesuffix(".wav")] = said
    return found


def named(folder: Path) -> dict[str, str]:
    """The names of a folder's recordings as texts: Front_Left.wav says "Front Left"."""
    return {path.stem: path.stem.replace("_", " ") for path in folder.glob("*.wav") if path.stem != "Noise"}


def dictionary(text: str) -> list[str]:
    """The phones of a text, as flite says it; pauses left out, runs merged."""
    from fastsvc import children
    from fastsvc.errors import ConfigError
    from fastsvc.evaluation.phones import reference_phones

    flite = children.program("flite")
    if not flite:
        raise ConfigError("flite is not installed: its dictionary gives the truth", "apt-get install flite")
    # slt's phones are the dictionary's; flite's own voice, kal, says "aa" for every stressed "ah"
    done = subprocess.run(
        [flite, "-voice", "slt", "-t", text, "-ps", "-o", "none"], capture_output=True, text=True, check=True
    )
    return reference_phones([OURS.get(phone, phone) for phone in done.stdout.split()])


def listeners(named_paths: list[tuple[str, Path]], hama: bool) -> dict:
    """name -> (function of audio at 16 kHz -> phones)."""
    import functools

    from fastsvc.evaluation.phones import recognise, reference_phones

    found = {name: functools.partial(recognise, recogniser(path), rate_hz=RATE_HZ) for name, path in named_paths}
    if hama:
        from fastsvc.data.hama_phones import HamaPhones

        general = HamaPhones()
        found[general.name] = lambda audio: reference_phones([phone for phone, *_ in general.recognise(audio)])
    return found


def recogniser(path: Path):
    """The network of a checkpoint or of an engine's content encoder."""
    from fastsvc.artifact.engine_folder import is_engine
    from fastsvc.checkpoints import read
    from fastsvc.engine import Engine
    from fastsvc.features.content import RecogniserEncoder

    encoder = Engine.open(path, "cpu", "built").encoder if is_engine(path) else RecogniserEncoder.of(read(path))
    return encoder.model


def interval(errors: list[int], lengths: list[int]) -> dict:
    """Errors over phones of all clips together, with a bootstrap interval (95 %) over clips."""
    import numpy as np

    errors, lengths = np.array(errors, float), np.array(lengths, float)
    draws = np.random.default_rng(0).integers(0, len(errors), (DRAWS, len(errors)))
    low, high = np.percentile(errors[draws].sum(1) / lengths[draws].sum(1), [2.5, 97.5])
    return {"rate": errors.sum() / lengths.sum(), "low": float(low), "high": float(high), "phones": int(lengths.sum())}


def heard(folder: Path) -> dict[str, str]:
    """What Moonshine hears in a folder's recordings of HEARD_S seconds, those of HEARD_WORDS words."""
    import soundfile

    from fastsvc import screen
    from fastsvc.audio import io
    from fastsvc.evaluation.ears import words

    shortest_s, longest_s = HEARD_S
    paths = [path for path in sorted(folder.rglob("*.wav")) if shortest_s <= soundfile.info(path).duration < longest_s]
    found = {}
    for path in screen.bar(paths, desc="words", unit="clip"):
        audio, rate_hz = io.read(path, mono=True)
        said = words.words(audio[0], rate_hz)
        if len(said) >= HEARD_WORDS:
            found[str(path.relative_to(folder).with_suffix(""))] = " ".join(said)
    return found


def clips(folder: Path, said: dict[str, str]) -> list[tuple[Path, list[str]]]:
    """(recording, its phones): of transcripts below the folder where there are any, else of the texts."""
    from fastsvc import reading
    from fastsvc.errors import AudioError
    from fastsvc.evaluation.phones import reference_phones

    sung = [path for path in sorted(folder.rglob("*.wav")) if path.with_suffix(".json").is_file()]
    if sung:
        read = (reading.read_json(path.with_suffix(".json"), 2**24, AudioError) for path in sung)
        return [(path, reference_phones([phone for phone, *_ in one["phones"]])) for path, one in zip(sung, read)]
    paths = ((folder / f"{name}.wav", text) for name, text in sorted(said.items()))
    return [(path, dictionary(text)) for path, text in paths if path.is_file()]


def measure(found: dict, known: list[tuple[Path, list[str]]]) -> dict:
    """name of the listener -> :func:`interval` over the recordings."""
    from fastsvc import screen
    from fastsvc.audio import io
    from fastsvc.audio.resample import resample
    from fastsvc.model.recogniser import edit_distance

    errors = {name: [] for name in found}
    for path, truth in screen.bar(known, desc="phones", unit="clip"):
        audio, rate_hz = io.read(path, mono=True)
        audio = resample(audio[0], rate_hz, RATE_HZ)
        for name, listen in found.items():
            errors[name].append(edit_distance(listen(audio), truth))
    lengths = [len(truth) for _, truth in known]
    return {"clips": len(known), "rows": {name: interval(errors[name], lengths) for name in found}}


def main() -> None:
    parser = program.parser(__doc__)
    add = parser.add_argument
    add("encoders", nargs="+", metavar="NAME=ENCODER", help="a name for the table, and a checkpoint or engine")
    clips_help = "folders of recordings that no training had"
    add("--clips", nargs="+", type=program.existing, required=True, metavar="FOLDER", help=clips_help)
    add("--texts", type=program.existing, metavar="FILE", help="what the first folder's recordings say")
    add("--heard", action="store_true", help="what other folders' recordings say is what Moonshine hears (make ears)")
    add("--hama", action="store_true", help="a row of the phone recogniser hama, too")
    add("--json", type=program.result, metavar="FILE", help="file for the figures")
    options = parser.parse_args()

    import torch

    from bench.circumstances import describe, keep

    pairs = [(name, Path(path)) for name, _, path in (one.partition("=") for one in options.encoders)]
    found = listeners(pairs, options.hama)
    result = describe("python -m bench.phones", torch.device("cpu")) | {"sets": {}}
    for index, folder in enumerate(options.clips):
        sung = any(path.with_suffix(".json").is_file() for path in folder.rglob("*.wav"))
        if options.texts and not index:
            said = texts(options.texts)
        else:
            said = heard(folder) if options.heard and not sung else named(folder)
        known = clips(folder, said)
        if not known:
            parser.error(f"{folder} holds no recording of which is known what it says")
        result["sets"][folder.name] = table = measure(found, known)
        for name, row in table["rows"].items():
            print(f"{folder.name:>24} {name:<28} {row['rate']:.3f} [{row['low']:.3f}, {row['high']:.3f}]", flush=True)
        keep(result, options.json)


if __name__ == "__main__":
    program.start(main)
