"""A corpus in memory, as fastsvc.data.corpus gives it: two singers of buzz through one of three formant pairs."""

from typing import ClassVar

import numpy as np
import torch

from fastsvc.config import MelConfig

MEL = MelConfig(rate_hz=24000, hop_samples=256, fft_samples=1024, window_samples=1024, bins=40)
FORMANTS_HZ = ((700, 1200), (300, 2300), (450, 900))


class PhoneCorpus:
    mel, phones, singers, path = MEL, ["aa", "iy", "ow"], ["ada", "bruno"], "memory"
    singer_f0_hz: ClassVar = {"ada": 220.0, "bruno": 130.0}

    def having(self, split) -> list[int]:
        return [0, 1]

    def crop(self, rng, split, frames, singer=None) -> dict:
        singer = int(rng.integers(2)) if singer is None else singer
        samples = frames * MEL.hop_samples
        phone = np.repeat(rng.permutation(np.resize(np.arange(3), 6)), -(-frames // 6))[:frames]
        f0_hz = np.full(frames, (220, 130)[singer] * 2 ** rng.uniform(-0.6, 0.6), np.float32)
        phase = 2 * np.pi * np.cumsum(np.repeat(f0_hz, MEL.hop_samples)) / MEL.rate_hz
        audio = 1e-3 * rng.standard_normal(samples)
        tilt = (0.7, 1.6)[singer]  # what tells the singers apart
        for harmonic in range(1, 18):
            hz = harmonic * f0_hz
            gain = 0.02 + sum(
                np.exp(-(((hz - np.take([f[i] for f in FORMANTS_HZ], phone)) / 200) ** 2)) for i in (0, 1)
            )
            audio += np.repeat(gain, MEL.hop_samples) * np.sin(harmonic * phase) / harmonic**tilt
        audio = (0.3 * audio / np.abs(audio).max()).astype(np.float32)
        crop = {"audio": audio, "f0_hz": f0_hz, "voiced": np.ones(frames, bool), "singer": singer}
        return crop | {"phone_labels": phone.astype(np.int64)}

    def batch(self, rng, split, size, frames, singer=None) -> dict:
        crops = [self.crop(rng, split, frames, singer) for _ in range(size)]
        return {key: torch.from_numpy(np.stack([crop[key] for crop in crops])) for key in crops[0]}


def train(task, steps: int, lr: float) -> list[dict]:
    """Plain AdamW over the task's turns; -> the figures of every step."""
    optimizers, history = {}, []
    for step in range(steps):
        task.progress = step / steps
        batch, figures = task.batch(np.random.default_rng(step)), {}
        for turn in task.turns(step):
            if turn.name not in optimizers:
                optimizers[turn.name] = torch.optim.AdamW(turn.module.parameters(), lr=lr, betas=(0.9, 0.99))
            optimizers[turn.name].zero_grad()
            loss, new = turn.loss(batch, step)
            loss.backward()
            optimizers[turn.name].step()
            figures |= {k: float(v) for k, v in new.items()} | {f"loss_{turn.name}": float(loss.detach())}
        history.append(figures)
    return history
