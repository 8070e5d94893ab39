"""The picture and the table of the demo: each recording before and after its conversion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fastsvc.audio.resample import resample
from fastsvc.evaluation import drawing
from fastsvc.features import f0

RATE_HZ, HOP_SAMPLES = 24000, 240


@dataclass(frozen=True)
class ConversionRow:
    """One conversion: pitch in Hz before and after (medians), correlation of the melodies, real-time factor."""

    file: str
    seconds: float
    voice: str
    transpose: float
    f0_before_hz: float
    f0_after_hz: float
    fpc: float
    rtf: float


def pitch_of(audio: np.ndarray, rate_hz: int) -> tuple[np.ndarray, np.ndarray]:
    """(f0_hz, voiced) of audio [samples], every 10 ms, however high its rate."""
    audio = resample(audio, rate_hz, RATE_HZ)
    return f0.extract(audio, RATE_HZ, HOP_SAMPLES, len(audio) // HOP_SAMPLES)


def before_after(
    path_png,
    audio_in: np.ndarray,
    audio_out: np.ndarray,
    rate_hz: int,
    title: str = "",
    *,
    transpose: float = 0.0,
    before: str = "before",
    after: str = "after",
    pitch_in=None,
    pitch_out=None,
) -> Path:
    """One picture of a conversion, audio [samples] of equal rate: spectrograms with pitch, then both pitches in one.

    ``before`` and ``after`` name the two; pitch_in and pitch_out are :func:`pitch_of` them, if at hand.
    Raises MissingPackageError without matplotlib, OutputError where the file cannot be written.
    """
    pitch_in = pitch_of(audio_in, rate_hz) if pitch_in is None else pitch_in
    pitch_out = pitch_of(audio_out, rate_hz) if pitch_out is None else pitch_out
    frame_s, seconds = HOP_SAMPLES / RATE_HZ, max(len(audio_in), 1) / rate_hz
    options = {"sharex": True, "gridspec_kw": {"height_ratios": [1, 1, 0.8]}}
    with drawing.figure(path_png, 3, 1, (8.4, 7.0), **options) as axes:
        top, centre, bottom = axes[:, 0]
        for panel, audio, track, name in ((top, audio_in, pitch_in, before), (centre, audio_out, pitch_out, after)):
            drawing.mel_image(panel, audio, rate_hz)
            drawing.pitch_over_mel(panel, track, frame_s)
            panel.set_title(name)
        expected = (pitch_in[0] * 2 ** (transpose / 12), pitch_in[1])
        # Without a transposition both tracks should coincide: the wider line shows behind the other.
        lines = [(pitch_in, before, drawing.BEFORE, 1.3 if transpose else 3.5), (pitch_out, after, drawing.AFTER, 1.6)]
        if transpose:
            lines.insert(1, (expected, f"{before}, {transpose:+g} semitones", drawing.EXPECTED, 3.5))
        for (f0_hz, voiced), name, colour, width in lines:
            times = (np.arange(len(f0_hz)) + 0.5) * frame_s
            bottom.plot(times, drawing.gapped(f0_hz, voiced), color=colour, linewidth=width, label=name)
        drawing.pitch_axis(bottom, [track for track, *_ in lines])
        bottom.set_xlim(0, seconds)
        bottom.set_xlabel("seconds")
        bottom.set_title("pitch")
        bottom.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=3, borderaxespad=0.1)
        top.figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    return Path(path_png)


HEAD = ("file", "seconds", "voice", "transpose", "f0 before", "f0 after", "FPC", "RTF")


def file_table(rows: Sequence[ConversionRow]) -> str:
    """The rows as an aligned table that is markdown, too: readable in a terminal and in a file."""
    cells = [HEAD] + [
        (
            row.file,
            f"{row.seconds:.2f}",
            row.voice,
            f"{row.transpose:+g}",
            _or_dash(row.f0_before_hz, "{:.0f} Hz"),
            _or_dash(row.f0_after_hz, "{:.0f} Hz"),
            _or_dash(row.fpc, "{:.3f}"),
            f"{row.rtf:.2f}",
        )
        for row in rows
    ]
    widths = [max(len(line[i]) for line in cells) for i in range(len(HEAD))]
    left_aligned = {0, 2}

    def line(values):
        fitted = (v.ljust(w) if i in left_aligned else v.rjust(w) for i, (v, w) in enumerate(zip(values, widths)))
        return "| " + " | ".join(fitted) + " |"

    rule = "|" + "|".join("-" * (w + 1) + ("-" if i in left_aligned else ":") for i, w in enumerate(widths)) + "|"
    return "\n".join([line(cells[0]), rule, *map(line, cells[1:])])


def _or_dash(value: float, form: str) -> str:
    return form.format(value) if np.isfinite(value) else "–"
