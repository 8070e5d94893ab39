"""One recording → the items of a corpus: decoded, cut into pieces, with f0, voicing, loudness and phones."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import torch

from fastsvc import reading
from fastsvc.audio import highpass, io, loudness, mel, slicing
from fastsvc.audio.resample import resample
from fastsvc.config import FeatureConfig, MelConfig
from fastsvc.config.limits import F0_HZ
from fastsvc.config.plain import within
from fastsvc.data.store import save_arrays
from fastsvc.errors import AudioError
from fastsvc.features import f0, hum

MIN_SECONDS = 0.3
TRANSCRIPT = 256 * 2**20  # bytes
HOP_S, LONGEST_S = (1e-4, 1.0), 1e6  # between values of f0; the end of a recording
SILENT_RMS = 1e-3  # pieces that never exceed -60 dB in any frame teach nothing


@dataclass(frozen=True)
class PrepareSettings:
    """Everything that the items depend on: all items of a corpus are made with the same settings.

    ``high_pass``: as in Engine.convert. The default is off for corpora that are older than the filter; `prepare` turns
    it on for new corpora.
    """

    mel: MelConfig
    features: FeatureConfig
    max_seconds: float = 15.0
    peak: float | None = 0.95
    f0_source: str = "auto"  # auto: exact f0 from the transcript where there is one; tracker: never
    high_pass: bool = False

    def __post_init__(self):
        within("prepare", self, max_seconds=(MIN_SECONDS, 3600), peak=(0, 1))


@dataclass
class RecordingItems:
    """Descriptions of one recording's items, and the seconds of its pieces that were too short or silent."""

    items: list[dict] = field(default_factory=list)
    short_s: float = 0.0
    silent_s: float = 0.0


def bytes_needed(model_hz: int, processes: int, info: io.Info) -> float:
    """Memory for ``processes`` recordings like this at once. Recordings of 5 to 15 minutes at 24 and 96 kHz took 0.65
    to 0.7 of the estimate, plus 0.1 GB each."""
    return processes * info.seconds * (4 * info.rate_hz + 12 * model_hz)


def process(
    path: Path, name: str, out: Path, settings: PrepareSettings, phones: tuple[str, ...], processes: int = 1
) -> RecordingItems:
    """Write the items of one recording below ``out``; → their descriptions, with sums for the mel statistics.

    ``processes`` share this machine's memory. Raises AudioError where the recording or its transcript is unusable
    (io.TooLong: for want of memory), or no piece of it is long and loud enough.
    """
    config = settings.mel
    notes, needs = [], partial(bytes_needed, config.rate_hz, processes)
    audio, rate_hz = io.read(path, mono=True, needs=needs, note=notes.append)
    transcript = read_transcript(path.with_suffix(".json"), phones)
    audio = resample(audio[0], rate_hz, config.rate_hz)
    audio = highpass.high_passed(audio, config.rate_hz) if settings.high_pass else audio
    highest = float(np.abs(audio).max(initial=0.0))
    gain = settings.peak / highest if settings.peak and highest > 0 else 1.0
    audio = np.clip(audio * gain, -1.0, 1.0)
    frames = len(audio) // config.hop_samples
    f0_hz, voiced, exact = _pitch(audio, frames, settings, transcript)
    result = RecordingItems()
    items = result.items
    for start, end in _cuts(audio, settings):
        piece = CorpusPiece(start, audio[start:end], f0_hz, voiced, config, transcript)
        seconds = (end - start) / config.rate_hz
        if piece.short or piece.silent:
            result.short_s += seconds * piece.short
            result.silent_s += seconds * (not piece.short)
            continue
        item = {"id": f"{name}#{len(items)}", "file": f"items/{name}.{len(items):03d}.npz"}
        save_arrays(out / item["file"], piece.arrays)
        item |= {"notes": notes} if notes else {}
        item |= {"samples": len(piece.pcm), "frames": piece.frames, "start_s": start / config.rate_hz, "gain": gain}
        items.append(item | {"exact_f0": exact, "phones": transcript is not None, "mel_sums": piece.mel_sums(config)})
    _remove_stale(out, name, len(items))
    if not items:
        raise AudioError(
            f"{path}: {_why_nothing(len(audio) / config.rate_hz, result)}", "remove the recording, or record it again"
        )
    return result


def _why_nothing(seconds: float, result: RecordingItems) -> str:
    if seconds < MIN_SECONDS:
        return f"has {seconds:.2f} s: too short, {MIN_SECONDS} s are needed"
    silent = f"silent, nothing in it is above {20 * math.log10(SILENT_RMS):.0f} dB"
    return f"{silent}, or in pieces below {MIN_SECONDS} s" if result.short_s else silent


def _remove_stale(out: Path, name: str, count: int) -> None:
    """Remove the further items of an earlier, longer recording of this name."""
    while (path := out / f"items/{name}.{count:03d}.npz").is_file():
        path.unlink()
        count += 1


class CorpusPiece:
    """The stored arrays of one piece, and its sums of log-mel."""

    def __init__(self, start: int, audio, f0_hz, voiced, config: MelConfig, transcript: dict | None):
        hop = config.hop_samples
        self.frames = len(audio) // hop
        self.pcm = np.rint(audio * 32768).clip(-32768, 32767).astype(np.int16)
        self.waveform = torch.from_numpy(self.pcm.astype(np.float32) / 32768)[None]
        volume = loudness.frame_rms(self.waveform, hop)[0].numpy()
        first = start // hop
        self.arrays = {
            "audio": self.pcm,
            "f0_hz": f0_hz[first : first + self.frames],
            "voiced": voiced[first : first + self.frames],
            "volume": volume,
        }
        self.short = len(audio) < MIN_SECONDS * config.rate_hz
        self.silent = not float(volume.max(initial=0.0)) > SILENT_RMS
        if transcript:
            self.arrays |= _phones_within(transcript, start / config.rate_hz, len(audio) / config.rate_hz)

    def mel_sums(self, config: MelConfig) -> list[list[float]]:
        """Per bin: the sum and the sum of squares over the frames."""
        spectrum = mel.log_mel(self.waveform, config)[0].double()
        return [spectrum.sum(0).tolist(), spectrum.square().sum(0).tolist()]


def read_transcript(path: Path, phones: tuple[str, ...]) -> dict | None:
    """The phones and exact f0 in the file beside a choir's recording; None where there is no such file.

    "f0_hz" may be null: speech has phones, and a tracker finds its f0. Other people's json files (no "phones" or
    "f0_hz" inside) are ignored. Raises AudioError where it is damaged.
    """
    if not path.is_file():
        return None
    try:
        data = reading.read_json(path, TRANSCRIPT, AudioError)
        if not isinstance(data, dict) or not {"phones", "f0_hz", "f0_hop_s"} <= data.keys():
            return None
        unknown = sorted({str(symbol) for symbol, *_ in data["phones"]} - set(phones))
        if unknown:
            raise AudioError(f"{path}: unknown phones {', '.join(unknown)}", f"the known ones are {' '.join(phones)}")
        return _transcript(data, phones)
    except (ValueError, TypeError, OverflowError) as error:
        raise AudioError(f"{path}: is not a readable transcript ({error})", "render it again, or remove it") from None


def _transcript(data: dict, phones: tuple[str, ...]) -> dict:
    """The transcript as arrays. Raises ValueError naming the key whose numbers no singer could sing."""
    phone_ids = {symbol: index for index, symbol in enumerate(phones)}
    times_s = np.array([times for _, *times in data["phones"]], dtype=np.float64).reshape(-1, 2)
    if tracked := data["f0_hz"] is None:
        data = data | {"f0_hz": [], "f0_hop_s": HOP_S[1]}
    f0_hz, hop_s = np.array(data["f0_hz"], dtype=np.float64), float(data["f0_hop_s"])
    if f0_hz.ndim != 1 or not (((f0_hz == 0) | (f0_hz >= F0_HZ[0])) & (f0_hz <= F0_HZ[1])).all():
        raise ValueError(f"f0_hz must be a list of 0 or {F0_HZ[0]} … {F0_HZ[1]}")
    if not HOP_S[0] <= hop_s <= HOP_S[1]:
        raise ValueError(f"f0_hop_s is {hop_s:g}, outside {HOP_S[0]:g} … {HOP_S[1]:g}")
    if not ((times_s >= 0) & (times_s <= LONGEST_S)).all() or (times_s[:, 0] > times_s[:, 1]).any():
        raise ValueError("phones: each needs a start and an end in seconds, in that order")
    if (np.diff(times_s[:, 0]) < 0).any():
        raise ValueError("phones: they do not follow one another")
    return {
        "ids": np.array([phone_ids[symbol] for symbol, *_ in data["phones"]], dtype=np.int16),
        "times_s": times_s,
        "f0_hz": None if tracked else f0_hz,
        "f0_hop_s": hop_s,
    }


def _pitch(audio, frames, settings: PrepareSettings, transcript: dict | None):
    """f0 and voicing of the whole recording at once: trackers use the frames before and after a piece."""
    rate_hz, hop = settings.mel.rate_hz, settings.mel.hop_samples
    if transcript and transcript["f0_hz"] is not None and settings.f0_source == "auto":
        f0_hz, voiced = f0.onto_frames(transcript["f0_hz"], transcript["f0_hop_s"], rate_hz, hop, frames)
        return f0.fill(f0_hz, voiced), voiced, True
    choice = settings.features
    limits = {"low_hz": choice.f0_low_hz, "high_hz": choice.f0_high_hz, "style": choice.f0_style}
    f0_hz, voiced = f0.extract(audio, rate_hz, hop, frames, method=choice.f0_method, **limits)
    if settings.high_pass:
        hum_levels = hum.low_band(audio, rate_hz, hop, frames)
        f0_hz, voiced = hum.without_hum(hum_levels, f0_hz, voiced, choice.f0_style, choice.f0_low_hz)
    return f0_hz, voiced, False


def _cuts(audio: np.ndarray, settings: PrepareSettings) -> list[tuple[int, int]]:
    """Pieces that start on the grid of the frames."""
    hop = settings.mel.hop_samples
    cuts = slicing.slices(audio, settings.mel.rate_hz, settings.max_seconds - hop / settings.mel.rate_hz)
    starts = [start // hop * hop for start, _ in cuts]
    return list(zip(starts, [*starts[1:], len(audio)]))


def _phones_within(transcript: dict, start_s: float, length_s: float) -> dict[str, np.ndarray]:
    times = transcript["times_s"] - start_s
    inside = (times[:, 1] > 0) & (times[:, 0] < length_s)
    times = times[inside].clip(0, length_s).astype(np.float32)
    return {"phone_ids": transcript["ids"][inside], "phone_times_s": times}
