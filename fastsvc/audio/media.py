"""Recordings that libsndfile cannot decode (m4a, mp4, aac, webm, wma …), block by block, by FFmpeg through PyAV."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fastsvc.audio import media_completeness, media_open
from fastsvc.audio.media_completeness import AGAIN, JOINED
from fastsvc.audio.media_kinds import MediaKind
from fastsvc.audio.media_open import CONVERT, error_text
from fastsvc.errors import AudioError

if TYPE_CHECKING:
    from fastsvc.audio.file_bytes import FileBytes

_MOST_CHANNELS = 255
_SLACK_S = 0.1  # error of a length in milliseconds or in packets
# Samples as FFmpeg names them (with a p where each channel has its own plane): type, and bits below full scale.
_SAMPLES = {
    "u8": (np.uint8, 7),
    "s16": (np.int16, 15),
    "s32": (np.int32, 31),
    "flt": (np.float32, 0),
    "dbl": (np.float64, 0),
}
_LONGEST_S = 48 * 3600  # most seconds that are decoded only to count samples
_counts: dict[tuple, int] = {}  # {file: samples} of files that were decoded to count
_MOST_COUNTS = 4096


class MediaFile:
    """A recording open in FFmpeg, as soundfile.SoundFile offers it: :meth:`read` gives block after block.

    ``frames``: samples by the header, None: unknown; ``exact``: exactly ``frames`` will be read. ``note``: which stream
    was chosen, or "". Raises AudioError, one line with ``path``, as its methods do: damaged, cut short, encrypted,
    without sound, of a codec that FFmpeg does not know; or the package is missing.
    """

    def __init__(self, path: Path, source: FileBytes, start: int, kind: MediaKind):
        self.path, self.kind, self.format = path, kind, kind.name.upper()
        self._source, self._start = source, start
        self._container: Any = None  # PyAV's InputContainer, once it is open
        self._content = media_open.MediaStream(source, start)
        self._decoded_samples = self._read_samples = self._packets_end = 0  # the last: offset after the last packet
        self._ended = False
        with self._reading():
            self._movie = media_completeness.check(path, source, start, kind)
            # FFmpeg drops the last packet where an edit's end is rounded down to before it, so edits are applied here.
            self._edited = self._movie is not None and self._movie.edited
            self._av = media_open.package(path, kind)
            self._open()

    def __enter__(self) -> MediaFile:
        return self

    def __exit__(self, *details) -> None:
        self.close()

    def close(self) -> None:
        if self._container is not None:
            self._container.close()

    @contextlib.contextmanager
    def _reading(self) -> Iterator[None]:
        """Close the file on any error. An error of the disk takes precedence."""
        try:
            yield
            if self._content.error:
                raise self._content.error
        except BaseException as reason:
            self.close()
            error = self._content.error or reason
            if isinstance(error, OSError):
                raise AudioError(f"{self.path}: cannot be read: {error.strerror or error}", AGAIN) from None
            raise

    def _open(self) -> None:
        self._container = media_open.container(self._av, self.path, self._content, self.kind, self._edited)
        self._stream, self.note = media_open.stream(self._container, self.path, self.kind, self._edited)
        self.subtype, self._frames = self._stream.codec_context.name.upper(), self._decode()
        self._next_frame = first = next(self._frames, None)
        if first is None:
            damaged = "damaged or cut short: none of its samples can be decoded"
            why = damaged if self._stream.duration else "holds no samples"
            raise AudioError(f"{self.path}: {why}", "record or export the sound again")
        self.samplerate, self.channels = first.sample_rate, len(first.layout.channels)
        self._sample_format = self.samplerate, self.channels, first.format.name
        if first.format.name.rstrip("p") not in _SAMPLES or self.channels > _MOST_CHANNELS:
            why = f"{self.channels} channels of {first.format.name}"
            raise AudioError(f"{self.path}: {self.kind.what} with samples that cannot be read ({why})", CONVERT)
        self.frames, self.exact, self._parts = self._promised(first)
        packet = max(self._stream.codec_context.frame_size or 0, first.samples)
        self._most_missing = 0 if self.exact else _SLACK_S * self.samplerate + packet
        if not self._stream.duration and self._stream.start_time:  # sound begins later than the movie
            self._most_missing += max(0, round(self._stream.start_time * self._stream.time_base * self.samplerate))
        self._most_extra = _SLACK_S * self.samplerate + 2 * packet

    def _promised(self, first) -> tuple[int | None, bool, list[tuple[int, int]]]:
        """(samples, exact, the parts of the decoded samples that belong to it; []: all) by the header."""
        rate, stream = self.samplerate, self._stream
        if self.kind.name == "caf" and (span := media_completeness.caf_span(self._source, self._start)):
            # Not exact: FFmpeg 7 counts the last packet as full.
            return span[1] or None, False, [(span[0], sum(span))] if span[1] else []
        movie = self._movie
        track = next((one for one in movie.tracks if one.id == stream.id), None) if movie else None
        if movie and track is not None and not movie.fragmented and (spans := track.spans(movie.scale)):
            parts = [(round(begin * rate / track.scale), round(end * rate / track.scale)) for begin, end in spans]
            if any(end > begin for (_, end), (begin, _) in itertools.pairwise(parts)):
                raise AudioError(f"{self.path}: {self.kind.what} whose edits play parts of it again", CONVERT)
            if not self._edited and first.pts is not None:  # FFmpeg cuts the beginning where tags say so
                parts = [(0, max(0, parts[0][1] - max(0, round(first.pts * first.time_base * rate))))]
            return sum(end - begin for begin, end in parts), rate % track.scale == 0, parts
        if not media_completeness.says_its_length(self._source, self._start, self.kind):
            return None, False, []
        if stream.duration:
            length = stream.duration * stream.time_base * rate
            exact = self.kind.exact and length.denominator == 1
            return round(length), exact, [(0, round(length))] if exact else []
        if self._container.duration:  # from the beginning of the movie to the end of its longest stream
            return round(self._container.duration * rate / self._av.time_base), False, []
        return None, False, []

    def _decode(self) -> Iterator:
        """The decoded frames. Errors that FFmpeg would only print and skip raise AudioError here."""
        try:
            for packet in self._container.demux(self._stream):
                if packet.is_corrupt:
                    raise self._damaged("a packet is not whole")
                if packet.size and packet.pos is not None and packet.pos >= 0:
                    self._packets_end = max(self._packets_end, self._start + packet.pos + packet.size)
                for frame in packet.decode():
                    if frame.samples:
                        yield frame
        except (self._av.FFmpegError, ValueError, OverflowError) as error:
            raise self._damaged(error_text(error)) from None

    def read(self, samples: int, dtype: str = "float32", always_2d: bool = True) -> np.ndarray:
        """About the next ``samples``, at the end fewer, as float32 ``[samples, channels]``."""
        blocks, count = [], 0
        with self._reading():
            while count < samples and not self._ended:
                frame, self._next_frame = self._next_frame or next(self._frames, None), None
                if frame is None:
                    self._ended = True
                    self._check_end()
                    break
                block = self._block(frame)
                self._read_samples += len(block)
                self._ended = self._edited and self._decoded_samples >= self._parts[-1][1]
                count += len(block)
                blocks.append(block)
        return np.concatenate(blocks) if blocks else np.empty((0, self.channels), np.float32)

    def _block(self, frame) -> np.ndarray:
        """[samples, channels] of a frame, without samples that by the header do not belong to the recording."""
        if (frame.sample_rate, len(frame.layout.channels), frame.format.name) != self._sample_format:
            raise self._damaged(
                f"goes on with {frame.sample_rate} Hz and {len(frame.layout.channels)} channels after "
                f"{self.samplerate} Hz and {self.channels}"
            )
        block, start = _floats(frame, self.channels), self._decoded_samples
        self._decoded_samples += len(block)
        end = self._parts[-1][1] if self._parts else self.frames
        if end is not None and self._decoded_samples > end + self._most_extra and not self._edited:
            raise self._damaged("it holds more than its header promises")
        if not self._parts:
            return block
        parts = [part for part in self._parts if part[0] < self._decoded_samples and part[1] > start] or [
            (start, start)
        ]
        return np.concatenate([block[max(0, begin - start) : end - start] for begin, end in parts])

    def _check_end(self) -> None:
        if (
            self._packets_end
            and self.kind.name != "mp4"
            and media_completeness.follows(self._source, self._packets_end, self.kind)
        ):
            raise AudioError(f"{self.path}: {JOINED}", CONVERT)
        length_is_known = len(self._container.streams) == 1 or bool(self._stream.duration)
        if (
            self.frames is not None
            and (length_is_known or self.exact)
            and self._read_samples < self.frames - self._most_missing
        ):
            raise AudioError(
                f"{self.path}: damaged or cut short: holds {self._read_samples:,} of {self.frames:,} samples that "
                "its header promises",
                AGAIN,
            )

    def _damaged(self, why: str) -> AudioError:
        rate = getattr(self, "samplerate", 0)
        after = f" after {self._read_samples / rate:.2f} s" if rate else ""
        return AudioError(f"{self.path}: damaged: decoding stopped{after} ({why})", AGAIN)


def samples(one: MediaFile, exact: bool, status: os.stat_result) -> int:
    """The length of ``one`` in samples, by the header or else by decoding it once. Raises as :class:`MediaFile`.

    ``status``: the file's, which identifies it in later calls.
    """
    if one.frames is not None and (one.exact or not exact):
        return one.frames
    key = status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
    count = _counts.get(key)  # other threads may clear it meanwhile
    if count is None:
        with MediaFile(one.path, one._source, one._start, one.kind) as file:
            while len(file.read(1 << 16)):
                if file._read_samples > _LONGEST_S * file.samplerate:  # a few bytes may decode to a million samples
                    why = f"more than {_LONGEST_S // 3600} h long, or damaged: its header does not say how long it is"
                    raise AudioError(f"{one.path}: {why}", CONVERT)
            if len(_counts) >= _MOST_COUNTS:
                _counts.clear()
            _counts[key] = count = file._read_samples
    return count


def _floats(frame, channels: int) -> np.ndarray:
    """[samples, channels] as float32, full scale at 1."""
    kind, bits = _SAMPLES[frame.format.name.rstrip("p")]
    values = frame.to_ndarray().view(kind)
    values = values.T if frame.format.name.endswith("p") else values.reshape(-1, channels)
    if kind is np.uint8:
        values = values.astype(np.int16) - 128
    return values.astype(np.float32) * np.float32(2.0**-bits) if bits else values.astype(np.float32)
