"""Whose voice is it? Embeddings of a verifier that took no part in training, centroids and closed-set accuracy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import torch

from fastsvc.audio.mel import log_mel
from fastsvc.audio.resample import resample
from fastsvc.model.verifier import Verifier

WINDOW_S = 3.0  # verifiers are trained on crops of about this length


@torch.inference_mode()
def embed(verifier: Verifier, audio: np.ndarray, rate_hz: int) -> np.ndarray:
    """audio [samples] -> embedding [E] of length 1: the mean over windows of three seconds, tiled over the clip.

    A clip shorter than one window is taken whole; one without a single frame gives zeros.
    """
    config = verifier.config.mel
    audio = resample(np.asarray(audio, np.float32), rate_hz, config.rate_hz)
    return embed_mel(verifier, log_mel(torch.from_numpy(audio)[None], config)[0])


@torch.inference_mode()
def embed_mel(verifier: Verifier, mel: torch.Tensor) -> np.ndarray:
    """log-mel [T, M] as ``verifier`` takes it -> embedding [E], as :func:`embed`."""
    frames, window = len(mel), max(1, round(WINDOW_S * verifier.config.mel.frame_rate_hz))
    if not frames:
        return np.zeros(verifier.config.embedding)
    count = max(1, -(-frames // window))
    starts = [round(i * (frames - window) / max(count - 1, 1)) for i in range(count)] if frames > window else [0]
    parts = torch.stack([mel[start : start + window] for start in starts])
    return unit(verifier(parts).double().mean(0).numpy())


def unit(vector: np.ndarray) -> np.ndarray:
    """The vector scaled to length 1; zeros stay zeros."""
    return vector / max(float(np.linalg.norm(vector)), 1e-12)


def centroid(embeddings: Iterable[np.ndarray]) -> np.ndarray:
    """Mean direction of embeddings [E] of length 1. Raises ValueError when there are none."""
    embeddings = list(embeddings)
    if not embeddings:
        raise ValueError("centroid: no embeddings")
    return unit(np.mean(embeddings, axis=0))


def similarity(embedding: np.ndarray, other: np.ndarray) -> float:
    """Cosine; 0 when either is zeros."""
    return float(unit(embedding) @ unit(other))


def nearest(embedding: np.ndarray, centroids: Mapping[str, np.ndarray]) -> str:
    """Name of the centroid of the highest cosine: closed-set identification among ``centroids``."""
    return max(centroids, key=lambda name: similarity(embedding, centroids[name]))
