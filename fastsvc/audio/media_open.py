"""An open file for FFmpeg, and which of its streams is read.

FFmpeg gets one open file, never a path, and the container's kind, which we recognise by the file's first bytes. So
nothing in a file can make it open another file or an address. It decodes in one thread.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastsvc.audio.media_completeness import AGAIN
from fastsvc.audio.media_kinds import DECODE_ALL, MediaKind
from fastsvc.errors import AudioError

if TYPE_CHECKING:
    from fastsvc.audio.file_bytes import FileBytes

CONVERT = "convert the recording to wav or flac first, for instance with ffmpeg"
INSTALL = 'install it with: pip install "fastsvc[media]" or pip install av'
_BUFFER = 1 << 16  # bytes
_MOST_SAMPLES = 1 << 20  # of a packet's channel
# No other file is opened, checksums are verified, packets of absurd size are refused.
_CONTAINER = {"protocol_whitelist": "none"}
_CODEC = {"threads": "1", "err_detect": "crccheck+explode", "max_samples": str(_MOST_SAMPLES)}
_DEFAULT = 1  # AV_DISPOSITION_DEFAULT


def package(path: Path, kind: MediaKind) -> Any:
    """PyAV. Raises AudioError where it is missing."""
    try:
        import av
    except ImportError as error:
        problem = "is not installed" if error.name == "av" else f"cannot be loaded ({error})"
        raise AudioError(f"{path}: {kind.what}, read by the package av, which {problem}", INSTALL) from None
    return av


def container(av, path: Path, content: MediaStream, kind: MediaKind, edited: bool) -> Any:
    """PyAV's container over ``content``. ``edited``: the caller applies an MP4's edits. Raises AudioError."""
    try:
        return av.open(
            content,
            format=kind.demuxer,
            options=_codec_options(kind, edited),
            container_options=_CONTAINER | kind.options | ({"ignore_editlist": "1"} if edited else {}),
            metadata_errors="replace",
            buffer_size=_BUFFER,
            io_open=_refused,
        )
    except (av.FFmpegError, ValueError, OverflowError) as error:
        raise AudioError(f"{path}: not {kind.what}, or damaged ({error_text(error)})", AGAIN) from None


def stream(opened, path: Path, kind: MediaKind, edited: bool):
    """(the default stream of sound, or else the first; a note if there are others). Raises AudioError."""
    sound = [one for one in opened.streams if one.type == "audio"]
    if not sound:
        pictures = any(one.type == "video" for one in opened.streams)
        content = "a video without sound" if pictures else "without sound"
        raise AudioError(f"{path}: {kind.what}, {content}", "name a recording")
    chosen = next((one for one in sound if one.disposition.value & _DEFAULT), sound[0])
    if chosen.codec_context is None:
        raise AudioError(f"{path}: {kind.what} in a codec that FFmpeg does not decode", CONVERT)
    chosen.codec_context.thread_count, chosen.codec_context.options = 1, _codec_options(kind, edited)
    if len(sound) == 1:
        return chosen, ""
    language = f" ({chosen.language})" if chosen.language not in (None, "", "und") else ""
    return chosen, f"holds {len(sound)} streams of sound, number {sound.index(chosen) + 1}{language} is taken"


def error_text(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error).strip().rstrip(".")


def _codec_options(kind: MediaKind, edited: bool) -> dict[str, str]:
    return _CODEC | kind.codec_options | (DECODE_ALL if edited else {})


def _refused(*arguments, **options):
    raise ValueError("it names other files, which are not opened")


class MediaStream:
    """``source`` from ``start`` on, as a file. ``error``: why reading failed; no exception can pass through C code."""

    def __init__(self, source: FileBytes, start: int):
        self._source, self._start, self._offset = source, start, 0
        self.error: OSError | None = None

    def read(self, count: int) -> bytes:
        try:
            content = self._source.at(self._start + self._offset, count)
        except OSError as error:
            self.error = self.error or error
            return b""
        self._offset += len(content)
        return content

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._offset = max(0, offset + (0, self._offset, self._source.size - self._start)[whence])
        return self._offset

    def tell(self) -> int:
        return self._offset
