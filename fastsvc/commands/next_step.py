"""The next command after each step from recordings to a voice, in one line each."""

from __future__ import annotations

import shlex
from pathlib import Path

ENGINE = "ENGINE.fsvc"  # stands for an engine with vocoder and content encoder, such as the bundled one


def after_training(kind: str, out: str | Path) -> str:
    """The line after a finished `fastsvc train KIND`; ``out``: its folder."""
    best, last = (shlex.quote(str(Path(out) / name)) for name in ("best.pt", "last.pt"))
    if not (Path(out) / "best.pt").exists():
        best = last
    if kind == "teacher":
        return f"next: fastsvc train student -c STUDENT.yaml, with `task.teacher: {last}` in it"
    if kind in ("student", "dmo"):
        checkpoint = best if kind == "student" else last
        return f"next: fastsvc build {checkpoint} -o NAME.fsvc --vocoder {ENGINE} --content {ENGINE}"
    if kind == "vocoder":
        return f"next: fastsvc build STUDENT.pt -o NAME.fsvc --vocoder {best} --content {ENGINE}"
    if kind == "recogniser":
        return (
            f"next: its units: fastsvc prepare SINGERS -o CORPUS --encoder {last}; or, as a listener, fastsvc train "
            f"dmo -c DMO.yaml, with `task.listeners.recogniser: {last}` in it"
        )
    return f"next: fastsvc train dmo -c DMO.yaml, with `task.listeners.{kind}: {last}` in it"


def after_building(path: str | Path, speaker: str | None, vocoder: bool, content: bool) -> str:
    """The line after `fastsvc build`; ``speaker``: None where the engine has a default; ``vocoder``, ``content``:
    whether the engine has them."""
    if not vocoder:
        return (
            f"note: {path} has no vocoder, so it makes mels and no sound: build it again with --vocoder {ENGINE} "
            "(an engine or a vocoder's checkpoint of the same mel) and --force"
        )
    if not content:
        return (
            f"note: {path} has no content encoder, so it takes units and no recordings: build it again with --content "
            f"{ENGINE} (an engine, or the encoder that the corpus was prepared with) and --force"
        )
    voice = "" if speaker is None else f" --spk {shlex.quote(speaker)}"
    return f"next: fastsvc convert SONG.wav -m {shlex.quote(str(path))}{voice}"


def after_choir(out: str) -> str:
    return f"next: fastsvc prepare {shlex.quote(out)} -o CORPUS --encoder {ENGINE}"
