"""Reading recordings, by blocks and with one clear line for every way in which a file can be bad."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fastsvc import hush, memory, reading
from fastsvc.audio import sounds, whole
from fastsvc.audio.encode import FORMATS, Written, check_format, reason, writable_rate, write
from fastsvc.audio.magic import HEAD
from fastsvc.errors import AudioError

__all__ = [
    "EXTENSIONS",
    "FORMATS",
    "Info",
    "TooLong",
    "Written",
    "check_format",
    "probe",
    "read",
    "writable_rate",
    "write",
]

# What libsndfile 1.2 decodes and what people name recordings; files of a folder are chosen by it.
_SUFFIXES = "wav wave flac mp3 ogg oga opus aif aiff aifc au snd caf w64 rf64"
EXTENSIONS = frozenset("." + suffix for suffix in _SUFFIXES.split())
_CONVERT = "convert it to wav or flac first, for instance with ffmpeg"
_AGAIN = "copy or export it again"
_SPLIT = "split it, or export it again as one recording"
_BLOCK_SAMPLES = 1 << 18  # of a block, at most
_BLOCK_VALUES = 1 << 20  # and of all its channels together
_DENSEST = 1 << 16  # samples to a byte, at most; libsndfile gives about 2^63 to what does not say how long it is
_NO_LENGTH = "its header does not say how long it is, or says what cannot be"
LOWEST_HZ, HIGHEST_HZ = 1000, 1_000_000
LOUDEST = 1e10  # what is scaled as integers are, up to 2^32, is let pass
_SPARE = 0.9  # of the free memory: others take some meanwhile


class TooLong(AudioError):
    """A recording that needs more memory than is free now."""


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


class _Opened(NamedTuple):
    """A recording open in libsndfile; ``sounds``: those in the file, of which ``file`` is the sum."""

    file: object
    info: Info
    sounds: list[sounds.Sound]


def probe(path: str | os.PathLike) -> Info:
    """The header of the recording at ``path``. Raises AudioError as :func:`read` does, where the header shows it."""
    with _opened(Path(path)) as opened:
        return opened.info


def read(
    path: str | os.PathLike, mono: bool = False, needs: Callable[[Info], float] | None = None
) -> tuple[np.ndarray, int]:
    """The recording at ``path`` as float32 ``[channels, samples]`` and its rate in Hz.

    ``mono`` averages the channels while reading, so that only one is ever held in memory. ``needs``: bytes that the
    caller's work takes, the array included, for a recording with this header (of one channel, if mixed).
    Raises AudioError when the file is missing, not permitted, not a regular file, empty, not audio, damaged or cut
    short, holds NaN, infinite or absurd samples; its TooLong when there is less memory than it takes.
    """
    path = Path(path)
    with _opened(path) as opened:
        info = replace(opened.info, channels=1) if mono else opened.info
        _check_memory(path, info, needs(info) if needs else 0.0)
        with contextlib.suppress(MemoryError):  # it would keep the blocks
            return _joined(path, opened, mono), info.rate_hz
    raise TooLong(f"{path}: there is not enough memory for it", _less(info))


def _joined(path: Path, opened: _Opened, mono: bool) -> np.ndarray:
    blocks = list(_blocks(opened.file, path, mono))
    samples = sum(map(len, blocks))
    _check_complete(path, opened, samples)
    audio, start = np.empty((blocks[0].shape[1], samples), np.float32), 0
    blocks.reverse()
    while blocks:  # freed as we go: long recordings are held once, not twice
        block = blocks.pop()
        audio[:, start : start + len(block)] = block.T
        start += len(block)
    return audio


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[_Opened]:
    import soundfile

    with reading.opened(path, AudioError, "recording", buffering=0) as raw:
        source = whole.Source(raw)
        if source.size == 0:
            raise AudioError(f"{path}: the file is empty (0 bytes)", _AGAIN)
        try:
            kind, start = whole.kind(source)
            found, head = sounds.among(source, kind, start), source.at(start, HEAD)
            raw.seek(0)
        except OSError as error:
            raise AudioError(f"{path}: cannot be read: {error.strerror or error}") from None
        if len(found) > sounds.MOST:
            raise AudioError(f"{path}: more than {sounds.MOST:,} recordings joined into one file", _SPLIT)
        if len(found) == 1 and found[0].fault:
            raise AudioError(f"{path}: {found[0].fault}", _AGAIN)
        if not kind:
            raise AudioError(f"{path}: {_foreign(head)}", _CONVERT)
        # libmpg123 prints what it finds odd.
        with hush.hushed() if found[0].kind == "mp3" else contextlib.nullcontext():
            try:
                file = _file(path, raw, found)
            except (soundfile.SoundFileError, TypeError, ValueError, RuntimeError) as error:
                raise AudioError(f"{path}: {_why_not_audio(found[0].kind, error)}", _CONVERT) from None
            with file:
                samples = found[0].samples(file.frames) if len(found) == 1 else file.frames
                info = Info(file.samplerate, file.channels, samples, file.format, file.subtype)
                if not LOWEST_HZ <= info.rate_hz <= HIGHEST_HZ:
                    raise AudioError(f"{path}: damaged: no recording has {info.rate_hz} samples a second", _AGAIN)
                if info.samples > _DENSEST * source.size:
                    raise AudioError(f"{path}: {_NO_LENGTH}", _CONVERT)
                yield _Opened(file, info, found)


def _file(path: Path, raw, found: list[sounds.Sound]):
    """Open in libsndfile. Raises AudioError and what soundfile raises."""
    import soundfile

    if len(found) > 1:

        def fail(why: str):
            raise AudioError(f"{path}: {why}", _SPLIT)

        return sounds.Joined(found, fail)
    if found[0].mended or os.name == "nt":  # numbers mean nothing to the libsndfile of that
        return found[0].open()
    # By number, not by path: libsndfile takes files that lie beside it, and suffixes, into account.
    return soundfile.SoundFile(raw.fileno(), closefd=False)


def _foreign(head: bytes) -> str:
    if head[4:8] == b"ftyp":
        return "an MP4/M4A (AAC) file, which libsndfile cannot decode"
    if head[:4] in (b"\x1aE\xdf\xa3", b"0&\xb2u"):
        return "a Matroska/WebM or WMA file, which libsndfile cannot decode"
    return "not an audio file, or of a kind that cannot be read"


def _why_not_audio(kind: str, error: Exception) -> str:
    if kind == "mp3":
        return "not an audio file, or a damaged mp3"
    return f"damaged, or of a kind that libsndfile cannot decode ({reason(error)})"


def _check_memory(path: Path, info: Info, needed: float) -> None:
    needed, free = max(needed, 4.0 * info.samples * info.channels), memory.free_bytes()
    if free is not None and needed > _SPARE * free:
        many = f" of {info.channels} channels" if info.channels > 1 else ""
        raise TooLong(
            f"{path}: too long for this machine's memory: {_duration(info.seconds)}{many} need about "
            f"{needed / 1e9:.1f} GB, {free / 1e9:.1f} GB are free",
            _less(info),
        )


def _less(info: Info) -> str:
    mixed = "mix its channels to one, " if info.channels > 1 else ""
    return f"{mixed}split it into shorter files, or close other programs"


def _duration(seconds: float) -> str:
    return f"{seconds / 3600:.1f} h" if seconds >= 3600 else f"{seconds / 60:.1f} min"


def _blocks(file, path: Path, mono: bool) -> Iterator[np.ndarray]:
    """All of it, as [samples, channels], or [samples, 1]."""
    import soundfile

    size, done = max(1, min(_BLOCK_SAMPLES, _BLOCK_VALUES // file.channels)), 0
    while True:
        try:
            block = file.read(size, dtype="float32", always_2d=True)
        except (soundfile.SoundFileError, RuntimeError):
            block = None
        if block is None:
            raise AudioError(
                f"{path}: damaged or cut short: decoding stopped after {done / file.samplerate:.2f} s or later, "
                f"of {file.frames / file.samplerate:.2f} s that its header promises",
                _AGAIN,
            )
        if not len(block):
            return
        if not max(-block.min(), block.max()) <= LOUDEST:  # NaN is passed on by both, and is not below anything
            first = int(np.flatnonzero(~(np.abs(block) <= LOUDEST).all(axis=1))[0]) + done
            raise AudioError(
                f"{path}: holds NaN, infinite or absurdly loud samples, the first at {first / file.samplerate:.3f} s",
                "export it again, or as 16 or 24 bit",
            )
        done += len(block)
        yield block.mean(axis=1, keepdims=True) if mono else block


def _check_complete(path: Path, opened: _Opened, samples: int) -> None:
    promised, kind = opened.info.samples, opened.sounds[0].kind
    fault = opened.sounds[0].unread(promised, samples) if len(opened.sounds) == 1 else ""  # Joined looks itself
    if fault:
        raise AudioError(f"{path}: {fault}", _CONVERT if kind == "mp3" and "does not say" in fault else _AGAIN)
    if samples == 0:
        raise AudioError(f"{path}: holds no samples", "record or export it again")
