"""The listeners' losses of a student's mel: the same phones, the target's voice, the requested melody.

DMOSpeech (arXiv 2410.11097) adds a recogniser's CTC loss and a verifier's cosine to distribution matching. Conversion
knows more than speech synthesis: content and f0 are known frame by frame. So there are two more losses: a frame-level
divergence, which needs no transcript, and a pitch loss, which keeps the other losses from bending the melody.
All take log-mel [B, T, M] of the corpus and ``valid`` [B, T]; the listeners are frozen, and gradients reach the mel.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from fastsvc.model.pitch import PitchNet
from fastsvc.model.recogniser import Recogniser
from fastsvc.model.verifier import Verifier
from fastsvc.training import losses
from fastsvc.training.diffusion import batch_mean

CENTS_PER_SEMITONE = 100.0


def phone_logits(recogniser: Recogniser, mel: Tensor, valid: Tensor) -> Tensor:
    """Log-mel → the recogniser's logits [B, T, P]; the padding may hold anything."""
    return recogniser(torch.where(valid[..., None] > 0, mel, 0), valid)[1]


def ctc_loss(logits: Tensor, labels: Tensor, valid: Tensor) -> Tensor:
    """−log p(sequence | x̂) per frame; labels [B, T] by frame (0 blank, −1 unknown), collapsed to the sequence."""
    return losses.ctc(logits, labels, valid)


def frame_divergence(logits: Tensor, target_logits: Tensor, valid: Tensor) -> Tensor:
    """KL(A(x) ‖ A(x̂)) by frame: logits of x̂ and of its source recording, both [B, T, P]."""
    log_q, log_p = F.log_softmax(logits.float(), -1), F.log_softmax(target_logits.detach().float(), -1)
    kl = (log_p.exp() * (log_p - log_q)).sum(-1, keepdim=True)
    return batch_mean(kl, valid)


def singer_loss(verifier: Verifier, mel: Tensor, valid: Tensor, centroids: Tensor) -> Tensor:
    """1 − cos(E(x̂), centroid of the target); centroids [B, E] of length 1."""
    mel = torch.where(valid[..., None] > 0, mel, 0)
    return 1 - (verifier(mel, valid) * centroids).sum(-1).mean()


def pitch_loss(net: PitchNet, mel: Tensor, valid: Tensor, f0_hz: Tensor, voiced: Tensor) -> Tensor:
    """Mean |net's f0 of x̂ − requested f0|, in semitones (hundreds of cents), over the voiced frames in net's range.

    A converted f0 may lie above net's highest bin, where no mel could satisfy it.
    """
    cents = net.cents(net(torch.where(valid[..., None] > 0, mel, 0), valid))
    target_cents = net.cents_of(f0_hz)
    highest = (net.config.bins - 1) * net.config.step_cents
    counted = (valid > 0) & (voiced > 0) & (f0_hz > net.config.low_hz) & (target_cents < highest)
    return batch_mean((cents - target_cents).abs()[..., None], counted.float()) / CENTS_PER_SEMITONE


def centroid(embeddings: Tensor) -> Tensor:
    """Mean direction of embeddings [N, E] → [E], of length 1."""
    return F.normalize(embeddings.mean(0), dim=0)
