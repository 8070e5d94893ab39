"""Reading recordings, by blocks and with one clear line for every way in which a file can be bad."""

from __future__ import annotations

import contextlib
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fastsvc import hush
from fastsvc.audio.encode import FORMATS, Written, check_format, writable_rate, write
from fastsvc.errors import AudioError

__all__ = ["EXTENSIONS", "FORMATS", "Info", "Written", "check_format", "probe", "read", "writable_rate", "write"]

# What libsndfile 1.2 decodes and what people name recordings; files of a folder are chosen by it.
_SUFFIXES = "wav wave flac mp3 ogg oga opus aif aiff aifc au snd caf w64 rf64"
EXTENSIONS = frozenset("." + suffix for suffix in _SUFFIXES.split())
_CONVERT = "convert it to wav or flac first, for instance with ffmpeg"
_BLOCK_SAMPLES = 1 << 18
_TOLERATED_S = 0.1  # headers of sloppy programs promise a few samples more than there are


@dataclass(frozen=True)
class Info:
    """What the header of a recording says."""

    rate_hz: int
    channels: int
    samples: int
    format: str
    subtype: str

    @property
    def seconds(self) -> float:
        return self.samples / self.rate_hz


def probe(path: str | os.PathLike) -> Info:
    """The header of the recording at ``path``. Raises AudioError as :func:`read` does."""
    with _open(Path(path)) as file:
        return Info(file.samplerate, file.channels, file.frames, file.format, file.subtype)


def read(path: str | os.PathLike, mono: bool = False) -> tuple[np.ndarray, int]:
    """The recording at ``path`` as float32 ``[channels, samples]`` and its rate in Hz.

    ``mono`` averages the channels while reading, so that only one is ever held in memory. Raises AudioError when
    the file is missing, not permitted, empty, not audio, damaged or cut short, or holds NaN or infinite samples.
    """
    path = Path(path)
    with _open(path) as file:
        blocks, samples = [], 0
        while True:
            block = _next_block(file, path, samples)
            if not len(block):
                break
            blocks.append(block.mean(axis=1, keepdims=True) if mono else block)
            samples += len(block)
        _check_complete(file, path, samples)
        rate_hz, channels = file.samplerate, 1 if mono else file.channels
    audio, start = np.empty((channels, samples), np.float32), 0
    blocks.reverse()
    while blocks:  # freed as we go: long recordings are held once, not twice
        block = blocks.pop()
        audio[:, start : start + len(block)] = block.T
        start += len(block)
    return audio, rate_hz


# What begins otherwise goes to libmpg123, which prints to the screen what it finds odd.
_OTHERS = (b"RIFF", b"RIFX", b"RF64", b"riff", b"fLaC", b"OggS", b"FORM", b".snd", b"caff")


@contextlib.contextmanager
def _open(path: Path):
    import soundfile

    try:
        with open(path, "rb") as file:
            status = os.fstat(file.fileno())
            start = file.read(12) if stat.S_ISREG(status.st_mode) else b""
    except FileNotFoundError:
        raise AudioError(f"{path}: no such file", "check the path") from None
    except PermissionError:
        raise AudioError(f"{path}: no permission to read it", "chmod u+r, or run as its owner") from None
    except IsADirectoryError:
        raise AudioError(f"{path}: is a folder, not a recording") from None
    except OSError as error:
        raise AudioError(f"{path}: cannot be read: {error.strerror or error}") from None
    if not stat.S_ISREG(status.st_mode):
        raise AudioError(f"{path}: is not a regular file", "save the recording to a file first")
    if status.st_size == 0:
        raise AudioError(f"{path}: the file is empty (0 bytes)", "copy or export it again")
    with contextlib.nullcontext() if start.startswith(_OTHERS) else hush.hushed():
        try:
            opened = soundfile.SoundFile(os.fsencode(path))  # bytes: names need not be valid text
        except (soundfile.SoundFileError, TypeError, ValueError, RuntimeError) as error:
            raise AudioError(f"{path}: {_why_not_audio(start, error)}", _CONVERT) from None
        with opened:
            yield opened


def _why_not_audio(start: bytes, error: Exception) -> str:
    if start[4:8] == b"ftyp":
        return "an MP4/M4A (AAC) file, which libsndfile cannot decode"
    if start[:4] in (b"\x1aE\xdf\xa3", b"0&\xb2u"):
        return "a Matroska/WebM or WMA file, which libsndfile cannot decode"
    if start[:4] in (b"RIFF", b"fLaC", b"OggS", b"FORM") or start[:3] == b"ID3":
        detail = str(getattr(error, "error_string", error)).strip().rstrip(".")
        return f"damaged, or of a kind that libsndfile cannot decode ({detail})"
    return "not an audio file"  # libsndfile's own words here speak of pipes and missing files


def _next_block(file, path: Path, done: int) -> np.ndarray:
    """The next ``[samples, channels]``; empty at the end."""
    import soundfile

    try:
        block = file.read(_BLOCK_SAMPLES, dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, RuntimeError):
        block = None
    if block is None:
        raise AudioError(
            f"{path}: damaged or cut short: decoding stopped after {done / file.samplerate:.2f} s or later, "
            f"of {file.frames / file.samplerate:.2f} s that its header promises",
            "copy or export it again",
        )
    if not np.isfinite(block).all():
        first = int(np.flatnonzero(~np.isfinite(block).all(axis=1))[0]) + done
        raise AudioError(
            f"{path}: holds NaN or infinite samples, the first at {first / file.samplerate:.3f} s",
            "export it again, or as 16 or 24 bit",
        )
    return block


_SHORT_DATA = re.compile(r"^data : (\d+) \(should be (\d+)\)", re.MULTILINE)


def _check_complete(file, path: Path, samples: int) -> None:
    promised = file.frames
    short = _SHORT_DATA.search(file.extra_info)
    # A size near 2^31 or 2^32 is how programs that write to a pipe say "unknown".
    if short and int(short[1]) < 0x7FFF0000 and int(short[2]) > 0 and promised > 0:
        promised = promised * int(short[1]) // int(short[2])
    if promised - samples > _TOLERATED_S * file.samplerate:
        raise AudioError(
            f"{path}: cut short: holds {samples / file.samplerate:.2f} s "
            f"of {promised / file.samplerate:.2f} s that its header promises",
            "copy or export it again",
        )
    if samples == 0:
        raise AudioError(f"{path}: holds no samples", "record or export it again")
