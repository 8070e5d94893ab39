"""Recordings that lie in files: what an engine's convert takes as a path, and a result that is written."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from fastsvc import arguments
from fastsvc.audio import encode, io
from fastsvc.engine import extraction
from fastsvc.errors import AudioError, OutputError


def recording(audio, rate_hz: int | None) -> tuple[np.ndarray, str, int]:
    """``audio`` of :meth:`fastsvc.engine.Engine.convert` → (float32 [samples], a note or "", its rate in Hz).

    A path is read with its own rate, and rate_hz is None. Raises AudioError, ConfigError.
    """
    if not isinstance(audio, (str, os.PathLike)):
        rate_hz = arguments.rate_hz(rate_hz)
        return *extraction.mono(audio, rate_hz), rate_hz
    if rate_hz is not None:
        raise AudioError(f"{audio}: a file has its own rate, and rate_hz is {rate_hz}", "omit rate_hz")
    notes: list[str] = []
    samples, rate_hz = io.read(arguments.path("audio", audio), mono=True, note=notes.append)
    return samples[0], "; ".join(notes), rate_hz


def convert_file(
    engine, path, out, speaker=None, *, bits: str = "16", overwrite: bool = False, rate_out_hz=None, **options
) -> Path:
    """Convert the recording at ``path``, mixed to one channel, into the file ``out``; returns its path.

    The suffix of ``out`` names the format: .wav, .flac, .mp3 or .ogg. ``bits``: "16", "24" or "float", as the format
    allows. rate_out_hz: None for the recording's rate, or the next one that the format carries. ``options``: those of
    :meth:`fastsvc.engine.Engine.convert`. A file that exists is replaced with ``overwrite`` alone, and the recording
    itself never. Peaks above 1 turn the whole result down. Raises AudioError, SpeakerError, ConfigError, EngineError;
    OutputError.
    """
    path, out = arguments.path("path", path), arguments.path("out", out)
    format = encode.format_of(out)
    encode.check_format(format, bits)
    if os.path.lexists(out):
        if path.exists() and out.exists() and path.samefile(out):
            raise OutputError(f"{out} is the recording itself", "choose another file for the result")
        if not arguments.flag("overwrite", overwrite):
            raise OutputError(f"{out} exists", "choose another file, or replace it with overwrite=True")
    rate_out_hz = rate_out_hz or encode.writable_rate(format, io.probe(path, exact=False).rate_hz)
    audio, rate_hz = engine.convert(path, speaker=speaker, rate_out_hz=rate_out_hz, **options)
    return encode.write(out, audio, rate_hz, format, bits, new=not overwrite).path
