"""What tests/crashes.py kills: commands, what they start from, and what must be true of what they leave."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import engines
import torch
import toy_corpus
import yaml
from recordings import put, tone
from teachers import TINY
from torch.utils import tensorboard  # noqa: F401  # loaded once, before any fork

import fastsvc
from fastsvc import files
from fastsvc.data.choir import corpus as choir
from fastsvc.data.choir.score import score
from fastsvc.training import checkpoint

SONGS = 3
Names = Callable[[Path, Path], list[str]]


@dataclass(frozen=True)
class Case:
    """``half(start, wanted, folder)``: what is half-written or lost after a kill. ``different(wanted, folder)``: what
    is not as after an uninterrupted run, once the command ran again. Both name files; [] where all is well."""

    prepare: Callable[[Path], None]
    command: list[str]
    again: list[str]
    half: Callable[[Path, Path, Path], list[str]]
    different: Names


def contents(folder: Path) -> dict[str, bytes]:
    """All files but hidden ones: a log of ours, a lock."""
    names = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    shown = (name for name in names if not any(part.startswith(".") for part in name.parts))
    return {name.as_posix(): (folder / name).read_bytes() for name in shown if name.name not in ("log", "events")}


def neither_old_nor_new(start: Path, wanted: Path, folder: Path, skip: tuple[str, ...] = ()) -> list[str]:
    """Files that are not as before and not as they will be; and such as are gone."""
    before, after, now = contents(start), contents(wanted), contents(folder)
    wrong = [f"half: {name}" for name, held in now.items() if held not in (before.get(name), after.get(name))]
    wrong += [f"gone: {name}" for name in before if name not in now]
    return [line for line in wrong if not line.endswith(skip)] if skip else wrong


def not_equal(wanted: Path, folder: Path) -> list[str]:
    after, now = contents(wanted), contents(folder)
    return [f"differs: {name}" for name in sorted(after.keys() | now.keys()) if after.get(name) != now.get(name)]


# ---- convert


def recordings(start: Path) -> None:
    start.mkdir(parents=True)
    engines.build_engine(start)
    for number in range(SONGS):
        put(start / "in" / f"{number}.wav", tone(0.2 + 0.1 * number, channels=1, hz=200.0 + 50 * number))


CONVERT = ["convert", "in", "-m", "engine.fsvc", "--spk", "Ada", "-o", "out", "-q"]

# ---- build


def checkpoints(start: Path) -> None:
    start.mkdir(parents=True)
    torch.manual_seed(0)
    engines.build_engine(start)
    torch.manual_seed(1)
    engines.native(start / "student.pt", "student", engines.ACOUSTIC)


def opened(folder: Path) -> dict | None:
    """What an engine says, once all of it is verified; None where there is none."""
    path = folder / "engine.fsvc"
    if not path.exists():
        return None
    fastsvc.load(path, device="cpu")
    manifest = json.loads((path / "manifest.json").read_text())
    listed = {name: files.sha256(path / name) for name in manifest["files"]}
    return {"files": listed, "speakers": manifest["speakers"], "source": manifest["source"]["sha256"]}


def half_built(start: Path, wanted: Path, folder: Path) -> list[str]:
    try:
        now = opened(folder)
    except Exception as error:
        return [f"half: {type(error).__name__}: {error}"]
    return (
        [] if now in (opened(start), opened(wanted)) else ["gone: engine.fsvc" if now is None else "half: engine.fsvc"]
    )


def built_otherwise(wanted: Path, folder: Path) -> list[str]:
    others = {path.name for path in folder.iterdir()} - {path.name for path in wanted.iterdir()}
    return ([] if opened(wanted) == opened(folder) else ["differs: engine.fsvc"]) + [f"new: {name}" for name in others]


BUILD = ["build", "student.pt", "-o", "engine.fsvc", "--vocoder", "vocoder.pt", "--content", "recogniser.pt", "-q"]
BUILD += ["--steps", "1", "--force"]


def without_engine(start: Path) -> None:
    checkpoints(start)
    shutil.rmtree(start / "engine.fsvc")


# ---- choir and prepare


def empty(start: Path) -> None:
    start.mkdir(parents=True)

    def short(index, seed):
        song = score(index, seed)
        return type(song)(index, seed, song.syllables[:4], 30.0)

    choir.score = short


def singers(start: Path) -> None:
    for number in range(SONGS):
        put(start / "data" / "ada" / f"{number}.wav", tone(0.8, hz=200.0 + 40 * number))


def prepared_half(start: Path, wanted: Path, folder: Path) -> list[str]:
    """Statistics and lists may be of fewer items; each must be whole."""
    wrong = neither_old_nor_new(start, wanted, folder, (".json",))
    for path in folder.rglob("*.json"):
        try:
            json.loads(path.read_text())
        except ValueError as error:
            wrong.append(f"half: {path}: {error}")
    return wrong


# ---- train


def corpus(start: Path) -> None:
    toy_corpus.make(start / "corpus")
    settings = {
        "corpus": "corpus",
        "out": "run",
        "device": "cpu",
        "precision": "fp32",
        "batch": {"size": 2, "frames": 16},
        "steps": 6,
        "save_every": 2,
        "validate_every": 3,
        "log_every": 1,
        "task": {"denoiser": TINY, "valid_crops": 2, "valid_frames": 16},
    }
    (start / "run.yaml").write_text(yaml.safe_dump(settings))


def half_trained(start: Path, wanted: Path, folder: Path) -> list[str]:
    wrong = [f"gone: {name}" for name in contents(start) if name not in contents(folder)]
    for path in (folder / "run").glob("*.pt"):
        try:
            checkpoint.load(path, "teacher")
        except Exception as error:
            wrong.append(f"half: {path.name}: {error}")
    return wrong


def trained_otherwise(wanted: Path, folder: Path) -> list[str]:
    wrong = []
    for name in ("last.pt", "best.pt"):
        a, b = (checkpoint.load(place / "run" / name, "teacher") for place in (wanted, folder))
        for part in ("model", "ema"):
            wrong += [f"differs: {name} {part} {key}" for key in a[part] if not torch.equal(a[part][key], b[part][key])]
        wrong += [] if a["step"] == b["step"] else [f"differs: {name} step {a['step']} {b['step']}"]
    steps = [
        [json.loads(line)["step"] for line in (place / "run" / "history.jsonl").open()] for place in (wanted, folder)
    ]
    return wrong + ([] if steps[0] == steps[1] else [f"differs: history {steps}"])


TRAIN = ["train", "teacher", "-c", "run.yaml", "-q"]
CHOIR = ["choir", "choir", "--singers", "2", "--no-voices", "--minutes", "0.9", "--jobs", "1", "-q"]
PREPARE = ["prepare", "data", "-o", "corpus", "--jobs", "1", "--valid", "0", "--test", "0", "-q"]
CASES = {
    "convert": Case(recordings, CONVERT, CONVERT, neither_old_nor_new, not_equal),
    "build": Case(without_engine, BUILD, BUILD, half_built, built_otherwise),
    "build_force": Case(checkpoints, BUILD, BUILD, half_built, built_otherwise),
    "choir": Case(empty, CHOIR, CHOIR, prepared_half, not_equal),
    "prepare": Case(singers, PREPARE, PREPARE, prepared_half, not_equal),
    "train": Case(corpus, TRAIN, [*TRAIN, "--resume"], half_trained, trained_otherwise),
}
