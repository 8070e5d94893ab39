"""How RVC runs a file, around the specification: high-pass, cuts at quiet places, padding, retrieval, loudness, int16.

Ours differs on purpose: it cuts nothing, and its length is exact. This form only shows that the specification is what
upstream runs. Units come from the stand-in of the golden data, f0 from its file, and all draws are 0.
"""

from pathlib import Path

import numpy as np
import rvc_golden
import scipy.signal
import torch

from fastsvc.features.f0.styles import fill
from fastsvc.model.rvc.pitch import coarse_pitch
from fastsvc.model.rvc.protection import protected

RATE_HZ, HOP = 16000, 160


def high_passed(audio: np.ndarray) -> np.ndarray:
    """[L] → [L] in float64: Butterworth of order 5 at 48 Hz, forwards and backwards."""
    return scipy.signal.filtfilt(*scipy.signal.butter(5, 48, "highpass", fs=RATE_HZ), audio)


def embedder(audio: np.ndarray) -> torch.Tensor:
    """[L] → [⌊(L − 80) / 320⌋, 768]."""
    waves = 0.05 * np.arange(400)[:, None] * np.arange(1, 769)
    windows = torch.from_numpy(audio).float().unfold(0, 400, 320)
    return torch.tanh(windows @ torch.from_numpy(np.cos(waves) / 6).float())


def cuts(audio: np.ndarray, search: int, every: int, longest: int) -> list[int]:
    """Samples before which the recording is cut, each a multiple of HOP: where it is quietest for HOP samples."""
    if len(audio) + HOP <= longest:
        return []
    level = np.abs(np.pad(audio, HOP // 2, mode="reflect"))
    level = np.convolve(level, np.ones(HOP), "valid")
    places = [t - search + int(level[t - search : t + search].argmin()) for t in range(every, len(audio), every)]
    return [place // HOP * HOP for place in places]


def stored(path: Path) -> tuple[np.ndarray, list[np.ndarray]]:
    """Centroids [lists, d] and each list's vectors [n, d] of a faiss IVF-Flat file with all lists stored."""
    data = path.read_bytes()
    d, lists = int(np.frombuffer(data, "<i4", 1, 4)[0]), int(np.frombuffer(data, "<u8", 1, 37)[0])
    centroids = np.frombuffer(data, "<f4", lists * d, 37 + 16 + 37 + 8).reshape(lists, d)
    at = data.index(b"full") + 12
    sizes, at, vectors = np.frombuffer(data, "<u8", lists, at), at + 8 * lists, []
    for size in map(int, sizes):
        vectors.append(np.frombuffer(data, "<f4", size * d, at).reshape(size, d))
        at += size * (4 * d + 8)
    return centroids, vectors


def retrieved(units: torch.Tensor, index, rate: float) -> torch.Tensor:
    """units [T, D] blended with the eight nearest vectors of the nearest list alone (nprobe 1)."""
    centroids, vectors = index
    made = []
    for unit in units.numpy():
        near = vectors[((centroids - unit) ** 2).sum(1).argmin()]
        distance = ((near - unit) ** 2).sum(1)
        best = distance.argsort()[:8]
        weight = (1 / distance[best]) ** 2
        made.append((near[best] * (weight / weight.sum())[:, None]).sum(0))
    return rate * torch.from_numpy(np.stack(made)) + (1 - rate) * units


def loudness(audio: np.ndarray, rate_hz: int) -> torch.Tensor:
    """RMS of windows of a second, every half second, zeros beyond the ends: [n], float32."""
    hop = rate_hz // 2
    padded = torch.nn.functional.pad(torch.from_numpy(audio.astype(np.float32)), (hop, hop))
    return padded.unfold(0, 2 * hop, hop).square().mean(1).sqrt()


def bent(out: np.ndarray, rate_hz: int, audio: np.ndarray, mix: float) -> np.ndarray:
    """``out`` with its loudness bent towards that of ``audio`` at 16 kHz: rms_in^(1 − mix) · rms_out^(mix − 1)."""
    curves = [
        torch.nn.functional.interpolate(loudness(*sound)[None, None], size=len(out), mode="linear")[0, 0]
        for sound in ((audio, RATE_HZ), (out, rate_hz))
    ]
    return out * (curves[0] ** (1 - mix) * curves[1].clamp(min=1e-6) ** (mix - 1)).numpy()


def convert(voice: rvc_golden.Voice, case: dict[str, np.ndarray], index=None) -> tuple[np.ndarray, list[int]]:
    """The case's recording as int16 at the voice's rate, and the lengths of its padded pieces in samples."""
    pad, search, every, longest = (int(case[name] * RATE_HZ) for name in ("pad", "query", "center", "max"))
    audio = case["audio_int16"] / 32768
    audio = audio / max(np.abs(audio).max() / 0.95, 1)
    audio = high_passed(audio)
    padded = np.pad(audio, pad, mode="reflect")
    f0_hz = case["f0"][: len(padded) // HOP]
    f0_hz = (fill(f0_hz) if case["unvoiced_filled"] else f0_hz) * 2 ** (int(case["key"]) / 12)
    borders = [0, *cuts(audio, search, every, longest)]
    made, lengths, rate_hz = [], [], voice.acoustic.config.mel.rate_hz
    for start, end in zip(borders, [*borders[1:], None]):
        last = end is None
        piece = padded[start:] if last else padded[start : end + 2 * pad + HOP]
        pitches = f0_hz[start // HOP :] if last else f0_hz[start // HOP : (end + 2 * pad) // HOP]
        out = _piece(voice, piece, pitches, case, index)
        made.append(out[pad * rate_hz // RATE_HZ :][: -pad * rate_hz // RATE_HZ])
        lengths.append(len(piece))
    out, mix = np.concatenate(made), float(case["rms_mix_rate"])
    out = out if mix == 1 else bent(out, rate_hz, audio, mix)
    return (out * (32768 / max(np.abs(out).max() / 0.99, 1))).astype(np.int16), lengths


def _piece(voice, audio: np.ndarray, f0_hz: np.ndarray, case, index) -> np.ndarray:
    units = embedder(audio)
    changed = units if index is None else retrieved(units, index, float(case["index_rate"]))
    frames = min(len(audio) // HOP, 2 * len(units))
    units, changed = (part.repeat_interleave(2, dim=0)[:frames] for part in (units, changed))
    hz = torch.from_numpy(f0_hz[:frames])
    changed = protected(changed, units, hz, float(case["protect"]))
    inputs = {
        "units": changed[None],
        "pitch": coarse_pitch(hz)[None],
        "pitchf": hz.float()[None],
        "sid": torch.tensor(int(case["sid"])),
        "noise_z": torch.zeros(1, frames, voice.acoustic.config.mel.bins),
        "noise_source": torch.zeros(1, frames * voice.acoustic.config.mel.hop_samples, 1),
    }
    return rvc_golden.run(voice, inputs)["audio"][0].numpy()
