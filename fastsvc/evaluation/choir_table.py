"""Every system on the same clips of unseen singers and songs, against the true target."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fastsvc.audio.resample import resample
from fastsvc.config import AcousticConfig
from fastsvc.evaluation import phones, pitch, singers, spectrum
from fastsvc.evaluation.clips import Clip
from fastsvc.evaluation.ears import columns as ears
from fastsvc.evaluation.systems import System, SystemOutput
from fastsvc.features import f0

# column: (heading, decimals, what is better)
COLUMNS = {
    "mel_l1": ("mel L1", 3, "low"),
    "mcd_db": ("MCD dB", 2, "low"),
    "mcd_c0_db": ("MCD with c₀ dB", 2, "low"),
    "level_db": ("level dB", 1, "zero"),
    "fpc_voiced": ("FPC voiced", 3, "high"),
    "fpc_all": ("FPC all frames", 3, "high"),
    "f0_rmse_cents": ("f0 RMSE cents", 1, "low"),
    "voicing_f1": ("V/UV F1", 3, "high"),
    "phone_error_rate": ("PER", 3, "low"),
    "mel_phone_error_rate": ("PER of the mel", 3, "low"),
    "singer_correct": ("singer accuracy", 3, "high"),
    "singer_similarity": ("similarity", 3, "high"),
    "mel_singer_similarity": ("similarity of the mel", 3, "high"),
    "rtf": ("RTF", 3, "low"),
    "mel_rtf": ("mel RTF", 3, "low"),
    # of the public judges, fastsvc/evaluation/ears: against the true target
    "mos": ("MOS", 2, "high"),
    "voice_to_truth": ("voice to target", 3, "high"),
}


@dataclass(frozen=True, eq=False)
class TrueTarget:
    """The true target at the mel's rate: audio, exact pitch at its frames, and pitch as tracked."""

    audio: np.ndarray
    exact: tuple[np.ndarray, np.ndarray]
    tracked: tuple[np.ndarray, np.ndarray]

    @staticmethod
    @functools.lru_cache(maxsize=64)  # many systems, in an ablation many engines, are measured on the same clips
    def of(clip: Clip, config: AcousticConfig) -> TrueTarget:
        mel = config.mel
        audio = resample(clip.truth, clip.rate_hz, mel.rate_hz)
        frames = len(audio) // mel.hop_samples
        exact = pitch.exact_track(clip.f0_hz, clip.f0_hop_s, frames, 1 / mel.frame_rate_hz)
        return TrueTarget(audio, exact, track(audio, config, frames))


def measure(
    clip: Clip,
    output: SystemOutput,
    target: TrueTarget,
    config: AcousticConfig,
    recogniser,
    verifier,
    centroids: Mapping,
    public: bool = False,
) -> dict:
    """One row's figures, without those of a missing judge. NaN where a figure does not exist.

    Melody is compared with the exact pitch. Voicing is a tracker's opinion (the score calls the closure of a b
    voiced), so figures that depend on voicing are compared with the tracked truth, as Amphion does.
    public: whether the public judges listen, too.
    """
    audio = resample(output.audio, output.rate_hz, config.mel.rate_hz)
    tracked = track(audio, config, len(target.exact[0]))
    figures = spectrum.compare(audio, target.audio, config.mel) | pitch.compare(tracked, target.exact)
    figures["fpc_all"] = pitch.fpc_all(*tracked, *target.tracked)
    figures["voicing_f1"] = pitch.voicing_f1(tracked[1], target.tracked[1])
    if recogniser is not None:
        symbols = phones.recognise(recogniser, output.audio, output.rate_hz)
        figures["phone_error_rate"] = phones.error_rate(symbols, phones.reference_phones(clip.phones))
        if output.mel is not None and recogniser.config.mel == config.mel:
            mel_symbols = phones.recognise_mel(recogniser, output.mel)
            figures["mel_phone_error_rate"] = phones.error_rate(mel_symbols, phones.reference_phones(clip.phones))
    if verifier is not None:
        voice = singers.embed(verifier, output.audio, output.rate_hz)
        figures["singer_heard"] = singers.nearest(voice, centroids)
        figures["singer_correct"] = float(figures["singer_heard"] == clip.target)
        figures["singer_similarity"] = singers.similarity(voice, centroids[clip.target])
        if output.mel is not None and verifier.config.mel == config.mel:
            voice = singers.embed_mel(verifier, output.mel)
            figures["mel_singer_similarity"] = singers.similarity(voice, centroids[clip.target])
    if public:
        figures |= ears.of_choir((output.audio, output.rate_hz), (clip.truth, clip.rate_hz))
    return figures | {"rtf": output.seconds / clip.seconds, "mel_rtf": output.mel_seconds / clip.seconds}


def track(audio: np.ndarray, config: AcousticConfig, frames: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """(f0_hz, voiced) of audio at the mel's rate on mel frames, with the engine's tracker and range."""
    mel, spec = config.mel, config.features
    frames = len(audio) // mel.hop_samples if frames is None else frames
    limits = {"low_hz": spec.f0_low_hz, "high_hz": spec.f0_high_hz, "style": spec.f0_style}
    return f0.extract(audio, mel.rate_hz, mel.hop_samples, frames, method=spec.f0_method, **limits)


def rows(
    clips: Iterable[Clip],
    systems: Sequence[System],
    config: AcousticConfig,
    *,
    recogniser,
    verifier,
    centroids,
    seed=0,
    public: bool = False,
) -> Iterable[tuple[dict, Clip, dict[str, SystemOutput]]]:
    """For each clip: (a row per system, the clip, the systems' outputs by name, for pictures)."""
    for index, clip in enumerate(clips):
        outputs = {system.name: system.make(clip, seed + index) for system in systems}
        target, judges = TrueTarget.of(clip, config), (recogniser, verifier, centroids, public)
        head = {
            "clip": index,
            "source": clip.source,
            "target": clip.target,
            "song": clip.song,
            "semitones": clip.semitones,
            "seconds": round(clip.seconds, 3),
        }
        yield (
            [
                head | {"system": name} | measure(clip, output, target, config, *judges)
                for name, output in outputs.items()
            ],
            clip,
            outputs,
        )


def column(table: Sequence[dict], system: str, metric: str) -> np.ndarray:
    """One system's values of one metric in the order of the clips, NaN where missing -> [clips]."""
    return np.array([row.get(metric, math.nan) for row in table if row["system"] == system], np.float64)
