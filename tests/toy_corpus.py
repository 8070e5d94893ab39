"""A prepared corpus of a few seconds: two singers of harmonic tones on vowels of two formants."""

import json

import numpy as np

from fastsvc.config import FeatureConfig, MelConfig, to_dict
from fastsvc.data.corpus import Corpus

MEL = MelConfig(rate_hz=16000, hop_samples=160, fft_samples=512, window_samples=512, bins=24, high_hz=8000.0)
VOWELS = ((700, 1200), (300, 2300), (450, 900))
FRAMES = 96


def sing(rng, singer: int) -> dict:
    """One clip: a gliding tone through the vowels, with vibrato; the second singer is brighter and higher."""
    samples = FRAMES * MEL.hop_samples
    seconds = np.arange(samples) / MEL.rate_hz
    f0 = (160, 260)[singer] * 2 ** (0.02 * np.sin(2 * np.pi * 5 * seconds) + rng.uniform(-0.2, 0.2) + 0.2 * seconds)
    vowel = rng.integers(len(VOWELS), size=4).repeat(-(-samples // 4))[:samples]
    phase = 2 * np.pi * np.cumsum(f0) / MEL.rate_hz
    audio = 1e-3 * rng.standard_normal(samples)
    formants = np.array(VOWELS)[vowel] * (1.0, 1.15)[singer]
    for harmonic in range(1, 25):
        gain = sum(np.exp(-(((harmonic * f0 - formants[:, i]) / 150) ** 2)) for i in range(2))
        audio += (gain + 0.02) * np.sin(harmonic * phase)
    audio = 0.5 * audio / np.abs(audio).max()
    frames = slice(MEL.hop_samples // 2, None, MEL.hop_samples)
    volume = np.sqrt((audio.reshape(FRAMES, -1) ** 2).mean(1))
    return {
        "audio": (audio * 32767).astype(np.int16),
        "f0_hz": f0[frames].astype(np.float32),
        "voiced": np.ones(FRAMES, bool),
        "volume": volume.astype(np.float32),
        "units": np.eye(len(VOWELS))[vowel[frames]].astype(np.float16),
        "units_hash": "toy",
    }


def make(folder, clips: int = 4) -> Corpus:
    """Write it and open it; every clip is in train and, again, in valid."""
    import torch

    from fastsvc.audio.mel import log_mel

    rng = np.random.default_rng(0)
    (folder / "items").mkdir(parents=True)
    items, mels = [], []
    for number in range(clips):
        arrays = sing(rng, number % 2)
        np.savez(folder / "items" / f"{number}.npz", **arrays)
        mels.append(log_mel(torch.from_numpy(arrays["audio"] / 32768.0).float()[None], MEL)[0])
        common = {"singer": ("low", "high")[number % 2], "file": f"items/{number}.npz", "frames": FRAMES}
        common |= {"song": f"song{number}", "samples": len(arrays["audio"])}
        items += [{"id": f"{number}-{split}", "split": split, **common} for split in ("train", "valid")]
    mels = torch.cat(mels)
    described = {
        "format": 1,
        "mel": to_dict(MEL),
        "features": to_dict(FeatureConfig()),
        "singers": ["high", "low"],
        "phones": [],
        "singer_f0_hz": {"low": 160.0, "high": 260.0},
        "mel_mean": mels.mean(0).tolist(),
        "mel_std": mels.std(0).tolist(),
        "encoder": {"name": "toy", "rate_hz": 16000, "hop_samples": 160, "channels": len(VOWELS), "hash": "toy"},
        "items": items,
    }
    (folder / "corpus.json").write_text(json.dumps(described))
    return Corpus(folder)
