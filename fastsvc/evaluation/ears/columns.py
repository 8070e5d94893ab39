"""The ears as columns of `fastsvc evaluate`: loaded where the extra `ears` is installed, or left out with a note."""

from __future__ import annotations

import numpy as np

from fastsvc.evaluation.ears import faults, melody, opinion, packages, voice
from fastsvc.evaluation.ears.modes import ALWAYS, NEVER

# column: (heading, decimals, what is better)
COLUMNS = {
    "mos": ("MOS", 2, "high"),
    "voice_to_source": ("voice to source", 3, "low"),
    "f0_within_50": ("f0 within 50 cents", 3, "high"),
    "level_db": ("level dB", 1, "zero"),
    "pauses_db": ("pauses dB", 1, "zero"),
    "smear_db": ("before onsets dB", 1, "zero"),
    "sharpness": ("sharpness", 2, "high"),
}


def wanted(mode: str) -> tuple[bool, str]:
    """Whether the ears listen, and a note where they do not although nobody forbade it.

    Raises MissingPackageError or CheckpointError in the mode "always" where a package is missing.
    """
    if mode == NEVER:
        return False, ""
    missing = packages.missing()
    if mode == ALWAYS:
        for module in missing:
            packages.require(module)
    if missing:
        return False, f"Public judges are not measured: {', '.join(missing)} not installed (docs/ears.md)."
    return True, ""


def of_choir(made: tuple[np.ndarray, int], truth: tuple[np.ndarray, int]) -> dict[str, float]:
    """The choir's columns of a result (audio, rate_hz) whose true target is known."""
    return {"mos": opinion.mos(*made), "voice_to_truth": voice.similarity(voice.embed(*made), voice.embed(*truth))}


def of_recording(made: np.ndarray, source: np.ndarray, rate_hz: int, semitones: float) -> dict[str, float]:
    """:data:`COLUMNS` of a result [samples] and the recording [samples] that it was made from, both at ``rate_hz``."""
    own = voice.similarity(voice.embed(made, rate_hz), voice.embed(source, rate_hz))
    tracks = melody.track(made, rate_hz), melody.track(source, rate_hz)
    found = {"mos": opinion.mos(made, rate_hz), "voice_to_source": own}
    found["f0_within_50"] = melody.within(*tracks, semitones)
    return found | faults.all_faults((made, rate_hz), (source, rate_hz))
