"""A content encoder that listens to a student's mel: does the result say what the recording says?

The encoder has a mel of its own, at another rate and with other bins. What it would hear is found from the corpus's mel
by a linear map of the log bins, fitted once on crops of which both mels are known, and by interpolation in time. The
recording is heard the same way, so that the map's own error falls out.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fastsvc.audio.mel import log_mel
from fastsvc.audio.resample import resample
from fastsvc.data.corpus import Corpus
from fastsvc.errors import CheckpointError
from fastsvc.model.recogniser import Recogniser
from fastsvc.training import encoders, listeners
from fastsvc.training.diffusion import batch_mean

CROPS = 32, 256  # on which the map is fitted: how many, and their frames
RIDGE = 1e-3  # times the bins' mean variance


class Ear(nn.Module):
    """Log-mel of a corpus → the encoder's phones. Frozen."""

    def __init__(self, path: str, corpus: Corpus):
        """Raises CheckpointError for another file than a recogniser's, and for one that is held out for evaluation."""
        super().__init__()
        config, tensors, content = encoders.read(path)
        if listeners.is_held_out(content):
            raise CheckpointError(
                f"{path} is held out for evaluation, so training cannot use it as a listener",
                "name the checkpoint of the corpus's content encoder as task.listeners.phones",
            )
        self.recogniser = Recogniser(config)
        self.recogniser.load_state_dict(tensors)
        own = config.mel
        self.step = (own.hop_samples / own.rate_hz) / (corpus.mel.hop_samples / corpus.mel.rate_hz)
        audio = corpus.batch(np.random.default_rng(0), "train", *CROPS)["audio"]
        heard = np.stack([resample(one, corpus.mel.rate_hz, own.rate_hz) for one in audio.numpy()])
        weight, bias = fitted(self._in_time(log_mel(audio, corpus.mel)), log_mel(torch.from_numpy(heard), own))
        self.register_buffer("weight", weight)
        self.register_buffer("bias", bias)
        self.requires_grad_(False).eval()

    def _in_time(self, x: Tensor) -> Tensor:
        """[B, T, C] of the corpus's frames → of the encoder's."""
        frames = max(1, int(x.shape[1] / self.step))
        place = ((torch.arange(frames, device=x.device) + 0.5) * self.step - 0.5).clamp(0, x.shape[1] - 1)
        low = place.long()
        high = (low + 1).clamp(max=x.shape[1] - 1)
        return torch.lerp(x[:, low], x[:, high], (place - low)[None, :, None])

    def forward(self, mel: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        """mel [B, T, M], valid [B, T] → logits [B, T', P], which of their frames count [B, T']."""
        inside = (self._in_time(valid[..., None]) > 0.5).to(mel.dtype)
        heard = self._in_time(torch.where(valid[..., None] > 0, mel, 0)) @ self.weight + self.bias
        return self.recogniser(heard, inside[..., 0])[1], inside[..., 0]


def fitted(given: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """The linear map (weight [M, M'], bias [M']) from given [B, T, M] to wanted [B, T', M'], by ridge regression."""
    frames = min(given.shape[1], wanted.shape[1])
    x, y = (part[:, :frames].flatten(0, 1).double() for part in (given, wanted))
    x_mean, y_mean = x.mean(0), y.mean(0)
    x, y = x - x_mean, y - y_mean
    ridge = RIDGE * len(x) * x.var(0).mean() * torch.eye(x.shape[1], dtype=x.dtype)
    weight = torch.linalg.solve(x.T @ x + ridge, x.T @ y)
    return weight.float(), (y_mean - x_mean @ weight).float()


def divergence(ear: Ear, x: Tensor, truth: Tensor, valid: Tensor) -> Tensor:
    """KL of the phones heard in the log-mel x to those in the recording's own, ``truth``; both [B, T, M]."""
    logits, inside = ear(x, valid)
    with torch.no_grad():
        wanted = F.log_softmax(ear(truth, valid)[0].float(), -1)
    kl = (wanted.exp() * (wanted - F.log_softmax(logits.float(), -1))).sum(-1, keepdim=True)
    return batch_mean(kl, inside)
