"""The recordings in a file: one, or several that were joined (as by ``cat``), which are read one after another.

A joined file is as long as the sum of its recordings, each as long as in its own file (for mp3 see mp3_parts).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, BinaryIO, Literal, NoReturn, cast

import numpy as np

from fastsvc.audio import chunks, completeness, flac, mp3, mp3_chain, mp3_parts, ogg, trailing
from fastsvc.audio.file_part import FilePart, SndfileStream

if TYPE_CHECKING:
    from soundfile import SoundFile

    from fastsvc.audio.file_bytes import FileBytes
    from fastsvc.audio.mp3_chain import FrameChain

MOST = 10_000  # recordings in one file
_MP3_IN_WAV = 0x55
Dtype = Literal["float64", "float32", "int32", "int16"]  # what soundfile reads


class Sound:
    """One recording: ``source`` holds it from ``start`` on, as a file of kind ``kind``.

    ``fault``: why it is not complete, or "". ``mended``: whether libsndfile gets changed or selected bytes.
    """

    def __init__(self, source: FileBytes | FilePart, kind: str, start: int, chain: FrameChain | None = None):
        """``chain``: mp3_chain.follow at ``start``, if known. Raises OSError."""
        self.source, self.kind, self.start = source, kind, start
        self.fault = completeness.fault(source, kind, start)
        self.chain = chain or mp3_chain.follow(source, start) if kind == "mp3" else None
        part = None if self.fault else self._part()
        if part is not None:
            self.source, self.start = part, 0
            self.chain = self.chain and mp3_chain.follow(part, 0)
        self.mended = isinstance(self.source, FilePart)

    def _part(self) -> FilePart | None:
        if self.chain is not None:
            return mp3.with_true_tag(self.source, self.start, self.chain)
        return completeness.with_true_length(self.source, self.kind, self.start)

    def open(self) -> SoundFile:
        """The recording, open. Raises soundfile's errors."""
        import soundfile

        return soundfile.SoundFile(cast(BinaryIO, SndfileStream(self.source)), closefd=False)

    def samples(self, promised: int) -> int:
        """Samples a channel, where libsndfile announced ``promised``."""
        return (self.chain and mp3.samples(self.source, self.chain)) or promised

    def unread(self, promised: int, samples: int) -> str:
        """Why the decoded ``samples`` are not the whole recording, or ""."""
        if self.chain is not None:
            return mp3.unread(self.source, self.chain, promised, samples)
        if promised > samples:
            return f"damaged or cut short: holds {samples:,} of {promised:,} samples that its header promises"
        return ""


def sounds_in(source: FileBytes, kind: str, start: int) -> list[Sound]:
    """The recordings in a file of ``kind`` at ``start``, at most MOST + 1. Raises OSError."""
    offsets = _offsets(source, kind, start)
    if len(offsets) > 1:
        ends = [*offsets[1:], source.size]
        return [sound for begin, end in zip(offsets, ends) for sound in _sounds_in_part(FilePart(source, (begin, end)))]
    return _sounds_at(source, kind, start)


def _offsets(source: FileBytes | FilePart, kind: str, start: int) -> list[int]:
    """Offsets of the recordings in a file of a kind with headers."""
    if kind == "ogg":
        return ogg.links(source, start)[: MOST + 1]
    if kind == "flac":
        return flac.joints(source, start)[: MOST + 1]
    offsets = [start]
    while kind not in ("", "mp3", "nist") and len(offsets) <= MOST:
        remainder = FilePart(source, (offsets[-1], source.size))
        name, begin = completeness.kind(remainder)
        offset = trailing.seam(remainder, name, begin) if name in chunks.KINDS else -1
        if offset <= 0:
            offsets += (
                [offsets[-1] + inner for inner in _offsets(remainder, name, begin)[1:]]
                if name in ("ogg", "flac")
                else []
            )
            break
        offsets.append(offsets[-1] + offset)
    return offsets


def _sounds_in_part(part: FilePart) -> list[Sound]:
    return _sounds_at(part, *completeness.kind(part))


def _sounds_at(source: FileBytes | FilePart, kind: str, start: int) -> list[Sound]:
    if kind == "wav" and chunks.format_tag(source, start) == _MP3_IN_WAV:
        fault, audio = completeness.fault(source, kind, start), chunks.data(source, kind, start)
        if audio is not None and not fault:
            end = source.size if audio.size is None else audio.begin + audio.size
            mp3_part = FilePart(source, (audio.begin, end))
            return _sounds_at(mp3_part, "mp3", mp3.after_id3(mp3_part))
    if kind == "mp3":
        parts, first = mp3_parts.parts(source, start, MOST)
        return [Sound(part, kind, 0) for part in parts] or [Sound(source, kind, start, first)]
    return [Sound(source, kind, start)]


class Joined:
    """Several recordings as one, with the methods of soundfile.SoundFile that io uses.

    ``fail(why)`` raises; it is called where a recording cannot be opened, is incomplete, or does not match the first.
    """

    def __init__(self, sounds: Sequence[Sound], fail: Callable[[str], NoReturn]):
        self._sounds, self._fail, self._lengths = sounds, fail, []
        self._number, self._read = 0, 0
        self._file: SoundFile | None = None
        for number, sound in enumerate(sounds):
            with self._opened(number) as file:
                if number == 0:
                    self.samplerate, self.channels = file.samplerate, file.channels
                    self.format, self.subtype = file.format, file.subtype
                elif (file.samplerate, file.channels) != (self.samplerate, self.channels):
                    fail(
                        f"{len(sounds)} recordings joined into one file, of which the first has "
                        f"{_shape(self.samplerate, self.channels)}, number {number + 1} "
                        f"{_shape(file.samplerate, file.channels)}"
                    )
                self._lengths.append(sound.samples(file.frames))
        self.frames = sum(self._lengths)

    def __enter__(self) -> Joined:
        return self

    def __exit__(self, *error) -> None:
        if self._file is not None:
            self._file.close()

    def read(self, count: int, dtype: Dtype, always_2d: bool) -> np.ndarray:
        """The next samples, [up to count, channels]; empty after the last recording."""
        while self._number < len(self._sounds):
            if self._file is None:
                self._file, self._read = self._opened(self._number), 0
            block = self._block(self._file, count, dtype, always_2d)
            if len(block):
                self._read += len(block)
                return block
            self._file.close()
            why = self._sounds[self._number].unread(self._lengths[self._number], self._read)
            if why:
                self._fail(f"{self._name(self._number)}: {why}")
            self._file, self._number = None, self._number + 1
        return np.empty((0, self.channels), dtype)

    def _block(self, file: SoundFile, count: int, dtype: Dtype, always_2d: bool) -> np.ndarray:
        import soundfile

        try:
            return file.read(count, dtype=dtype, always_2d=always_2d)
        except (soundfile.SoundFileError, RuntimeError):
            seconds = self._read / self.samplerate
            self._fail(f"{self._name(self._number)}: damaged: decoding stopped after {seconds:.2f} s of it or later")

    def _opened(self, number: int) -> SoundFile:
        import soundfile

        sound = self._sounds[number]
        if sound.fault:
            self._fail(f"{self._name(number)}: {sound.fault}")
        try:
            return sound.open()
        except (soundfile.SoundFileError, TypeError, ValueError, RuntimeError):
            self._fail(f"{self._name(number)}: damaged, or of a kind that libsndfile cannot decode")

    def _name(self, number: int) -> str:
        return f"number {number + 1} of {len(self._sounds)} recordings joined into one file"


def _shape(rate_hz: int, channels: int) -> str:
    return f"{rate_hz} Hz and {channels} channel{'s' if channels > 1 else ''}"
