"""The recordings in a file: one, or several that were joined (as by ``cat``), which are read as one after another.

How long a joined file is: the sum of its recordings, each as long as in a file of its own (for mp3 see mp3_parts).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, BinaryIO, Literal, NoReturn, cast

import numpy as np

from fastsvc.audio import chunks, flac, mp3, mp3_chain, mp3_parts, ogg, trailing, whole
from fastsvc.audio.view import Part, View

if TYPE_CHECKING:
    from soundfile import SoundFile

    from fastsvc.audio.mp3_chain import Chain
    from fastsvc.audio.source import Source

MOST = 10_000  # recordings in one file
_MP3_IN_WAV = 0x55
Dtype = Literal["float64", "float32", "int32", "int16"]  # what soundfile reads


class Sound:
    """One recording: ``source`` holds it from ``start`` on, as a file of kind ``kind``.

    ``fault``: why it is not whole, or "". ``mended``: whether libsndfile is not to see it as it is in the file.
    """

    def __init__(self, source: Source | Part, kind: str, start: int, chain: Chain | None = None):
        """``chain``: mp3_chain.follow at ``start``, if it is known. Raises OSError."""
        self.source, self.kind, self.start = source, kind, start
        self.fault = whole.fault(source, kind, start)
        self.chain = chain or mp3_chain.follow(source, start) if kind == "mp3" else None
        part = None if self.fault else self._part()
        if part is not None:
            self.source, self.start = part, 0
            self.chain = self.chain and mp3_chain.follow(part, 0)
        self.mended = isinstance(self.source, Part)

    def _part(self) -> Part | None:
        if self.chain is not None:
            return mp3.view(self.source, self.start, self.chain)
        return whole.view(self.source, self.kind, self.start)

    def open(self) -> SoundFile:
        """Raises what soundfile raises."""
        import soundfile

        return soundfile.SoundFile(cast(BinaryIO, View(self.source)), closefd=False)

    def samples(self, promised: int) -> int:
        """Of each channel, where libsndfile ``promised`` so many."""
        return (self.chain and mp3.samples(self.source, self.chain)) or promised

    def unread(self, promised: int, samples: int) -> str:
        """Why ``samples``, which were decoded, are not all, or ""."""
        if self.chain is not None:
            return mp3.unread(self.source, self.chain, promised, samples)
        if promised > samples:
            return f"damaged or cut short: holds {samples:,} of {promised:,} samples that its header promises"
        return ""


def among(source: Source, kind: str, start: int) -> list[Sound]:
    """Those in a file of ``kind`` at ``start``; no more than MOST + 1 of them. Raises OSError."""
    places = _places(source, kind, start)
    if len(places) > 1:
        ends = [*places[1:], source.size]
        return [one for begin, end in zip(places, ends) for one in _alone(Part(source, (begin, end)))]
    return _in_one(source, kind, start)


def _places(source: Source | Part, kind: str, start: int) -> list[int]:
    """Where they begin, in files of the kinds that have a header."""
    if kind == "ogg":
        return ogg.links(source, start)[: MOST + 1]
    if kind == "flac":
        return flac.joints(source, start)[: MOST + 1]
    found = [start]
    while kind not in ("", "mp3", "nist") and len(found) <= MOST:
        rest = Part(source, (found[-1], source.size))
        name, begin = whole.kind(rest)
        place = trailing.seam(rest, name, begin) if name in chunks.KINDS else -1
        if place <= 0:
            found += [found[-1] + more for more in _places(rest, name, begin)[1:]] if name in ("ogg", "flac") else []
            break
        found.append(found[-1] + place)
    return found


def _alone(part: Part) -> list[Sound]:
    return _in_one(part, *whole.kind(part))


def _in_one(source: Source | Part, kind: str, start: int) -> list[Sound]:
    if kind == "wav" and chunks.format_tag(source, start) == _MP3_IN_WAV:
        fault, audio = whole.fault(source, kind, start), chunks.data(source, kind, start)
        if audio is not None and not fault:
            end = source.size if audio.size is None else audio.begin + audio.size
            inside = Part(source, (audio.begin, end))
            return _in_one(inside, "mp3", mp3.after_id3(inside))
    if kind == "mp3":
        parts, first = mp3_parts.parts(source, start, MOST)
        return [Sound(part, kind, 0) for part in parts] or [Sound(source, kind, start, first)]
    return [Sound(source, kind, start)]


class Joined:
    """Several recordings as one, of which io uses what it uses of a soundfile.SoundFile.

    ``fail(why)`` is called where one of them cannot be opened, is not whole, or does not go with the first: it raises.
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
        """[up to count, channels]; empty at the end of the last."""
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
