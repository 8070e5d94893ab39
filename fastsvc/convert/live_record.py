"""Recordings of live conversion: what was recorded and what was played, one file each."""

from __future__ import annotations

import contextlib
import os
from collections import deque
from pathlib import Path

import numpy as np

from fastsvc.audio.growing_wav import GrowingWav
from fastsvc.errors import OutputError


def check(paths: tuple[Path, Path]) -> None:
    """Before anything is opened. Raises OutputError for a file that exists, and for two names of one file."""
    if os.path.abspath(paths[0]) == os.path.abspath(paths[1]):
        raise OutputError(f"{paths[0]}: both recordings have this name", "choose two names")
    for path in paths:
        if os.path.lexists(path):
            raise OutputError(f"{path}: exists already", "choose another name")
        if not path.parent.is_dir():
            raise OutputError(f"{path.parent}: no such folder", "make it, or choose another place")


class Recorder:
    """The devices' threads append to :attr:`tapes`; :meth:`write`, called now and then, brings it to the files."""

    def __init__(self, paths: tuple[Path, Path], rates: tuple[int, int]):
        """Raises OutputError."""
        check(paths)
        self.files = [GrowingWav(paths[0], rates[0])]
        try:
            self.files.append(GrowingWav(paths[1], rates[1]))
        except OutputError:
            self.files[0].close()
            paths[0].unlink()
            raise
        self.tapes: tuple[deque, deque] = deque(), deque()

    def write(self) -> str | None:
        """Returns a note where the recording has ended: the disk is full, or the files cannot be longer."""
        for tape, file in zip(self.tapes, self.files):
            pieces = [tape.popleft() for _ in range(len(tape))]
            try:
                file.write(np.concatenate([np.zeros(0, np.float32), *pieces]))
            except OutputError as error:
                return f"the recording has ended: {error.message}"
            if file.full:
                return f"the recording has ended: {file.path} is as long as a WAV file can be"
        return None

    def close(self) -> None:
        """Raises OutputError."""
        with contextlib.ExitStack() as stack:  # the other one is closed all the same
            for file in self.files:
                stack.callback(file.close)
