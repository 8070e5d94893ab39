"""Recordings that libsndfile cannot decode (m4a, mp4, aac, webm, wma …), by FFmpeg through the package PyAV.

FFmpeg sees one open file, never a path, and is told by us which container that is, by the file's first bytes: nothing
in a file can make it open another one, or an address. It decodes in one thread, by blocks.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fastsvc.audio import media_kinds, media_whole
from fastsvc.audio.media_kinds import Kind
from fastsvc.audio.media_whole import AGAIN, JOINED
from fastsvc.errors import AudioError

if TYPE_CHECKING:
    from fastsvc.audio.whole import Source

CONVERT = "convert it to wav or flac first, for instance with ffmpeg"
INSTALL = 'install it with: pip install "fastsvc[media]" or pip install av'
_BUFFER = 1 << 16  # bytes
_MOST_SAMPLES = 1 << 20  # of a packet's channel
_MOST_CHANNELS = 255
_SLACK_S = 0.1  # by which a length may be off that is given in milliseconds, or in packets
# What FFmpeg is told: no other file, sums are checked, no packet of absurd size.
_CONTAINER = {"protocol_whitelist": "none"}
_CODEC = {"threads": "1", "err_detect": "crccheck+explode", "max_samples": str(_MOST_SAMPLES)}
_WIDTHS = {"u8": (np.uint8, 7), "s16": (np.int16, 15), "s32": (np.int32, 31), "flt": (np.float32, 0)}
_WIDTHS["dbl"] = np.float64, 0
_DEFAULT = 1  # AV_DISPOSITION_DEFAULT
_counts: dict[tuple, int] = {}  # samples of files that had to be decoded to know
_MOST_COUNTS = 4096


class File:
    """A recording open in FFmpeg, as soundfile.SoundFile offers it: :meth:`read` gives block after block.

    ``frames``: its length in samples by the header, None: it does not say; ``exact``: so many will be read.
    ``note``: what was chosen of it, or "". Raises AudioError, one line with ``path``, as its methods do: damaged, cut
    short, encrypted, without sound, of a codec that FFmpeg does not know; or the package is missing.
    """

    def __init__(self, path: Path, source: Source, start: int, kind: Kind):
        self.path, self.kind, self.format = path, kind, kind.name.upper()
        self._source, self._container, self._end = source, None, 0
        self._film = media_whole.check(path, source, start, kind)
        self._av = _package(path, kind)
        self._done, self._skip, self._slack, self._ended = 0, 0, 0.0, False
        self._trimmed = False  # at ``frames``, after which FFmpeg goes on to the end of the packet
        try:
            self._open(start)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> File:
        return self

    def __exit__(self, *details) -> None:
        self.close()

    def close(self) -> None:
        if self._container is not None:
            self._container.close()

    def _open(self, start: int) -> None:
        # FFmpeg drops the last packet where an edit's end is rounded down to before it: edits are followed here then.
        self._edited = self._film is not None and self._film.edited
        options, codec_options = _CONTAINER | self.kind.options, _CODEC | self.kind.codec_options
        if self._edited:
            options, codec_options = options | {"ignore_editlist": "1"}, codec_options | media_kinds.WHOLE
        try:
            self._container = self._av.open(
                _Bytes(self._source, start),
                format=self.kind.demuxer,
                options=codec_options,
                container_options=options,
                metadata_errors="replace",
                buffer_size=_BUFFER,
                io_open=_refused,
            )
        except (self._av.FFmpegError, ValueError, OverflowError) as error:
            raise AudioError(f"{self.path}: not {self.kind.what}, or damaged ({_told(error)})", AGAIN) from None
        self._stream, self.note = self._chosen()
        context = self._stream.codec_context
        context.thread_count, context.options = 1, codec_options
        self.subtype, self._frames = context.name.upper(), self._decoded(start)
        self._waiting = first = next(self._frames, None)
        if first is None:
            why = "damaged or cut short: none of its samples can be decoded" if self._stream.duration else "holds no samples"
            raise AudioError(f"{self.path}: {why}", "record or export it again")
        self.samplerate, self.channels = first.sample_rate, len(first.layout.channels)
        self._same = self.samplerate, self.channels, first.format.name
        if first.format.name.rstrip("p") not in _WIDTHS or self.channels > _MOST_CHANNELS:
            told = f"{self.channels} channels of {first.format.name}"
            raise AudioError(f"{self.path}: {self.kind.what} with samples that cannot be read ({told})", CONVERT)
        self.frames, self.exact = self._promised(first, start)
        self._trimmed |= self.exact or self._edited
        self._slack = 0 if self.exact else _SLACK_S * self.samplerate + max(context.frame_size or 0, first.samples)

    def _chosen(self):
        """(the stream that is marked as the default, or the first of sound; a note if there are others)"""
        sound = [stream for stream in self._container.streams if stream.type == "audio"]
        if not sound:
            pictures = any(stream.type == "video" for stream in self._container.streams)
            held = "a video without sound" if pictures else "without sound"
            raise AudioError(f"{self.path}: {self.kind.what}, {held}", "name a recording")
        chosen = next((stream for stream in sound if stream.disposition.value & _DEFAULT), sound[0])
        if chosen.codec_context is None:
            raise AudioError(f"{self.path}: {self.kind.what} in a codec that FFmpeg does not decode", CONVERT)
        if len(sound) == 1:
            return chosen, ""
        language = f" ({chosen.language})" if chosen.language not in (None, "", "und") else ""
        return chosen, f"holds {len(sound)} streams of sound, number {sound.index(chosen) + 1}{language} is taken"

    def _promised(self, first, start: int) -> tuple[int | None, bool]:
        """(samples, exact) by the header."""
        if self.kind.name == "caf" and (span := media_whole.caf_span(self._source, start)):
            self._skip, samples = span
            self._trimmed = True
            return samples, False  # FFmpeg 7 counts the last packet as whole
        rate, stream = self.samplerate, self._stream
        track = next((one for one in self._film.tracks if one.id == stream.id), None) if self._film else None
        span = track.span(self._film.scale) if track is not None and not self._film.pieces else None
        if span is not None:
            begin, length = span
            if self._edited:
                self._skip = round(begin * rate / track.scale)
            elif first.pts is not None and not begin:  # what FFmpeg takes from the beginning, as other notes ask for it
                length = max(0, length - max(0, round(first.pts * first.time_base * track.scale)))
            return round(length * rate / track.scale), rate % track.scale == 0
        if stream.duration is not None and self.kind.said:
            length = stream.duration * stream.time_base * rate
            return round(length), self.kind.exact and length.denominator == 1
        if self._container.duration and self.kind.said:
            return round(self._container.duration * rate / self._av.time_base), False
        return None, False

    def _decoded(self, start: int) -> Iterator:
        """Its frames of samples. What FFmpeg would pass over with a line on the screen is an error here."""
        try:
            for packet in self._container.demux(self._stream):
                if packet.is_corrupt:
                    raise self._damaged("a packet is not whole")
                if packet.size and packet.pos is not None and packet.pos >= 0:
                    self._end = max(self._end, start + packet.pos + packet.size)
                for frame in packet.decode():
                    if frame.samples:
                        yield frame
        except (self._av.FFmpegError, ValueError, OverflowError) as error:
            raise self._damaged(_told(error)) from None

    def read(self, samples: int, dtype: str = "float32", always_2d: bool = True) -> np.ndarray:
        """The next ``samples``, some more or, at the end, fewer, as float32 ``[samples, channels]``."""
        blocks, count = [], 0
        while count < samples and not self._ended:
            frame, self._waiting = self._waiting or next(self._frames, None), None
            if frame is None:
                self._ended = True
                self._check_end()
                break
            if (frame.sample_rate, len(frame.layout.channels), frame.format.name) != self._same:
                raise self._damaged(
                    f"goes on with {frame.sample_rate} Hz and {len(frame.layout.channels)} channels after "
                    f"{self.samplerate} Hz and {self.channels}"
                )
            block = _floats(frame, self.channels)
            block, self._skip = block[self._skip :], max(0, self._skip - len(block))
            if self.frames is not None and self._done + len(block) > self.frames:
                if not self._edited and self._done + len(block) > self.frames + _SLACK_S * self.samplerate + 2 * frame.samples + self._slack:
                    raise self._damaged("it holds more than its header promises")
                block = block[: max(0, self.frames - self._done)] if self._trimmed else block
            self._done += len(block)
            self._ended = self._edited and self._done == self.frames
            count += len(block)
            blocks.append(block)
        return np.concatenate(blocks) if blocks else np.empty((0, self.channels), np.float32)

    def _check_end(self) -> None:
        if self._end and self.kind.name != "mp4" and media_whole.follows(self._source, self._end, self.kind):
            raise AudioError(f"{self.path}: {JOINED}", CONVERT)
        alone = all(stream.type != "video" for stream in self._container.streams)
        if self.frames is not None and (alone or self.exact) and self._done < self.frames - self._slack:
            raise AudioError(
                f"{self.path}: damaged or cut short: holds {self._done:,} of {self.frames:,} samples that its header "
                "promises",
                AGAIN,
            )

    def _damaged(self, why: str) -> AudioError:
        rate = getattr(self, "samplerate", 0)
        after = f" after {self._done / rate:.2f} s" if rate else ""
        return AudioError(f"{self.path}: damaged: decoding stopped{after} ({why})", AGAIN)


def counted(path: Path, source: Source, start: int, kind: Kind, status: os.stat_result) -> int:
    """Its length in samples, by decoding all of it once; ``status`` knows it again. Raises as :class:`File` does."""
    key = status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
    if key not in _counts:
        with File(path, source, start, kind) as file:
            while len(file.read(1 << 16)):
                pass
            if len(_counts) >= _MOST_COUNTS:
                _counts.clear()
            _counts[key] = file._done
    return _counts[key]


def _package(path: Path, kind: Kind):
    try:
        import av
    except ImportError as error:
        lacks = "is not installed" if error.name == "av" else f"cannot be loaded ({error})"
        raise AudioError(f"{path}: {kind.what}, read by the package av, which {lacks}", INSTALL) from None
    return av


def _floats(frame, channels: int) -> np.ndarray:
    """[samples, channels] as float32, full scale at 1."""
    kind, bits = _WIDTHS[frame.format.name.rstrip("p")]
    values = frame.to_ndarray().view(kind)
    values = values.T if frame.format.name.endswith("p") else values.reshape(-1, channels)
    if kind is np.uint8:
        values = values.astype(np.int16) - 128
    return values.astype(np.float32) * np.float32(2.0**-bits) if bits else values.astype(np.float32)


def _told(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error).strip().rstrip(".")


def _refused(*arguments, **options):
    raise ValueError("it names other files, which are not opened")


class _Bytes:
    """``source`` from ``start`` on, as a file."""

    def __init__(self, source: Source, start: int):
        self._source, self._start, self._place = source, start, 0

    def read(self, count: int) -> bytes:
        content = self._source.at(self._start + self._place, count)
        self._place += len(content)
        return content

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._place = max(0, offset + (0, self._place, self._source.size - self._start)[whence])
        return self._place

    def tell(self) -> int:
        return self._place
