"""All that a DMO student needs, trained for a moment on the toy corpus: teacher, student, listeners, their twins."""

import os
from dataclasses import dataclass
from pathlib import Path

import filelock
from teachers import TINY, write_config
from toy_corpus import make

from fastsvc.config import to_dict
from fastsvc.data.corpus import Corpus
from fastsvc.data.pseudo import add_pseudo_labels
from fastsvc.training import run
from fastsvc.training.augment import NONE

EDM = {"sigma_data": 0.1, "sigma_max": 20.0, "noise_scale": 10.0}
PLAIN = to_dict(NONE)
RECOGNISER = {"domain": "corpus", "augment": PLAIN, "confusion": 0.0, "blur": 0.0, "valid_batches": 1}
SINGER = {"augment": PLAIN, "stretches": [1.0], "valid_batches": 1}


@dataclass(frozen=True)
class Studio:
    corpus: Corpus
    folder: Path

    def path(self, name: str) -> str:
        return str(self.folder / name / "last.pt")

    def train(self, name: str, kind: str, steps: int, task: dict, lr=4e-3, **changes) -> dict:
        optim = {"lr": lr, "final_lr": lr / 20, "warmup": 5}
        common = {
            "steps": steps,
            "validate_every": changes.pop("validate_every", steps),
            "optim": optim,
            "out": str(self.folder / name),
        }
        return run(kind, write_config(self.folder / f"{name}.yaml", self.corpus, **common, task=task, **changes))

    def listeners(self) -> dict:
        return {kind: self.path(kind) for kind in ("recogniser", "singer", "pitch")}

    def guard(self) -> dict:
        return {kind: self.path(f"{kind}_guard") for kind in ("recogniser", "singer")}

    def task(self, **changes) -> dict:
        """The ``task`` part of a DMO run with every loss from the start."""
        now = {"weight": 1.0, "start": 0.0, "ramp": 0.0}
        losses = {name: now | {"match": "cap"} for name in ("ctc", "frames", "pitch", "singer")}
        plain = {
            "teacher": self.path("teacher"),
            "init": self.path("student"),
            "losses": losses | {"adversarial": now | {"match": "equal"}},
            "listeners": self.listeners(),
            "head_channels": 16,
            "valid_crops": 4,
            "valid_frames": 48,
            "diversity_seeds": 0,
            "lag_steps": 0,
        }
        return plain | changes


def build(folder: Path) -> Studio:
    make(folder / "corpus")
    add_pseudo_labels(folder / "corpus", 3)
    studio = Studio(Corpus(folder / "corpus"), folder)
    small = {"valid_crops": 4, "valid_frames": 48}
    augment = {"unit_noise": 0.0, "unit_dropout": 0.0, "gain_db": 0.0}
    studio.train("teacher", "teacher", 150, small | {"denoiser": TINY, "edm": EDM, "augment": augment})
    student = small | {"teacher": studio.path("teacher"), "points": 16, "augment": augment}
    studio.train("student", "student", 40, student, lr=1e-3)
    conv = {"channels": 24, "layers": 3, "bottleneck": 8}
    studio.train("recogniser", "recogniser", 60, RECOGNISER | {"model": conv})
    twin = {"channels": 12, "layers": 1, "bottleneck": 8, "architecture": "gru"}
    studio.train("recogniser_guard", "recogniser", 60, RECOGNISER | {"model": twin, "held_out": True}, seed=9)
    tdnn = {"channels": 24, "layers": 2, "embedding": 8}
    studio.train("singer", "singer", 80, SINGER | {"model": tdnn})
    twin = {"channels": 32, "layers": 2, "embedding": 8, "architecture": "conv2d"}
    studio.train("singer_guard", "singer", 30, SINGER | {"model": twin, "held_out": True}, seed=9)
    pitch = {"model": {"channels": 24, "layers": 3}, "augment": PLAIN, "stretch": [1.0, 1.0], "valid_batches": 1}
    studio.train("pitch", "pitch", 60, pitch)
    return studio


def shared(tmp_path_factory) -> Studio:
    """The studio of a whole run of tests, which nobody may write to: trained by the first file that asks for it.

    pytest-xdist's processes have their folders side by side, and one lock.
    """
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "studio"
    folder.mkdir(exist_ok=True)
    with filelock.FileLock(folder.parent / "studio.lock"):
        if not (folder / "made").exists():
            build(folder)
            (folder / "made").touch()
    return Studio(Corpus(folder / "corpus"), folder)
