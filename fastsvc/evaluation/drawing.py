"""Parts of all pictures: figures without a display, mel spectrograms with an axis in Hz, pitch on a log axis."""

from __future__ import annotations

import contextlib

import numpy as np
import torch

from fastsvc import files
from fastsvc.audio.mel import filter_bank, log_mel
from fastsvc.audio.resample import resample
from fastsvc.config import MelConfig
from fastsvc.errors import MissingPackageError

# For the eye: finer than the models' mels, so that harmonics can be seen.
DISPLAY_MEL = MelConfig(hop_samples=240, fft_samples=2048, window_samples=1200, bins=160, low_hz=40.0)
RANGE_DB = 75.0
TICKS_HZ = (250, 500, 1000, 2000, 4000, 8000)
BEFORE, AFTER, EXPECTED, GREY = "#e08214", "#2166ac", "#969696", "#636363"
STYLE = {
    "font.size": 9,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "axes.labelcolor": GREY,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "legend.frameon": False,
    "figure.dpi": 110,
}


@contextlib.contextmanager
def figure(path, rows: int, columns: int, size: tuple[float, float], **options):
    """Axes of a new figure, written to ``path`` as PNG at the end, whole or not at all.

    Raises MissingPackageError without matplotlib, OutputError where the file cannot be written.
    """
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingPackageError("matplotlib", "drawing pictures", "train") from None
    with matplotlib.rc_context(STYLE):
        picture = Figure(figsize=size, layout="constrained")  # no pyplot: no display and no global state
        yield picture.subplots(rows, columns, squeeze=False, **options)
        with files.writing(path) as file:
            picture.savefig(file, format="png")


def mel_image(axes, audio: np.ndarray, rate_hz: int) -> None:
    """The spectrogram of audio [samples], in dB below its loudest, time in seconds, mel-spaced axis in Hz."""
    mel = log_mel(torch.from_numpy(resample(audio, rate_hz, DISPLAY_MEL.rate_hz))[None], DISPLAY_MEL)[0].numpy()
    if not len(mel):
        return
    level_db = 20.0 * mel.T
    top = float(level_db.max())
    axes.imshow(
        level_db,
        origin="lower",
        aspect="auto",
        cmap="magma",
        vmin=top - RANGE_DB,
        vmax=top,
        extent=(0.0, len(audio) / rate_hz, -0.5, DISPLAY_MEL.bins - 0.5),
        interpolation="nearest",
    )
    axes.set_yticks(bin_of(np.array(TICKS_HZ)), [hertz(f) for f in TICKS_HZ])
    axes.set_ylim(-0.5, DISPLAY_MEL.bins - 0.5)
    axes.set_ylabel("Hz")


def bin_of(hz: np.ndarray) -> np.ndarray:
    """The (fractional) bin of DISPLAY_MEL at a frequency, clamped to its ends."""
    bank = filter_bank(DISPLAY_MEL).astype(np.float64)
    bins_hz = np.arange(bank.shape[1]) * DISPLAY_MEL.rate_hz / DISPLAY_MEL.fft_samples
    centres = (bank @ bins_hz) / np.maximum(bank.sum(1), 1e-12)
    return np.interp(hz, centres, np.arange(len(centres)))


def hertz(f: float) -> str:
    return f"{f:g}" if f < 1000 else f"{f / 1000:g}k"


def gapped(f0_hz: np.ndarray, voiced: np.ndarray) -> np.ndarray:
    """f0 with NaN where unvoiced, so that a line breaks there."""
    return np.where(voiced, f0_hz, np.nan)


def pitch_over_mel(axes, track, frame_s: float, colour: str = "#7fffd4") -> None:
    """A track (f0_hz, voiced) as a thin line on a mel image."""
    f0_hz, voiced = track
    times = (np.arange(len(f0_hz)) + 0.5) * frame_s
    axes.plot(times, np.where(voiced, bin_of(np.maximum(f0_hz, 1.0)), np.nan), color=colour, linewidth=1.1)


def pitch_axis(axes, tracks) -> None:
    """A log axis in Hz, with round ticks, that holds the voiced part of all tracks."""
    values = np.concatenate([np.asarray(f0_hz)[np.asarray(voiced, bool)] for f0_hz, voiced in tracks] or [[]])
    low, high = (np.percentile(values, 0.5), np.percentile(values, 99.5)) if len(values) else (100.0, 400.0)
    axes.set_yscale("log")
    axes.set_ylim(low / 1.15, high * 1.15)
    ticks = [f for f in (60, 80, 100, 150, 200, 300, 400, 600, 800, 1000) if low / 1.15 <= f <= high * 1.15]
    axes.set_yticks(ticks, [hertz(f) for f in ticks])
    axes.minorticks_off()
    axes.set_ylabel("f0, Hz")
    axes.grid(axis="y", color="#e6e6e6", linewidth=0.8)
