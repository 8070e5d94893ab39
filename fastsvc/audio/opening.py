"""Opening a recording, whichever library decodes it, with one clear line for anything else."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, NoReturn

from fastsvc import hush, reading
from fastsvc.audio import completeness, media, media_kinds, media_open, sounds
from fastsvc.audio.encode import reason
from fastsvc.audio.file_bytes import FileBytes
from fastsvc.errors import AudioError
from fastsvc.reading import lookalikes

CONVERT = media_open.CONVERT
AGAIN = "copy or export the recording again"
_SPLIT = "split the file, or export everything again as one recording"
_DENSEST = 1 << 16  # most samples a byte; libsndfile reports about 2^63 samples for files of unknown length
_NO_LENGTH = "its header does not say how long it is, or states an impossible length"
LOWEST_HZ, HIGHEST_HZ = 1000, 1_000_000


@dataclass(frozen=True)
class Info:
    """The header of a recording."""

    rate_hz: int
    channels: int
    samples: int
    format: str
    subtype: str

    @property
    def seconds(self) -> float:
        return self.samples / self.rate_hz


class OpenRecording(NamedTuple):
    """A recording open in libsndfile, or FFmpeg; ``sounds``: the recordings in the file, which ``file`` joins.

    ``sounds`` is empty for FFmpeg, which checks itself whether the recording is complete.
    """

    file: object
    info: Info
    sounds: list[sounds.Sound]


@contextlib.contextmanager
def open_recording(path: Path, exact: bool = False) -> Iterator[OpenRecording]:
    """The recording at ``path``, open; ``exact``: with its exact length, if need be by decoding. Raises AudioError."""
    import soundfile

    with reading.open_file(path, AudioError, "recording", buffering=0) as raw:
        source = FileBytes(raw)
        if source.size == 0:
            raise AudioError(f"{path}: the file is empty (0 bytes)", AGAIN)
        try:
            kind, start = completeness.kind(source)
            media_kind = media_kinds.find(source, start)
            recordings = [] if media_kind else sounds.sounds_in(source, kind, start)
            raw.seek(0)
        except OSError as error:
            raise AudioError(f"{path}: cannot be read: {error.strerror or error}") from None
        if media_kind:
            with media.MediaFile(path, source, start, media_kind) as file:
                yield OpenRecording(file, _media_info(file, exact, raw), [])
            return
        if len(recordings) > sounds.MOST:
            raise AudioError(f"{path}: more than {sounds.MOST:,} recordings joined into one file", _SPLIT)
        if len(recordings) == 1 and recordings[0].fault:
            raise AudioError(f"{path}: {recordings[0].fault}", AGAIN)
        if not kind:
            lookalike = lookalikes.recording(source.at(0, lookalikes.HEAD))
            if lookalike:
                raise AudioError(f"{path}: not an audio file, but {lookalike[0]}", lookalike[1])
            raise AudioError(f"{path}: not an audio file, or of a kind that cannot be read", CONVERT)
        # libmpg123 prints warnings.
        with hush.hushed() if recordings[0].kind == "mp3" else contextlib.nullcontext():
            try:
                file = _open_in_libsndfile(path, raw, recordings)
            except (soundfile.SoundFileError, TypeError, ValueError, RuntimeError) as error:
                media_kind = media_kinds.instead(source, start, kind)
                if media_kind is None:
                    raise AudioError(f"{path}: {_why_not_audio(recordings[0].kind, error)}", CONVERT) from None
                file = media.MediaFile(path, source, start, media_kind)
            with file:
                if isinstance(file, media.MediaFile):
                    yield OpenRecording(file, _media_info(file, exact, raw), [])
                    return
                samples = recordings[0].samples(file.frames) if len(recordings) == 1 else file.frames
                info = Info(file.samplerate, file.channels, samples, file.format, file.subtype)
                _check_rate(path, info.rate_hz)
                if info.samples > _DENSEST * source.size:
                    raise AudioError(f"{path}: {_NO_LENGTH}", CONVERT)
                yield OpenRecording(file, info, recordings)


def _open_in_libsndfile(path: Path, raw, recordings: list[sounds.Sound]):
    """The file open in libsndfile. Raises AudioError and soundfile's errors."""
    import soundfile

    if len(recordings) > 1:

        def fail(why: str) -> NoReturn:
            raise AudioError(f"{path}: {why}", _SPLIT)

        return sounds.Joined(recordings, fail)
    if recordings[0].mended or os.name == "nt":  # on Windows libsndfile cannot use file descriptors
        return recordings[0].open()
    # By descriptor, not by path: libsndfile would consider suffixes, and files beside it.
    return soundfile.SoundFile(raw.fileno(), closefd=False)


def _media_info(file: media.MediaFile, exact: bool, raw) -> Info:
    _check_rate(file.path, file.samplerate)
    samples = media.samples(file, exact, os.fstat(raw.fileno()))
    return Info(file.samplerate, file.channels, samples, file.format, file.subtype)


def _check_rate(path: Path, rate_hz: int) -> None:
    if not LOWEST_HZ <= rate_hz <= HIGHEST_HZ:
        raise AudioError(f"{path}: damaged: no recording has {rate_hz} samples a second", AGAIN)


def _why_not_audio(kind: str, error: Exception) -> str:
    if kind == "mp3":
        return "not an audio file, or a damaged mp3"
    return f"damaged, or of a kind that libsndfile cannot decode ({reason(error)})"


def check_complete(path: Path, recording: OpenRecording, samples: int) -> None:
    """Raises AudioError where the decoded ``samples`` are not the whole recording."""
    if len(recording.sounds) == 1:  # joined recordings, and those that FFmpeg reads, check themselves
        fault = recording.sounds[0].unread(recording.info.samples, samples)
        if fault:
            raise AudioError(f"{path}: {fault}", CONVERT if "does not say" in fault else AGAIN)
    if samples == 0:
        raise AudioError(f"{path}: holds no samples", "record or export the sound again")
