"""A WAV file that grows: whole after each write, also where the process is killed before it ends."""

from __future__ import annotations

import os
import wave
from pathlib import Path

import numpy as np

from fastsvc.audio.encode import LARGEST_WAV
from fastsvc.errors import OutputError
from fastsvc.files.atomic import as_output_error

REMEDY = "choose another name"


class GrowingWav:
    """Mono, 16 bits. A file that exists is not touched.

    Each write appends samples and then corrects the header, so a reader finds a whole file in between.
    """

    def __init__(self, path: Path, rate_hz: int):
        """Raises OutputError."""
        self.path, self.full = path, False
        with as_output_error(path, REMEDY):
            try:
                self.file = open(path, "xb")  # noqa: SIM115  # until close()
            except FileExistsError:
                raise OutputError(f"{path}: exists already", REMEDY) from None
        self.writer = wave.open(self.file, "wb")  # noqa: SIM115
        self.writer.setnchannels(1)
        self.writer.setsampwidth(2)
        self.writer.setframerate(rate_hz)
        self.write(np.zeros(0, np.float32))  # the header

    def write(self, samples: np.ndarray) -> None:
        """float32 [n]; cut at full scale, NaN is 0. Nothing where the file is as long as a WAV file can be.

        Raises OutputError, for instance on a full disk.
        """
        self.full = self.full or 2 * (self.writer.getnframes() + len(samples)) > LARGEST_WAV
        if self.full:
            return
        with as_output_error(self.path, "free space"):
            self.writer.writeframes(np.rint(np.nan_to_num(samples).clip(-1, 1) * 32767).astype("<i2").tobytes())
            self.file.flush()

    def close(self) -> None:
        with as_output_error(self.path, "free space"):
            try:
                self.writer.close()
                os.fsync(self.file.fileno())
            finally:
                self.file.close()
