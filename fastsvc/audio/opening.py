"""Opening a recording, whichever library decodes it, with one clear line for whatever it is instead."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, NoReturn

from fastsvc import hush, reading
from fastsvc.audio import media, media_kinds, media_open, sounds, whole
from fastsvc.audio.encode import reason
from fastsvc.audio.source import Source
from fastsvc.errors import AudioError
from fastsvc.reading import lookalikes

CONVERT = media_open.CONVERT
AGAIN = "copy or export the recording again"
_SPLIT = "split the file, or export everything again as one recording"
_DENSEST = 1 << 16  # samples to a byte, at most; libsndfile gives about 2^63 to what does not say how long it is
_NO_LENGTH = "its header does not say how long it is, or states an impossible length"
LOWEST_HZ, HIGHEST_HZ = 1000, 1_000_000


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


class Opened(NamedTuple):
    """A recording open in libsndfile, or FFmpeg; ``sounds``: those in the file, of which ``file`` is the sum.

    None of them are told where FFmpeg reads it, which sees itself whether all is there.
    """

    file: object
    info: Info
    sounds: list[sounds.Sound]


@contextlib.contextmanager
def opened(path: Path, exact: bool = False) -> Iterator[Opened]:
    """``exact``: with its true length, even where only decoding tells."""
    import soundfile

    with reading.open_file(path, AudioError, "recording", buffering=0) as raw:
        source = Source(raw)
        if source.size == 0:
            raise AudioError(f"{path}: the file is empty (0 bytes)", AGAIN)
        try:
            kind, start = whole.kind(source)
            other = media_kinds.find(source, start)
            found = [] if other else sounds.among(source, kind, start)
            raw.seek(0)
        except OSError as error:
            raise AudioError(f"{path}: cannot be read: {error.strerror or error}") from None
        if other:
            with media.File(path, source, start, other) as file:
                yield Opened(file, _info_of(file, exact, raw), [])
            return
        if len(found) > sounds.MOST:
            raise AudioError(f"{path}: more than {sounds.MOST:,} recordings joined into one file", _SPLIT)
        if len(found) == 1 and found[0].fault:
            raise AudioError(f"{path}: {found[0].fault}", AGAIN)
        if not kind:
            alike = lookalikes.recording(source.at(0, lookalikes.HEAD))
            if alike:
                raise AudioError(f"{path}: not an audio file, but {alike[0]}", alike[1])
            raise AudioError(f"{path}: not an audio file, or of a kind that cannot be read", CONVERT)
        # libmpg123 prints what it finds odd.
        with hush.hushed() if found[0].kind == "mp3" else contextlib.nullcontext():
            try:
                file = _file(path, raw, found)
            except (soundfile.SoundFileError, TypeError, ValueError, RuntimeError) as error:
                other = media_kinds.instead(source, start, kind)
                if other is None:
                    raise AudioError(f"{path}: {_why_not_audio(found[0].kind, error)}", CONVERT) from None
                file = media.File(path, source, start, other)
            with file:
                if isinstance(file, media.File):
                    yield Opened(file, _info_of(file, exact, raw), [])
                    return
                samples = found[0].samples(file.frames) if len(found) == 1 else file.frames
                info = Info(file.samplerate, file.channels, samples, file.format, file.subtype)
                _check_rate(path, info.rate_hz)
                if info.samples > _DENSEST * source.size:
                    raise AudioError(f"{path}: {_NO_LENGTH}", CONVERT)
                yield Opened(file, info, found)


def _file(path: Path, raw, found: list[sounds.Sound]):
    """Open in libsndfile. Raises AudioError and what soundfile raises."""
    import soundfile

    if len(found) > 1:

        def fail(why: str) -> NoReturn:
            raise AudioError(f"{path}: {why}", _SPLIT)

        return sounds.Joined(found, fail)
    if found[0].mended or os.name == "nt":  # numbers mean nothing to the libsndfile of that
        return found[0].open()
    # By number, not by path: libsndfile takes files that lie beside it, and suffixes, into account.
    return soundfile.SoundFile(raw.fileno(), closefd=False)


def _info_of(file: media.File, exact: bool, raw) -> Info:
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


def check_complete(path: Path, opened: Opened, samples: int) -> None:
    """Raises AudioError where ``samples`` that were decoded are not all."""
    if len(opened.sounds) == 1:  # several, and what FFmpeg reads, look themselves
        fault = opened.sounds[0].unread(opened.info.samples, samples)
        if fault:
            raise AudioError(f"{path}: {fault}", CONVERT if "does not say" in fault else AGAIN)
    if samples == 0:
        raise AudioError(f"{path}: holds no samples", "record or export the sound again")
