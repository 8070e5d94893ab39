"""DDSP-SVC 6 under one roof."""

import torch
from torch import Tensor, nn

from fastsvc.config.ddsp import DdspConfig
from fastsvc.model.ddsp import flow, source, synthesis
from fastsvc.model.ddsp.control import Control, filters
from fastsvc.model.ddsp.velocity import Velocity


class Synthesiser(nn.Module):
    """The control network, under upstream's name `ddsp_model.unit2ctrl`."""

    def __init__(self, config: DdspConfig):
        super().__init__()
        self.unit2ctrl = Control(config)


class Flow(nn.Module):
    """The velocity network, under upstream's name `reflow_model.velocity_fn`."""

    def __init__(self, config: DdspConfig):
        super().__init__()
        self.velocity_fn = Velocity(config)


class DdspModel(nn.Module):
    """Features → log-mel. B items, T frames, D unit channels, M mel bins; time is the second axis of all arguments."""

    def __init__(self, config: DdspConfig):
        super().__init__()
        self.config = config
        self.ddsp_model, self.reflow_model = Synthesiser(config), Flow(config)

    def excitation(self, f0_hz: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """f0_hz [B, T], noise [B, T·hop] → (comb tooth and noise [B, T·hop, 2], phase [B, T] of frames' starts)."""
        rate_hz, hop = self.config.mel.rate_hz, self.config.mel.hop_samples
        phase = source.frame_phase(f0_hz, rate_hz, hop)
        tooth, first = source.comb_tooth(*source.steps(f0_hz, rate_hz), phase, hop)
        return torch.stack([tooth.to(noise.dtype), noise], dim=-1), first.to(noise.dtype)

    def control(self, units, f0_hz, volume, speaker, noise, key_shift=None) -> tuple[Tensor, Tensor]:
        """As :meth:`first_mel` → (control [B, T, 4F], excitation [B, T·hop, 2])."""
        excitation, phase = self.excitation(f0_hz, noise)
        network = self.ddsp_model.unit2ctrl
        return network(units, f0_hz, volume, phase, excitation, speaker, key_shift), excitation

    def audio(self, control: Tensor, excitation: Tensor) -> Tensor:
        """Control [B, T, 4F] and excitation [B, T·hop, 2] → the synthesiser's audio [B, T·hop]."""
        return synthesis.synthesised(
            excitation, filters(control), self.config.window_samples, self.config.mel.hop_samples
        )

    def first_mel(self, units, f0_hz, volume, speaker, noise, key_shift=None) -> Tensor:
        """units [B, T, D], f0_hz [B, T] without gaps, volume [B, T], speaker [B] or [B, speakers] (weights), noise
        [B, T·hop] standard normal, key_shift [B] in semitones or None → the synthesiser's log-mel [B, T, M]."""
        return synthesis.first_mel(
            self.audio(*self.control(units, f0_hz, volume, speaker, noise, key_shift)), self.config.mel
        )

    def velocity(self, x: Tensor, level: float, first_mel: Tensor) -> Tensor:
        """x and first_mel [B, T, M] at t = 1 − level → [B, T, M]."""
        time = torch.full((len(x),), 1 - level, dtype=x.dtype, device=x.device)
        return self.reflow_model.velocity_fn(x, time, first_mel)

    def refine(
        self,
        first_mel: Tensor,
        noise: Tensor | flow.NoiseOf,
        steps: int,
        method: str = "euler",
        t_start: float | None = None,
    ) -> Tensor:
        """Log-mel and noise [B, T, M] → log-mel [B, T, M]; t_start None: the voice's own, 1: ``first_mel`` itself.

        ``noise``: the start's, or noise(step) for the consistency sampler, which draws once a step.
        """
        row = flow.levels(self.config.t_start if t_start is None else t_start, steps)
        if row[0] == 0:
            return first_mel
        draw = (lambda _: noise) if isinstance(noise, Tensor) else noise
        x = flow.start(first_mel, draw(0), row[0])
        x = flow.solved(method, lambda x, level: self.velocity(x, level, first_mel), row, x, draw)
        return flow.denormalised(x)
