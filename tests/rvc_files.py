"""Voice files of RVC for tests: the golden ones, edited, and zips of them."""

import zipfile
from pathlib import Path

import torch
from rvc_generators import CASES, FOLDER

VOICES = {name: FOLDER / name / f"{name}.pth" for name in CASES}
APPLIO = {name: FOLDER / "applio" / f"{name}.pth" for name in ("voice", "voice_parametrized")}
ZIP = FOLDER / "Voice.zip"
INDEX = next((FOLDER / "index_v2").glob("added_*"))
TRAINED = next((FOLDER / "index_v2").glob("trained_*"), None) or next((FOLDER / "index_v1").glob("trained_*"))


def content(name: str = "v2_40k") -> dict:
    return torch.load((VOICES | APPLIO)[name], weights_only=True)


def saved(path: Path, whole: dict) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(whole, path)
    return path


def edited(path: Path, name: str = "v2_40k", change=lambda whole: None, **values) -> Path:
    """A golden voice with ``values`` in place of its own (None: gone), and changed by ``change``."""
    whole = content(name)
    for key, value in values.items():
        if value is None:
            whole.pop(key, None)
        else:
            whole[key] = value
    change(whole)
    return saved(path, whole)


def sized(place: int, value):
    """A change that puts ``value`` in the list of sizes."""

    def change(whole: dict):
        whole["config"] = [*whole["config"][:place], value, *whole["config"][place + 1 :]]

    return change


def zipped(path: Path, *entries: tuple[str | zipfile.ZipInfo, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in entries:
            archive.writestr(name, data)
    return path
