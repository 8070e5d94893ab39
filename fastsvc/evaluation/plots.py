"""Plots of the tables: figures per system, one example to look at, similarities of the recordings."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from fastsvc.audio.resample import resample
from fastsvc.evaluation import drawing, pictures, pitch
from fastsvc.evaluation.choir_table import column
from fastsvc.evaluation.intervals import mean_interval

# From the least to the most converted; a system keeps its colour in all plots.
COLOURS = ("#636363", "#41ab5d", "#e08214", "#2166ac", "#4393c3", "#92c5de", "#762a83", "#c51b7d")
PITCH_COLOURS = {"source": drawing.BEFORE, "teacher": "#41ab5d", "student": drawing.AFTER}
LEFT_OUT = ("fpc_all", "voicing_f1", "mel_rtf")  # in the table, but not worth a panel


def systems(path, rows: Sequence[dict], columns: Mapping) -> Path:
    """A panel per metric: every clip as a dot, the mean and its interval of each system."""
    names = list(dict.fromkeys(row["system"] for row in rows))
    shown = [m for m in columns if m not in LEFT_OUT and any(math.isfinite(r.get(m, math.nan)) for r in rows)]
    wide = min(3, len(shown))
    high = -(-len(shown) // wide)
    with drawing.figure(path, high, wide, (3.6 * wide, (0.75 + 0.3 * len(names)) * high), sharey=True) as axes:
        for panel, metric in zip(axes.flat, shown):
            for row, name in enumerate(names):
                _strip(panel, column(rows, name, metric), row, COLOURS[row % len(COLOURS)])
            heading, _, better = columns[metric]
            panel.set_title(f"{heading}, {'0 is best' if better == 'zero' else better + 'er is better'}")
            panel.set_yticks(range(len(names)), names)
            panel.set_ylim(len(names) - 0.5, -0.5)
            panel.grid(axis="x", color="#e6e6e6", linewidth=0.8)
            panel.set_axisbelow(True)
        for panel in axes.flat[len(shown) :]:
            panel.set_visible(False)
    return Path(path)


def _strip(panel, values: np.ndarray, row: int, colour: str) -> None:
    values = values[np.isfinite(values)]
    if not len(values):
        return
    spread = np.random.default_rng(0).uniform(-0.22, 0.22, len(values))
    panel.plot(values, row + spread, ".", color=colour, alpha=0.35, markersize=4, markeredgewidth=0)
    mean, low, high = mean_interval(values)
    if math.isfinite(low):
        panel.plot([low, high], [row, row], color=colour, linewidth=5, alpha=0.5, solid_capstyle="butt")
    panel.plot([mean], [row], "o", color=colour, markersize=6, markeredgecolor="white")


def example(path, clip, outputs: Mapping, config) -> Path:
    """Spectrograms and pitch of one clip: source, true target, and some systems' outputs."""
    rate_hz = config.mel.rate_hz
    shown = [("source", resample(clip.audio, clip.rate_hz, rate_hz))]
    picked = [name for name in outputs if name.startswith(("true", "teacher"))]
    picked += [name for name in outputs if name.startswith("student")][:1]
    shown += [(name, resample(outputs[name].audio, outputs[name].rate_hz, rate_hz)) for name in picked]
    frame_s = pictures.HOP_SAMPLES / pictures.RATE_HZ
    tracks = [pictures.pitch_of(audio, rate_hz) for _, audio in shown]
    ratios = {"height_ratios": [1] * len(shown) + [0.9]}
    with drawing.figure(
        path, len(shown) + 1, 1, (8.8, 1.9 * (len(shown) + 1)), sharex=True, gridspec_kw=ratios
    ) as axes:
        for panel, (name, audio), track in zip(axes[:, 0], shown, tracks):
            drawing.mel_image(panel, audio, rate_hz)
            drawing.pitch_over_mel(panel, track, frame_s)
            panel.set_title(name)
        pitch_panel = axes[-1, 0]
        true = pitch.exact_track(clip.f0_hz, clip.f0_hop_s, len(tracks[1][0]), frame_s)
        lines = [("exact", true, drawing.EXPECTED, 3.5)]
        for (name, _), track in zip(shown, tracks):
            if name != "true target":  # its pitch is the exact one
                colour = next(c for start, c in PITCH_COLOURS.items() if name.startswith(start))
                lines.append((name, track, colour, 1.2))
        for name, (f0_hz, voiced), colour, width in lines:
            times = (np.arange(len(f0_hz)) + 0.5) * frame_s
            pitch_panel.plot(times, drawing.gapped(f0_hz, voiced), color=colour, linewidth=width, label=name)
        drawing.pitch_axis(pitch_panel, [track for _, track, *_ in lines])
        pitch_panel.set_xlim(0, clip.seconds)
        pitch_panel.set_xlabel("seconds")
        pitch_panel.set_title("pitch")
        pitch_panel.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=4, borderaxespad=0.1)
        pitch_panel.figure.suptitle(clip.name, x=0.01, ha="left", fontsize=11)
    return Path(path)


def similarities(path, rows: Sequence[dict]) -> Path:
    """Each recording and voice as a dot: similarity to the source across, to the target upwards."""
    across, upwards = (np.array([row[f"similarity_{key}"] for row in rows]) for key in ("source", "target"))
    with drawing.figure(path, 1, 1, (4.6, 4.4)) as axes:
        panel = axes[0, 0]
        low = min(across.min(), upwards.min(), 0.0) - 0.05
        panel.plot([low, 1], [low, 1], color="#bdbdbd", linewidth=1)
        voices = list(dict.fromkeys(row["target"] for row in rows))
        for number, name in enumerate(voices):
            of_voice = np.array([row["target"] == name for row in rows])
            panel.plot(
                across[of_voice],
                upwards[of_voice],
                "o",
                color=f"C{number}" if len(voices) <= 10 else "C0",
                markersize=5,
                alpha=0.8,
                label=name,
            )
        panel.set(
            xlabel="similarity to the input", ylabel="similarity to the target voice", xlim=(low, 1), ylim=(low, 1)
        )
        share = float((upwards > across).mean())
        panel.set_title(f"{share:.0%} of {len(rows)} conversions are closer to the target")
        if len(voices) <= 10:
            panel.legend(loc="lower right", fontsize=7, handletextpad=0.2, ncols=2, columnspacing=0.8)
    return Path(path)
