"""Features → mel → audio on a CPU, in blocks whose halos are exact: neither length nor cutting changes the result.

A frame of the output depends on ``halo`` frames to each side, so blocks are computed with a halo on both sides and only
their middle is used. Noise is a function of the absolute frame, and the phase of the harmonic source is summed over the
whole recording beforehand, so a block gets the same input as a single pass.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from fastsvc.artifact.manifest import Sampling
from fastsvc.audio.slicing import blocks
from fastsvc.config import AcousticConfig, AnyAcousticConfig, AnyVocoderConfig
from fastsvc.engine.cpu.conditions import condition_for
from fastsvc.engine.cpu.denoiser_bf16 import denoiser_for
from fastsvc.engine.cpu.generators import torch_generator
from fastsvc.engine.cpu.vocoder import Vocoder
from fastsvc.model import sampler, schedule, vocoders
from fastsvc.model.noise import gaussian

MEL_BLOCK, VOCODER_BLOCK = 2048, 512  # frames
Noise = Callable[[int, int, int], Tensor]  # (step, first, last) → [last − first, M]
Progress = Callable[[float], None]  # fraction done


@dataclass(frozen=True)
class Features:
    """The acoustic model's input for a recording of T frames."""

    units: Tensor  # [Tu, D], at the encoder's rate
    unit_indices: Tensor  # [T] int64: the unit of each frame
    f0_hz: Tensor  # [T], interpolated through unvoiced frames
    voiced: Tensor  # [T] bool
    volume: Tensor  # [T]
    original_units: Tensor | None = None  # [Tu, D] before the index replaced them; None: no index was used
    protect: float = 0.5  # of RVC: the share of ``units`` in unvoiced frames, where the rest is ``original_units``
    margin: int = 0  # frames at both ends that continue the recording and are no part of the result

    @property
    def melody(self) -> tuple[Tensor, Tensor]:
        """f0_hz and voiced of the recording's own frames, without the margins."""
        own = slice(self.margin, len(self.f0_hz) - self.margin)
        return self.f0_hz[own], self.voiced[own]


@dataclass(frozen=True)
class SeededNoise:
    """Counter-based noise: each frame gets the same numbers on every device, however the recording is cut.

    ``scale``: the standard deviation of the draws; at 0 they are all 0, and the seed does not matter.
    """

    seed: int
    bins: int
    device: str | torch.device = "cpu"
    scale: float = 1.0

    def __call__(self, step: int, first: int, last: int) -> Tensor:
        if self.scale == 0.0:
            return torch.zeros(last - first, self.bins, device=self.device)
        draws = gaussian(self.seed, step, first, last - first, self.bins, self.device)
        return draws if self.scale == 1.0 else draws.mul_(self.scale)


def noise_from(draws) -> Noise:
    """Noise that the caller supplies: draws[step] is [T, M]."""
    return lambda step, first, last: draws[step][first:last]


class OneByOne:
    """A sampler that computes several recordings one after another; ``config`` is that of its acoustic model."""

    shares_batches = False  # several recordings together take as long as one after another
    config: AnyAcousticConfig
    __call__: Callable[..., Tensor]

    def many(
        self,
        recordings: Sequence[Features],
        speaker: Tensor,
        steps: int,
        noises: Sequence[Noise],
        progress: Progress | None = None,
    ) -> list[Tensor]:
        """Log-mels of several recordings, each with its own noise, one after another."""
        mels = []
        for i, (features, noise) in enumerate(zip(recordings, noises, strict=True)):
            own_progress = progress and (lambda fraction, i=i: progress((i + fraction) / len(recordings)))
            mels.append(self(features, speaker, steps, noise, progress=own_progress))
        return mels


class MelSampler(OneByOne):
    """Condition, denoiser and schedule → log-mel. A GPU's MelSampler (engine/cuda/sampler.py) has the same role."""

    config: AcousticConfig

    def __init__(self, tensors: dict[str, Tensor], config: AcousticConfig, sampling: Sampling, precision: str = "fp32"):
        self.config, self.method = config, sampling.method
        sampler.check_method(config, self.method)
        self.depth = sampling.depth  # shallow diffusion: the level of the chain at which a given mel enters
        self.schedules = sampling.schedules
        self.condition = condition_for(config)(tensors, config)
        self.denoiser = denoiser_for(precision)(tensors, config, sampling.levels)
        self.computes = "bf16" if self.denoiser.gated_type == torch.bfloat16 else "fp32"
        self.low, self.high = torch.tensor(config.norm.low), torch.tensor(config.norm.high)

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
        """Log-mel [T, M] for the utterance's vector ``speaker`` [H]; shallow engines refine the log-mel ``mel``."""
        frames, sigmas = len(features.f0_hz), self.schedules[steps]
        evaluations = schedule.evaluations(self.method, sigmas)
        halo = self.denoiser.halo_frames * evaluations
        block = block or max(MEL_BLOCK, 2 * halo)
        result = torch.empty(frames, self.config.mel.bins)
        scale = (self.high - self.low) / 2
        start_mel = None if mel is None else (mel - self.low) / scale - 1
        condition = self.condition.over(features, speaker)
        for first, last, start, end in blocks(frames, block, halo):
            cond = condition(start, end)
            x0 = None if start_mel is None else start_mel[start:end]
            x = self._sample(cond, sigmas, lambda step, a=start, b=end: noise(step, a, b), evaluations, x0)
            result[first:last] = x[first - start : last - start]
            if progress:
                progress(last / frames)
        return result.add_(1).mul_(scale).add_(self.low)

    def timed_stages(self, features: Features, speaker: Tensor, steps: int, noise: Noise) -> dict[str, Callable]:
        """For measuring: the condition and all evaluations of one block, each as a call."""
        frames, sigmas = len(features.f0_hz), self.schedules[steps]
        evaluations = schedule.evaluations(self.method, sigmas)
        condition = self.condition.over(features, speaker)
        cond = condition(0, frames)
        return {
            "condition": lambda: condition(0, frames),
            "denoiser": lambda: self._sample(cond, sigmas, lambda step: noise(step, 0, frames), evaluations, None),
        }

    def _sample(self, cond: Tensor, sigmas: list[float], draw, evaluations: int, x0: Tensor | None) -> Tensor:
        prepared = self.denoiser.prepare(cond, evaluations)

        def denoise(x, sigma):
            return self.denoiser(x, sigma, prepared)

        return sampler.sample(self.config, self.method, denoise, sigmas, draw, cond, x0)


class Synthesiser:
    """Log-mel and f0 → audio. A GPU's Synthesiser (engine/cuda/vocoder.py) has the same role.

    ``log_base``: of the input mels; None: the vocoder's own. ``make``: (tensors, config) → the generator, called as
    those of fastsvc.engine.cpu.generators.torch_generator are.
    """

    def __init__(
        self,
        tensors: dict[str, Tensor],
        config: AnyVocoderConfig,
        log_base: str | None = None,
        make: Callable = torch_generator,
    ):
        self.config = config
        self.vocoder, self.speakers = make(tensors, config), tensors.get(vocoders.SPEAKERS)
        bases = {"e": math.e, "10": 10.0}
        self.scale = math.log(bases[log_base or config.mel.log_base], bases[config.mel.log_base])

    def speaker(self, weights: Mapping[int, float]) -> Tensor | None:
        """The vector [initial_channels] of rows and weights of speakers; None where the vocoder has no table of them,
        as nearly all have none."""
        return None if self.speakers is None else vocoders.speaker_vector(self.speakers, weights)

    def __call__(
        self,
        mel: Tensor,
        f0_hz: Tensor,
        seed: int = 0,
        block: int | None = None,
        progress: Progress | None = None,
        speaker: Tensor | None = None,
    ) -> Tensor:
        """mel [T, M], f0_hz [T] with 0 where there are to be no harmonics, ``speaker`` from :meth:`speaker` → audio
        [T·hop]."""
        frames, hop = len(mel), self.config.mel.hop_samples
        audio = torch.empty(frames * hop)
        phase = vocoders.frame_phase(f0_hz[None], self.config)
        for first, last, start, end in blocks(frames, block or VOCODER_BLOCK, self.vocoder.halo_frames):
            block_audio = self.window(mel[start:end], f0_hz[start:end], phase[0, start:end], start, seed, speaker)
            audio[first * hop : last * hop] = block_audio[(first - start) * hop : (last - start) * hop]
            if progress:
                progress(last / frames)
        return audio

    def window(
        self,
        mel: Tensor,
        f0_hz: Tensor,
        phase: Tensor,
        first: int,
        seed: int,
        speaker: Tensor | None,
        keep: tuple[int, int] | None = None,
    ) -> Tensor:
        """mel [T, M], f0_hz and phase [T] (vocoders.frame_phase) of the frames from ``first`` on → audio [T·hop], or of
        the window's frames keep[0] … keep[1] − 1 alone. It is right ``vocoder.halo_frames`` from both ends, and up to
        the recording's own ends."""
        excitation = vocoders.seeded(f0_hz[None], self.config, seed, first, phase[None])
        extra = vocoders.seeded_extra(f0_hz[None], self.config, seed, first, speaker)
        inputs = self.scale * mel[None], self.vocoder.source(excitation), extra
        if keep is None:
            return self.vocoder(*inputs)[0]
        if isinstance(self.vocoder, Vocoder):
            return self.vocoder.part(*inputs, keep)
        hop = self.config.mel.hop_samples
        return self.vocoder(*inputs)[0, keep[0] * hop : keep[1] * hop]

    def begin(self, *arguments, **options) -> Callable[[], Tensor]:
        """As a GPU's begin, which may return before the work is done; here the work is done."""
        audio = self(*arguments, **options)
        return lambda: audio
