"""Mean opinion score, 1 (bad) to 5 (excellent), without a reference: DistillMOS (Stahl and Gamper 2025, MIT).

The network is the package's own, variant 7. Its front end is written out here, as the package imports torchaudio; the
transformer comes from xls_r_sqa. The score is of human speech: singing and the synthetic choir score lower by nature,
so compare rows of one table only.
"""

from __future__ import annotations

import functools
import itertools

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from fastsvc.audio.resample import resample
from fastsvc.evaluation.ears import packages
from fastsvc.reading import loading

RATE_HZ = 16000
SEGMENT_SAMPLES = 122880  # 7.68 s
HOP_SAMPLES = 16000  # segments of longer recordings begin at most this far apart
LOUDNESS_DB = -26.0  # RMS below full scale, the usual level of speech in listening tests (ITU-T P.56)
_WINDOW, _HOP = 320, 160
_CHANNELS = (2, 64, 64, 128, 256, 256, 256)
_BATCH = 8


class _FrontEnd(nn.Module):
    """Compressed complex spectrum → CNN: [B, samples] → [B, frames, 1024]."""

    def __init__(self):
        super().__init__()
        layers: list[nn.Module] = []
        for index, (inner, outer) in enumerate(itertools.pairwise(_CHANNELS)):
            stride = (2 if index else 1, 2 if index == len(_CHANNELS) - 2 else 1)
            layers += [nn.Conv2d(inner, outer, (3, 3), stride, (0, 1)), nn.LeakyReLU(0.1)]
        self.cnn = nn.Sequential(*layers)

    def forward(self, audio: torch.Tensor) -> torch.Tensor:
        side = (_WINDOW - _HOP) // 2
        padded = F.pad(audio[:, None], (side, side), mode="reflect")[:, 0]
        window = torch.hann_window(_WINDOW)
        spectrum = torch.stft(padded, _WINDOW, _HOP, _WINDOW, window, center=False, return_complex=True)
        parts = torch.view_as_real(spectrum)
        magnitude = parts.square().sum(-1, keepdim=True).sqrt().clamp(min=1e-12)
        image = (parts * magnitude**-0.7).permute(0, 3, 1, 2)
        return self.cnn(image).flatten(1, 2).permute(0, 2, 1)


class _Opinion(nn.Module):
    """[B, SEGMENT_SAMPLES] at a peak of 1 → [B] in 0 … 1."""

    def __init__(self):
        super().__init__()
        packages.folder("xls_r_sqa")
        from xls_r_sqa.config import FEAT_SEQ_LEN, Config
        from xls_r_sqa.sqa_model import SingleLayerModel

        config = Config("", None, FEAT_SEQ_LEN, 200, None, nhead_transformer=8, nlayers_transformer=7)
        self.cnn = _FrontEnd()
        config.dim_input = 1024
        self.transformer_pool_attn = SingleLayerModel(config)

    def forward(self, audio: torch.Tensor) -> torch.Tensor:
        return self.transformer_pool_attn(self.cnn(audio)).reshape(-1)


@functools.lru_cache(maxsize=1)
def _network() -> _Opinion:
    path = packages.weights("distillmos")
    network = _Opinion()
    network.load_state_dict(loading.load(path)["model"])
    return network.eval().requires_grad_(False)


@torch.inference_mode()
def mos(audio: np.ndarray, rate_hz: int, loudness_db: float | None = LOUDNESS_DB) -> float:
    """audio [samples] → score, 1 to 5; NaN for silence or nothing.

    loudness_db: the RMS that the recording is brought to first; None: as it is. DistillMOS itself brings each segment
    to a peak of 1, so the difference is one of rounding alone, and a too quiet recording is not punished: its level
    is a column of its own. Raises MissingPackageError, CheckpointError.
    """
    audio = resample(np.asarray(audio, np.float32), rate_hz, RATE_HZ)
    if not len(audio) or not np.abs(audio).max() > 1e-6:
        return float("nan")
    if loudness_db is not None:
        rms = np.sqrt(np.mean(np.square(audio, dtype=np.float64)))
        audio = (audio * (10 ** (loudness_db / 20) / rms)).astype(np.float32)
    audio = np.pad(audio, (0, max(0, SEGMENT_SAMPLES - len(audio))))
    over = len(audio) - SEGMENT_SAMPLES
    starts = [int(part * over) for part in np.linspace(0, 1, -(-over // HOP_SAMPLES) + 1)]
    pieces = torch.from_numpy(np.stack([audio[start : start + SEGMENT_SAMPLES] for start in starts]))
    pieces = pieces / (pieces.abs().amax(dim=1, keepdim=True) + 1e-8)
    scores = torch.cat([_network()(some) for some in pieces.split(_BATCH)])
    return float(1 + 4 * scores.mean())
