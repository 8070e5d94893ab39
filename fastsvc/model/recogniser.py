"""Phonetic recogniser: log-mel at 16 kHz -> a trunk -> narrow bottleneck (the units) -> phones.

The units are the content input of the acoustic models, so they should carry the phones and nothing of the singer: the
bottleneck is narrow, bounded by tanh, and blurred by noise in training.

The engine's networks ("conv", and "conformer" of fastsvc/model/local_conformer.py) have no statistics over time: a unit
depends only on the mel frames within ``halo_frames`` of it, so recordings of any length can be cut and joined exactly.
A third architecture ("gru") is for evaluation alone, which needs a recogniser that took no part in training.

Phones: index 0 is the CTC blank (Graves et al. 2006), then the symbols of ``RecogniserConfig.phones[1:]``.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from fastsvc.config import RecogniserConfig
from fastsvc.config.reach import reaches
from fastsvc.model.gated_block import GatedBlock
from fastsvc.model.local_conformer import ConformerTrunk

BLANK = 0
DILATION_CYCLE = (1, 2, 4, 8)
SWITCH_COST = 4.0  # nepers; the phone error rate on held-out songs is flat from 3 to 7, and three times higher at 0


def normalise(mel: torch.Tensor, mask: torch.Tensor | None, mean_frames: int) -> torch.Tensor:
    """mel [B, T, M] -> [B, T, M or 2M]: a fixed map onto about [-1, 1] and, with ``mean_frames``, the deviation from
    the mean over that many frames to each side.

    The deviation is free of level, equaliser and much of the voice; the first part keeps what a long note would lose
    there. A mean over the whole recording would break exact cutting.
    """
    parts = [(mel + 2.0) / 3.0]
    if mean_frames:
        inside = torch.ones_like(mel[..., :1]) if mask is None else mask
        mean = _around(mel * inside, mean_frames) / _around(inside, mean_frames).clamp(min=1e-6)
        parts.append((mel - mean) / 1.5)
    x = torch.cat(parts, dim=-1)
    return x if mask is None else x * mask


def _around(x: torch.Tensor, frames: int) -> torch.Tensor:
    return F.avg_pool1d(x.transpose(1, 2), 2 * frames + 1, 1, frames).transpose(1, 2)


def inputs(config: RecogniserConfig) -> int:
    """Channels of :func:`normalise`'s output."""
    return config.mel.bins * (2 if config.mean_frames else 1)


class ConvTrunk(nn.Module):
    """The engine's trunk: a stem and ``layers`` gated blocks with dilations 1, 2, 4, 8, 1, 2 ..."""

    def __init__(self, config: RecogniserConfig):
        super().__init__()
        self.stem = nn.Conv1d(inputs(config), config.channels, 5)
        dilations = [DILATION_CYCLE[i % len(DILATION_CYCLE)] for i in range(config.layers)]
        self.reaches = reaches([2, *(config.kernel // 2 * d for d in dilations)], config.future_frames)
        self.blocks = nn.ModuleList(
            GatedBlock(config.channels, config.kernel, dilation, reach)
            for dilation, reach in zip(dilations, self.reaches[1:])
        )
        self.norm = nn.LayerNorm(config.channels)
        self.channels = config.channels
        self.halo_frames, self.future_frames = (config.mean_frames + sum(side) for side in zip(*self.reaches))

    def forward(self, x: torch.Tensor, valid: torch.Tensor | None) -> torch.Tensor:
        x = self.stem(F.pad(x.transpose(1, 2), self.reaches[0])).transpose(1, 2)
        for block in self.blocks:
            x = block(x, valid)
        return self.norm(x)


class GruTrunk(nn.Module):
    """The held-out trunk: two strided 2-D convolutions over (time, mel), then a bidirectional GRU at half the rate."""

    def __init__(self, config: RecogniserConfig):
        super().__init__()
        self.front = nn.Sequential(
            nn.Conv2d(inputs(config) // config.mel.bins, 16, (5, 5), stride=(2, 2), padding=2),
            nn.ReLU(),
            nn.Conv2d(16, 32, (3, 3), stride=(1, 2), padding=1),
            nn.ReLU(),
        )
        self.maps = inputs(config) // config.mel.bins
        bins = (config.mel.bins + 1) // 2
        self.project = nn.Linear(32 * ((bins + 1) // 2), config.channels)
        self.gru = nn.GRU(
            config.channels, config.channels, num_layers=config.layers, bidirectional=True, batch_first=True
        )
        self.channels = 2 * config.channels
        self.halo_frames = self.future_frames = None  # the whole recording at once

    def forward(self, x: torch.Tensor, valid: torch.Tensor | None) -> torch.Tensor:
        frames = x.shape[1]
        x = self.front(x.unflatten(2, (self.maps, -1)).transpose(1, 2))
        x = self.project(x.permute(0, 2, 1, 3).flatten(2))
        with torch.autocast(x.device.type, enabled=False):  # the recurrence has no fast bf16 form on a CPU
            x, _ = self.gru(x.float())
        return x.repeat_interleave(2, dim=1)[:, :frames]


TRUNKS = {"conv": ConvTrunk, "conformer": ConformerTrunk, "gru": GruTrunk}


class Recogniser(nn.Module):
    """mel [B, T, M] (log10, as :func:`fastsvc.audio.mel.log_mel` with ``config.mel``) -> (units, logits).

    units [B, T, D] lie in (-1, 1); logits [B, T, P] are linear in them. ``valid`` [B, T] marks the frames that
    belong to each recording. ``blur`` [B, T, D] is added to the units before the logits, in training: it drowns
    information that is worth little to the phones.
    """

    def __init__(self, config: RecogniserConfig):
        super().__init__()
        self.config = config
        self.trunk = TRUNKS[config.architecture](config)
        self.bottleneck = nn.Linear(self.trunk.channels, config.bottleneck)
        self.head = nn.Linear(config.bottleneck, len(config.phones))

    @property
    def halo_frames(self) -> int | None:
        """Mel frames on each side that a unit depends on, at most; None if on all."""
        return self.trunk.halo_frames

    @property
    def future_frames(self) -> int | None:
        """Mel frames after its own that a unit depends on; None if on all."""
        return self.trunk.future_frames

    def forward(
        self, mel: torch.Tensor, valid: torch.Tensor | None = None, blur: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        mask = None if valid is None else valid.unsqueeze(-1).to(mel.dtype)
        units = torch.tanh(self.bottleneck(self.trunk(normalise(mel, mask, self.config.mean_frames), mask)))
        return units, self.head(units if blur is None else units + blur)


def collapse(labels) -> list[int]:
    """Frame labels -> phone sequence: runs become one, blanks and negatives (unknown) go. Also greedy CTC decoding."""
    out: list[int] = []
    last = BLANK
    for label in labels:
        label = int(label)
        if label != last and label > BLANK:
            out.append(label)
        last = label
    return out


def decode(logits: torch.Tensor, switch_cost: float = SWITCH_COST) -> list[int]:
    """logits [T, P] -> phone sequence: the likeliest path over frames, where each change of label costs.

    The recogniser names every frame, 100 times a second, where CTC alone would name each phone once: without the
    cost every flicker would count as a phone. A cost of 0 is greedy CTC decoding. Viterbi, float64.
    """
    if logits.shape[0] == 0:
        return []
    log_p = F.log_softmax(logits.detach().double(), dim=-1).cpu().numpy()
    score, came_from = log_p[0], []
    for frame in log_p[1:]:
        best = int(score.argmax())
        switched = score[best] - switch_cost > score
        came_from.append(np.where(switched, best, np.arange(len(score))))
        score = np.where(switched, score[best] - switch_cost, score) + frame
    path = [int(score.argmax())]
    for before in reversed(came_from):
        path.append(int(before[path[-1]]))
    return collapse(reversed(path))


def edit_costs(a: Sequence, b: Sequence) -> list[list[int]]:
    """Levenshtein: [i][j] is how many insertions, deletions and substitutions turn a[:i] into b[:j]."""
    rows = [list(range(len(b) + 1))]
    for i, x in enumerate(a, 1):
        row = [i]
        for j, y in enumerate(b, 1):
            row.append(min(rows[-1][j] + 1, row[-1] + 1, rows[-1][j - 1] + (x != y)))
        rows.append(row)
    return rows


def edit_distance(a: Sequence, b: Sequence) -> int:
    """How many insertions, deletions and substitutions turn ``a`` into ``b``."""
    return edit_costs(a, b)[-1][-1]
