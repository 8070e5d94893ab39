"""A stream between two pipes: raw samples in, raw samples out, each block as soon as it is final."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fastsvc.engine.stream import unusable

FORMATS = {"f32": np.dtype("<f4"), "s16": np.dtype("<i2")}
READ_BYTES = 1 << 16


@dataclass
class Piped:
    """What went through. ``replaced``: samples that were not finite or huge, taken as silence; ``cut``: bytes of a last
    sample that was not whole; ``closed``: the reader of the output went away first."""

    samples: int = 0
    replaced: int = 0
    cut: int = 0
    closed: bool = False


def run(stream, source, sink, format: str) -> Piped:
    """Convert all of ``source`` (readinto) into ``sink`` (write), both binary and unbuffered, mono samples of a format.

    Ends with the input, or when nobody reads the output any more.
    """
    piped, rest, buffer = Piped(), b"", bytearray(READ_BYTES)
    try:
        while True:
            count = source.readinto(buffer)
            if not count:
                break
            content = rest + bytes(buffer[:count])
            whole = len(content) - len(content) % FORMATS[format].itemsize
            samples, rest = decoded(content[:whole], format), content[whole:]
            wrong = unusable(samples)
            piped.samples, piped.replaced = piped.samples + len(samples), piped.replaced + int(wrong.sum())
            samples[wrong] = 0
            _write(sink, encoded(stream.push(samples), format))
        piped.cut = len(rest)
        _write(sink, encoded(stream.flush(), format))
    except BrokenPipeError:
        piped.closed = True
    return piped


def decoded(content: bytes, format: str) -> np.ndarray:
    """Bytes → float32 samples, s16's full scale being 1."""
    samples = np.frombuffer(content, FORMATS[format]).astype(np.float32)
    return samples / 32768 if format == "s16" else samples


def encoded(samples: np.ndarray, format: str) -> bytes:
    """float32 samples → bytes; s16 is rounded, and cut at full scale."""
    if format == "s16":
        samples = np.rint(samples * 32768).clip(-32768, 32767)
    return samples.astype(FORMATS[format]).tobytes()


def _write(sink, content: bytes) -> None:
    view = memoryview(content)
    while view:  # a raw pipe may take a part at a time
        view = view[sink.write(view) or 0 :]
