"""Writing recordings, complete or not at all."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np

from fastsvc import files
from fastsvc.config.shown import shown
from fastsvc.errors import OutputError

# format name -> (file suffix, libsndfile's format, {subtype in options: libsndfile's})
FORMATS = {
    "wav": (".wav", "WAV", {"16": "PCM_16", "24": "PCM_24", "float": "FLOAT"}),
    "flac": (".flac", "FLAC", {"16": "PCM_16", "24": "PCM_24"}),
    "mp3": (".mp3", "MP3", {"16": "MPEG_LAYER_III"}),
    "ogg": (".ogg", "OGG", {"16": "VORBIS"}),
}
_MP3_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
_MAX_CHANNELS = {"wav": 1024, "flac": 8, "mp3": 2, "ogg": 255}  # libsndfile crashes writing Vorbis of 256
_MAX_RATE = {"flac": 655350, "ogg": 192000}
_FINE_RATES = 65535  # FLAC counts rates above it in tens
# A WAV file's sizes have 32 bits: longer ones are written as RF64, which is WAV with sizes in 64 bits.
LARGEST_WAV = (1 << 32) - (1 << 16)  # bytes of audio
_LONG = "choose --format wav, or split the recording into shorter files"
_BYTES = {"16": 2, "24": 3, "float": 4}
_MP3_BYTES_A_SECOND = 40_000  # at most; its tag counts bytes in 32 bits
MOST_SECONDS = {"mp3": (1 << 32) / _MP3_BYTES_A_SECOND}
MOST_SAMPLES = {"flac": (1 << 36) - 1}
_BLOCK_SAMPLES = 1 << 16  # libsndfile's Vorbis encoder keeps a whole call's samples on the stack


@dataclass(frozen=True)
class Written:
    """A written output: ``gain`` is below 1 where it was turned down to avoid clipping; ``large``: it is RF64."""

    path: Path
    gain: float
    peak: float
    large: bool = False


def check_format(format: str, subtype: str | None = None) -> None:
    """Raises OutputError when there is no such format, or it has no such subtype."""
    if format not in FORMATS:
        raise OutputError(f"unknown output format {shown(format)}", f"use one of {', '.join(FORMATS)}")
    if subtype is not None and subtype not in FORMATS[format][2]:
        raise OutputError(
            f"{format} cannot be written with {shown(subtype)} bits", f"use one of {', '.join(FORMATS[format][2])}"
        )


def format_of(path: str | os.PathLike) -> str:
    """The format that the suffix of ``path`` names. Raises OutputError where it names none."""
    suffix = Path(path).suffix.lower()
    for format, (own, _, _) in FORMATS.items():
        if suffix == own:
            return format
    known = ", ".join(own for own, _, _ in FORMATS.values())
    raise OutputError(f"{path}: its suffix names no format that is written", f"use one of {known}")


def check_channels(format: str, channels: int) -> None:
    """Raises OutputError when ``format`` cannot carry that many channels."""
    if channels > _MAX_CHANNELS[format]:
        raise OutputError(
            f"{channels} channels: {format} carries {_MAX_CHANNELS[format]} at most",
            "mix them with --channels mono, or choose --format wav",
        )


def check_length(format: str, samples: int, rate_hz: int) -> None:
    """Raises OutputError when ``format`` cannot carry that many samples a channel."""
    seconds, most_s, most_samples = samples / rate_hz, MOST_SECONDS.get(format), MOST_SAMPLES.get(format)
    if most_s is not None and seconds > most_s:
        raise OutputError(f"{seconds / 3600:.1f} h: {format} carries {most_s / 3600:.1f} h at most", _LONG)
    if most_samples is not None and samples > most_samples:
        raise OutputError(f"{samples:,} samples: {format} carries {most_samples:,} at most", _LONG)


def is_large(format: str, samples: int, channels: int, subtype: str | None) -> bool:
    """Whether the audio is too large for WAV, so that RF64 is written."""
    return format == "wav" and samples * channels * _BYTES[subtype or "16"] > LARGEST_WAV


def writable_rate(format: str, rate_hz: int) -> int:
    """``rate_hz`` itself where ``format`` can carry it, else the next rate that can (the highest, if none is above)."""
    if format == "mp3":
        return next((rate for rate in _MP3_RATES if rate >= rate_hz), _MP3_RATES[-1])
    if format == "flac" and rate_hz > _FINE_RATES:
        rate_hz += -rate_hz % 10
    return min(rate_hz, _MAX_RATE.get(format, rate_hz))


def write(
    path: str | os.PathLike,
    audio: np.ndarray,
    rate_hz: int,
    format: str = "wav",
    subtype: str | None = None,
    approve: Callable[[os.stat_result], None] | None = None,
    new: bool = False,
) -> Written:
    """Write ``audio [channels, samples]`` or ``[samples]`` to ``path``; an existing file there is replaced at the end.

    ``subtype`` is "16" (default), "24" or "float" (wav only). Peaks above 1 are never clipped: the whole recording
    is turned down instead, and the gain returned. Missing folders are made. ``approve`` is called when the file is
    complete and not yet at ``path``; if it raises, the file is dropped. ``new``: a file that appeared at ``path``
    meanwhile is kept, with an OutputError. Raises OutputError on every failure: no permission, full disk, a rate that
    the format cannot carry, NaN.
    """
    check_format(format, subtype)
    path, audio = Path(path), np.atleast_2d(np.asarray(audio))
    if writable_rate(format, rate_hz) != rate_hz:
        raise OutputError(f"{path}: {format} cannot carry {rate_hz} Hz", f"use {writable_rate(format, rate_hz)} Hz")
    check_channels(format, len(audio))
    check_length(format, audio.shape[1], rate_hz)
    peak = float(max(-audio.min(), audio.max())) if audio.size else 0.0
    if not np.isfinite(peak):
        raise OutputError(f"{path}: not written, as the result holds NaN or infinite samples", "please report this")
    gain = 1.0 / peak if peak > 1.0 and subtype != "float" else 1.0
    with files.writing(path, new=new, remedy="choose another output folder with -o") as raw:
        _encode(_Sink(raw), audio, rate_hz, gain, format, subtype)
        if approve is not None:
            raw.flush()
            approve(os.fstat(raw.fileno()))
    return Written(path, gain, peak, is_large(format, audio.shape[1], len(audio), subtype))


def reason(error: Exception) -> str:
    """libsndfile's message, without the Python object that soundfile adds."""
    text = str(getattr(error, "error_string", error)).strip().removeprefix("Error : ").rstrip(".")
    return text or type(error).__name__


def _encode(sink: _Sink, audio: np.ndarray, rate_hz: int, gain: float, format: str, subtype: str | None) -> None:
    import soundfile

    _, container, subtypes = FORMATS[format]
    container = "RF64" if is_large(format, audio.shape[1], len(audio), subtype) else container
    try:
        with soundfile.SoundFile(
            cast(BinaryIO, sink), "w", rate_hz, len(audio), format=container, subtype=subtypes[subtype or "16"]
        ) as file:
            for start in range(0, audio.shape[1], _BLOCK_SAMPLES):
                block = audio[:, start : start + _BLOCK_SAMPLES].T.astype(np.float32)
                file.write(block * np.float32(gain) if gain != 1.0 else block)
                sink.check()
    except (soundfile.SoundFileError, AssertionError, RuntimeError) as error:
        sink.check()  # the true cause, where writing failed
        raise OSError(errno.EIO, f"the encoder failed ({reason(error)})") from None
    sink.check()


class _Sink:
    """A file for libsndfile that records errors: an exception cannot pass through C code."""

    def __init__(self, raw):
        self._raw = raw
        self._error: BaseException | None = None

    def check(self) -> None:
        if self._error is not None:
            raise self._error

    def _guard(self, call, *args):
        try:
            return call(*args)
        except BaseException as error:  # KeyboardInterrupt too
            self._error = self._error or error
            return 0

    def write(self, data) -> int:
        return self._guard(self._raw.write, data)

    def read(self, size: int = -1) -> bytes:
        return self._guard(self._raw.read, size) or b""

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._guard(self._raw.seek, offset, whence)

    def tell(self) -> int:
        return self._guard(self._raw.tell)
