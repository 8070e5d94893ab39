"""The output of a run: one line of progress, a history file, TensorBoard where it is installed."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import numpy as np

from fastsvc import files, reading, screen
from fastsvc.errors import OutputError
from fastsvc.training.task import Sample

BEGINS = b'{"step": '  # every line of a history


def plain(figures: dict) -> dict[str, float]:
    return {name: float(value) for name, value in figures.items()}


class Log:
    """Rank 0 writes; the others hold a Log with ``quiet``, which does nothing.

    ``fraction``: the share of the budget that earlier runs used; the time left is estimated from this run alone.
    """

    def __init__(self, kind: str, out: Path, step: int, quiet: bool = False, fraction: float = 0.0):
        self.kind, self.quiet, self.board, self.bar = kind, quiet, None, None
        if quiet:
            return
        out.mkdir(parents=True, exist_ok=True)
        self.path = out / "history.jsonl"
        self._forget_after(step)
        try:
            from torch.utils.tensorboard import SummaryWriter

            self.board = SummaryWriter(str(out / "tensorboard"), purge_step=step or None)
        except ImportError:
            self.say('TensorBoard is not installed: losses go to history.jsonl only (pip install "fastsvc[train]")')
        self.bar = screen.bar(
            total=100.0,
            initial=100 * min(1.0, fraction),
            desc=kind,
            bar_format="{desc} {percentage:3.0f}%|{bar:20}| {elapsed}<{remaining}{postfix}",
            dynamic_ncols=True,
        )

    def _forget_after(self, step: int) -> None:
        """Drop the lines of steps after the checkpoint: a resumed run repeats those steps.

        Raises OutputError where the file is not a history.
        """
        if not os.path.lexists(self.path):
            return
        with reading.open_file(self.path, OutputError) as file:
            if not BEGINS.startswith(file.read(len(BEGINS))):
                raise OutputError(
                    f"{self.path} is not the history of a training", "choose another `out`, or move the file"
                )
            file.seek(0)
            lines = [line.rstrip(b"\n") + b"\n" for line in file if _step(line) <= step]
        files.write_bytes(self.path, b"".join(lines))

    def has_validation(self, step: int) -> bool:
        """Whether the history has the held-out figures of this step."""
        if not self.path.is_file():
            return False
        with self.path.open(encoding="utf-8") as file:
            lines = [json.loads(line) for line in file if line.startswith(f'{{"step": {step},')]
        return any(line["group"] == "valid" for line in lines)

    def say(self, text: str) -> None:
        """A line for the user that does not tear the progress bar."""
        if self.quiet:
            return
        text = screen.shown(text)
        if self.bar is None:
            print(text, file=sys.stderr, flush=True)
        else:
            self.bar.write(text, file=sys.stderr)

    def advance(self, step: int, fraction: float) -> None:
        if not self.quiet:
            self.bar.set_description_str(f"{self.kind} step {step}", refresh=False)
            self.bar.update(100 * min(1.0, fraction) - self.bar.n)

    def figures(self, step: int, figures: dict, group: str, show=()) -> None:
        """One line of history: {"step", "group": train|valid, figures}."""
        if self.quiet:
            return
        with open(self.path, "a") as file:
            file.write(json.dumps({"step": step, "group": group, **figures}) + "\n")
        if show:
            self.bar.set_postfix_str(" ".join(f"{k}={figures[k]:.4g}" for k in show if k in figures), refresh=False)
        if self.board:
            for name, value in figures.items():
                self.board.add_scalar(f"{group}/{name}", value, step)

    def samples(self, step: int, samples: dict[str, Sample]) -> None:
        if not self.board:
            return
        for name, sample in samples.items():
            if sample.audio is not None:
                audio = np.clip(np.asarray(sample.audio, np.float32), -1.0, 1.0)  # else TensorBoard warns of each
                self.board.add_audio(name, audio[None], step, sample.rate_hz)
            if sample.mel is not None:
                self.board.add_image(name, picture(np.asarray(sample.mel, np.float32)), step, dataformats="HW")

    def close(self) -> None:
        if not self.quiet:
            self.bar.close()
        if self.board:
            self.board.close()


def picture(mel: np.ndarray) -> np.ndarray:
    """[frames, bins] → uint8 [bins, frames], low bins at the bottom."""
    low, high = float(mel.min()), float(mel.max())
    return ((mel.T[::-1] - low) / max(high - low, 1e-9) * 255).astype(np.uint8)


def _step(line: bytes) -> int:
    try:
        return int(reading.parse_json(line)["step"])
    except (ValueError, KeyError, TypeError):  # a line cut short by a crash
        return sys.maxsize
