"""A toy corpus whose singers change, and the runs on it."""

import json
from dataclasses import dataclass
from pathlib import Path

import torch
import toy_corpus
import yaml
from studio import PLAIN, RECOGNISER, SINGER

from fastsvc.training import checkpoint, loop
from fastsvc.training.loop import Trainer

TINY = {"channels": 8, "layers": 2, "dilation_cycle": 2, "cond_channels": 8}
TABLE = "condition.spk_embed.weight"
SIZES = {"valid_crops": 2, "valid_frames": 16}


@dataclass
class Place:
    """A corpus whose singers a test changes, and the runs on it."""

    folder: Path

    def cast(self, *singers: str, louder: float = 0.0) -> None:
        """The corpus again with these singers, in this order; ``louder`` moves its mel's statistics (nepers)."""
        whole = json.loads((self.folder / "toy.json").read_text())
        items = [
            dict(whole["items"][2 * (place % 2) + split], id=f"{name}-{split}", singer=name)
            for place, name in enumerate(singers)
            for split in (0, 1)
        ]
        f0_hz = {name: 100.0 + len(name) for name in singers}
        new = {"singers": list(singers), "items": items, "singer_f0_hz": f0_hz}
        new["mel_mean"] = [value + louder for value in whole["mel_mean"]]
        (self.folder / "corpus" / "corpus.json").write_text(json.dumps(whole | new))

    def config(self, kind: str, steps: int = 3, task=None, **changes) -> Path:
        settings = {
            "corpus": str(self.folder / "corpus"),
            "out": str(self.folder / kind),
            "steps": steps,
            "batch": {"size": 4, "frames": 16},
            "device": "cpu",
            "precision": "fp32",
            "ema": 0.5,
            "optim": {"lr": 0.05, "warmup": 1, "schedule": "constant"},
            "task": TASKS[kind](self.folder) | (task or {}),
        }
        path = self.folder / f"{kind}.yaml"
        path.write_text(yaml.safe_dump(settings | changes))
        return path

    def train(self, kind: str, steps: int = 3, resume=False, **changes) -> dict:
        loop.run(kind, self.config(kind, steps, **changes), resume=resume)
        return checkpoint.load(self.folder / kind / "last.pt", kind)

    def resumed(self, monkeypatch, kind: str, **changes) -> Trainer:
        """The run as it stands when it goes on, before its next step."""
        found = []
        with monkeypatch.context() as patch:
            patch.setattr(Trainer, "train", lambda run: found.append(run) or {})
            loop.run(kind, self.config(kind, 9, **changes), resume=True)
        return found[0]


RECOGNISES = {"model": {"channels": 8, "layers": 1, "bottleneck": 4}, "confusion": 0.2}
TASKS = {
    "teacher": lambda folder: SIZES | {"denoiser": TINY},
    "student": lambda folder: SIZES | {"teacher": str(folder / "teacher" / "last.pt"), "points": 8, "train": "all"},
    "singer": lambda folder: SINGER | {"model": {"channels": 8, "layers": 1, "embedding": 4}, "stretches": [1.0, 0.9]},
    "recogniser": lambda folder: RECOGNISER | RECOGNISES,
    "pitch": lambda folder: {"model": {"channels": 8, "layers": 1}, "augment": PLAIN, "stretch": [1.0, 1.0]},
}


def high_and_low(tmp_path):
    toy_corpus.make(tmp_path / "corpus")
    (tmp_path / "toy.json").write_text((tmp_path / "corpus" / "corpus.json").read_text())
    made = Place(tmp_path)
    made.cast("high", "low")
    return made


def by_name(content: dict, part: str = "model") -> dict:
    table = content[part][TABLE]
    assert len(table) == len(content["speakers"])
    return dict(zip(content["speakers"], table))


def same(a, b) -> bool:
    return torch.equal(torch.as_tensor(a), torch.as_tensor(b))
