"""Content encoders: audio -> units, which hold the words without the voice and the pitch."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from fastsvc.audio.mel import log_mel
from fastsvc.audio.slicing import blocks
from fastsvc.config import RecogniserConfig
from fastsvc.model.recogniser import Recogniser

BLOCK_FRAMES = 2048  # 20 s at a time, which bounds memory; halos cost 3 percent


class ContentEncoder(Protocol):
    """The interface of an encoder. ``hash``, if present, identifies its weights (fastsvc.data.units)."""

    name: str
    rate_hz: int
    hop_samples: int
    channels: int

    def encode(self, audio: Tensor) -> Tensor:
        """audio [samples] at ``rate_hz`` -> units [Tu, channels] float32; unit i covers hop i."""


class RecogniserEncoder:
    """The bottleneck of our phonetic recogniser, 100 units a second.

    Long recordings go through in blocks with halos of the network's receptive field, which changes nothing.
    """

    name = "recogniser"
    output_device = torch.device("cpu")  # of the units

    def __init__(self, config: RecogniserConfig, tensors: dict[str, Tensor], device="cpu"):
        self.config, self.device = config, torch.device(device)
        self.model = Recogniser(config)
        self.model.load_state_dict(tensors)
        self.model.eval().requires_grad_(False).to(self.device)
        self._describe(config)

    def _describe(self, config: RecogniserConfig) -> None:
        self.rate_hz, self.hop_samples = config.mel.rate_hz, config.mel.hop_samples
        self.channels = config.bottleneck
        self.stride = config.stride

    @classmethod
    def of(cls, checkpoint, device="cpu") -> RecogniserEncoder:
        """The recogniser that a fastsvc.checkpoints.Checkpoint holds. Raises CheckpointError for another kind."""
        checkpoint = checkpoint.require(("recogniser",), "a recogniser as content encoder")
        return cls(checkpoint.config, checkpoint.tensors, device)

    @torch.no_grad()
    def encode(self, audio) -> Tensor:
        """audio [samples] at 16 kHz, tensor or array -> units [max(1, samples // hop), D], float32."""
        audio = torch.as_tensor(np.asarray(audio) if not isinstance(audio, Tensor) else audio).float().to(self.device)
        if audio.dim() != 1:
            raise ValueError(f"encode: audio [samples] is expected, got {tuple(audio.shape)}")
        missing = self.hop_samples - audio.shape[0]
        if missing > 0:
            audio = torch.nn.functional.pad(audio, (0, missing))
        mel = log_mel(audio[None], self.config.mel)
        return self._units(mel)[0].to(self.output_device)

    def _units(self, mel: Tensor) -> Tensor:
        """mel [1, T, M] -> units [1, T, D]."""
        halo = self.model.halo_frames
        if halo is None:
            return self.model(mel)[0]
        units = mel.new_empty(1, mel.shape[1], self.channels)  # an hour's units may not fit into memory twice
        for first, last, begin, end in blocks(mel.shape[1], BLOCK_FRAMES, halo):
            block, _ = self.model(mel[:, begin:end])
            units[:, first:last] = block[:, first - begin : last - begin]
        return units
