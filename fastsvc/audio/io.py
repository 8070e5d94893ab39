"""Reading recordings, by blocks and with one clear line for every way in which a file can be bad."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from fastsvc import memory
from fastsvc.audio import channels, media_kinds
from fastsvc.audio.encode import FORMATS, Written, check_format, writable_rate, write
from fastsvc.audio.opening import AGAIN, Info, OpenRecording, check_complete, open_recording
from fastsvc.audio.suffixes import FOREIGN
from fastsvc.errors import AudioError

__all__ = [
    "EXTENSIONS",
    "FOREIGN",
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

# Suffixes of recordings that libsndfile 1.2 or FFmpeg decodes; files of a folder are chosen by them.
_SUFFIXES = "wav wave flac mp3 ogg oga opus aif aiff aifc au snd caf w64 rf64"
SNDFILE = frozenset("." + suffix for suffix in _SUFFIXES.split())
EXTENSIONS = SNDFILE | media_kinds.EXTENSIONS
_BLOCK_SAMPLES = 1 << 18  # of a block, at most
_BLOCK_VALUES = 1 << 20  # and of all its channels together
LOUDEST = 1e10  # samples scaled like integers, up to 2^32, are accepted
_SPARE = 0.9  # of the free memory: other processes take some meanwhile


class TooLong(AudioError):
    """A recording that needs more memory than is free now."""


def probe(path: str | os.PathLike, exact: bool = True) -> Info:
    """The header of the recording at ``path``. Raises AudioError as :func:`read` does, where the header shows it.

    ``exact``: where it gives the length in milliseconds or not at all, the file is decoded once to count samples.
    """
    with open_recording(Path(path), exact) as recording:
        return recording.info


def read(
    path: str | os.PathLike,
    mono: bool = False,
    needs: Callable[[Info], float] | None = None,
    note: Callable[[str], object] | None = None,
) -> tuple[np.ndarray, int]:
    """The recording at ``path`` as float32 ``[channels, samples]`` and its rate in Hz.

    ``mono`` averages the channels while reading, so that only one is in memory; where the mean loses the voice
    (fastsvc/audio/channels.py) it reads again with another mix. ``needs``: bytes that the caller's work takes, array
    included, for a recording with this header (of one channel, if mixed). ``note`` is called with each choice: among
    several streams of sound, and among channels.
    Raises AudioError when the file is missing, not permitted, not a regular file, empty, not audio, damaged or cut
    short, holds NaN, infinite or absurd samples; its TooLong when there is less memory than it takes.
    """
    mixer = channels.Mixer() if mono else None
    add_note = note or (lambda line: None)
    audio, rate_hz = _read(Path(path), mixer, needs, add_note)
    if mixer is not None and mixer.again():
        del audio
        audio, rate_hz = _read(Path(path), mixer, needs, lambda line: None)
        add_note(mixer.choice.note)
    return audio, rate_hz


def _read(path: Path, mixer: channels.Mixer | None, needs, note) -> tuple[np.ndarray, int]:
    with open_recording(path) as recording:
        info = replace(recording.info, channels=1) if mixer else recording.info
        _check_memory(path, info, needs(info) if needs else 0.0)
        if choice := getattr(recording.file, "note", ""):
            note(choice)
        with contextlib.suppress(MemoryError):  # the exception would keep the blocks in memory
            return _joined(path, recording, mixer), info.rate_hz
    raise TooLong(f"{path}: there is not enough memory for it", _less(info))


def _joined(path: Path, recording: OpenRecording, mixer: channels.Mixer | None) -> np.ndarray:
    blocks = list(_blocks(recording.file, path, mixer))
    samples = sum(map(len, blocks))
    check_complete(path, recording, samples)
    audio, start = np.empty((blocks[0].shape[1], samples), np.float32), 0
    blocks.reverse()
    while blocks:  # freed one by one, so that a long recording is in memory once, not twice
        block = blocks.pop()
        audio[:, start : start + len(block)] = block.T
        start += len(block)
    return audio


def _check_memory(path: Path, info: Info, needed: float) -> None:
    needed, free = max(needed, 4.0 * info.samples * info.channels), memory.free_bytes()
    if free is not None and needed > _SPARE * free:
        channels_text = f" of {info.channels} channels" if info.channels > 1 else ""
        raise TooLong(
            f"{path}: too long for this machine's memory: {_duration(info.seconds)}{channels_text} need about "
            f"{needed / 1e9:.1f} GB, {free / 1e9:.1f} GB are free",
            _less(info),
        )


def _less(info: Info) -> str:
    mixed = "mix its channels to one, " if info.channels > 1 else ""
    return f"{mixed}split the recording into shorter files, or close other programs"


def _duration(seconds: float) -> str:
    return f"{seconds / 3600:.1f} h" if seconds >= 3600 else f"{seconds / 60:.1f} min"


def _blocks(file, path: Path, mixer: channels.Mixer | None) -> Iterator[np.ndarray]:
    """The whole recording in blocks [samples, channels], or [samples, 1] with a mixer. Raises AudioError."""
    import soundfile

    size, count = max(1, min(_BLOCK_SAMPLES, _BLOCK_VALUES // file.channels)), 0
    while True:
        try:
            block = file.read(size, dtype="float32", always_2d=True)
        except (soundfile.SoundFileError, RuntimeError):
            block = None
        if block is None:
            raise AudioError(
                f"{path}: damaged or cut short: decoding stopped after {count / file.samplerate:.2f} s or later, "
                f"of {file.frames / file.samplerate:.2f} s that its header promises",
                AGAIN,
            )
        if not len(block):
            return
        if (
            not max(-block.min(), block.max()) <= LOUDEST
        ):  # NaN propagates through both, and no comparison with it holds
            first = int(np.flatnonzero(~(np.abs(block) <= LOUDEST).all(axis=1))[0]) + count
            raise AudioError(
                f"{path}: holds NaN, infinite or absurdly loud samples, the first at {first / file.samplerate:.3f} s",
                "export the recording again, or as 16 or 24 bit",
            )
        count += len(block)
        yield mixer(block, file.samplerate) if mixer else block
