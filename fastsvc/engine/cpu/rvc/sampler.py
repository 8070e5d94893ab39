"""Features → the generator's input for RVC's voices on a CPU; the interface of a sampler of mels.

The text encoder runs in one stretch or in several (fastsvc/engine/cpu/rvc/encoder.py); the draw's noise is a function
of the absolute frame; the flow runs in exact blocks. The latent takes the place of the log-mel everywhere.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from fastsvc.artifact.manifest import Sampling
from fastsvc.audio.slicing import blocks
from fastsvc.config.rvc import RvcConfig
from fastsvc.engine.cpu.rvc.encoder import CpuTextEncoder, faded
from fastsvc.engine.cpu.rvc.flow import CpuFlow
from fastsvc.engine.cpu.sampler import Features, Noise, OneByOne, Progress
from fastsvc.model.rvc.pitch import coarse_pitch
from fastsvc.model.rvc.protection import protected

FLOW_BLOCK = 2048  # frames
ENCODER_SHARE = 0.7  # for the progress bar alone


class RvcSpeakers:
    """The speakers' table. ``speaker`` has the interface of fastsvc.engine.cpu.condition.CpuCondition's."""

    def __init__(self, table: Tensor):
        self.table = table

    def speaker(self, weights: dict[int, float], key_shift: float = 0.0) -> Tensor:
        """A voice: the weighted sum of speakers' rows (artifact/lowered_rvc.py); their weights sum to 1."""
        return sum((weight * self.table[row] for row, weight in weights.items()), self.table.new_zeros(()))


class RvcSampler(OneByOne):
    """Text encoder, draw and flow → the latent [T, C], margins included. Its one schedule is one draw."""

    computes = "fp32"
    config: RvcConfig

    def __init__(self, tensors: dict[str, Tensor], config: RvcConfig, sampling: Sampling):
        self.config, self.method, self.depth, self.schedules = config, sampling.method, None, sampling.schedules
        self.condition = RvcSpeakers(tensors["condition.speakers"].float())
        self.encoder, self.flow = CpuTextEncoder(tensors, config), CpuFlow(tensors, config)

    def __call__(
        self,
        features: Features,
        speaker: Tensor,
        steps: int,
        noise: Noise,
        block: int | None = None,
        progress: Progress | None = None,
        mel: Tensor | None = None,
    ) -> Tensor:
        """Latent [T, C] for the voice ``speaker``; ``block``: frames of the flow's blocks. ``mel`` is not used.

        Frame 0 of ``noise`` is the first after the margin.
        """
        frames = len(features.f0_hz)
        z_p, result = (torch.empty(frames, self.config.mel.bins) for _ in range(2))
        encode = self.encoding(features)
        for first, last, prior in faded(frames, encode):
            places = first - features.margin, last - features.margin
            z_p[first:last] = self.drawn(prior, noise(0, *places), self.schedules[steps][0])
            if progress:
                progress(ENCODER_SHARE * last / frames)
        for first, last, begin, end in blocks(frames, block or FLOW_BLOCK, self.config.flow_halo_frames):
            result[first:last] = self.flow(z_p[begin:end], speaker)[first - begin : last - begin]
            if progress:
                progress(ENCODER_SHARE + (1 - ENCODER_SHARE) * last / frames)
        return result

    def part(self, features: Features, speaker: Tensor, steps: int, noise: Noise, first: int, last: int) -> Tensor:
        """The latent of the frames first … last − 1 of a short window, all of which the encoder sees in one stretch;
        the flow computes only what they depend on."""
        halo = self.config.flow_halo_frames
        begin, end = max(0, first - halo), min(len(features.f0_hz), last + halo)
        prior = self.encoding(features)(0, len(features.f0_hz))[begin:end]
        z_p = self.drawn(prior, noise(0, begin, end), self.schedules[steps][0])
        return self.flow(z_p, speaker)[first - begin : last - begin]

    def encoding(self, features: Features) -> Callable[[int, int], Tensor]:
        """(begin, end) → mean | log of the deviation of these frames, which attend to each other alone."""

        def part(begin: int, end: int) -> Tensor:
            f0_hz = features.f0_hz[begin:end] * features.voiced[begin:end]
            places = features.unit_indices[begin:end]
            units = features.units[places].float()
            if features.original_units is not None and self.config.pitch:
                units = protected(units, features.original_units[places].float(), f0_hz, features.protect)
            return self.encoder(units, self.coarse(f0_hz))

        return part

    def coarse(self, f0_hz: Tensor) -> Tensor | None:
        """f0_hz [T], 0 where unvoiced → coarse pitch [T]; None for voices without pitch."""
        spec = self.config.features
        return coarse_pitch(f0_hz, spec.f0_low_hz, spec.f0_high_hz) if self.config.pitch else None

    def drawn(self, prior: Tensor, noise: Tensor, scale: float) -> Tensor:
        """mean | log of the deviation [T, 2C] and standard normal noise [T, C] → z_p [T, C]."""
        mean, log_deviation = prior.chunk(2, dim=-1)
        return torch.addcmul(mean, log_deviation.exp(), noise, value=scale)

    def timed_stages(self, features: Features, speaker: Tensor, steps: int, noise: Noise) -> dict[str, Callable]:
        """For measuring: the encoder and the flow over the whole recording in one piece, each as a call."""
        frames, encode = len(features.f0_hz), self.encoding(features)
        z_p = self.drawn(encode(0, frames), noise(0, 0, frames), self.schedules[steps][0])
        return {"encoder": lambda: encode(0, frames), "flow": lambda: self.flow(z_p, speaker)}
