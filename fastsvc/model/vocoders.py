"""What families of vocoders differ in, by a vocoder's configuration.

Every vocoder computes audio from a log-mel, an excitation, and in some families one more input by frame, here called
``extra``: the noise of a HiFi-GAN generator whose noise_sigma is more than 0 (fastsvc/model/vocoder.py), or f0 of the
source-filter vocoder (fastsvc/model/source_filter.py).
"""

from __future__ import annotations

from torch import Tensor

from fastsvc.config import AnyVocoderConfig, SourceFilterConfig
from fastsvc.model import noise, pulses, source, source_filter, vocoder


def halo_frames(config: AnyVocoderConfig) -> int:
    """Mel frames on each side that a sample of the output depends on."""
    if isinstance(config, SourceFilterConfig):
        return source_filter.halo_frames(config)
    return vocoder.halo_frames(config)


def frame_phase(f0_hz: Tensor, config: AnyVocoderConfig) -> Tensor:
    """f0_hz [B, T] → the phase at the start of each frame, in cycles 0 … 1, float64 [B, T]."""
    if isinstance(config, SourceFilterConfig):
        return pulses.frame_phase(f0_hz, config)
    return source.frame_phase(f0_hz, config)


def seeded(
    f0_hz: Tensor, config: AnyVocoderConfig, seed: int = 0, first_frame: int = 0, phase: Tensor | None = None
) -> Tensor:
    """Excitation with counter-based noise [1, T·source_hop_samples, source_channels], for frames first_frame … of one
    recording; f0_hz [1, T], ``phase`` its slice of :func:`frame_phase`."""
    if isinstance(config, SourceFilterConfig):
        return pulses.seeded(f0_hz, config, seed, first_frame, phase)
    return source.seeded(f0_hz, config, seed, first_frame, phase)


def extra_name(config: AnyVocoderConfig) -> str | None:
    """The name of the third input: noise, f0_hz, or None for a family without it."""
    if isinstance(config, SourceFilterConfig):
        return "f0_hz"
    return "noise" if config.noise_sigma else None


def seeded_extra(f0_hz: Tensor, config: AnyVocoderConfig, seed: int, first_frame: int = 0) -> Tensor | None:
    """The third input for the frames first_frame … of one recording; f0_hz [1, T]."""
    if isinstance(config, SourceFilterConfig):
        return f0_hz
    if not config.noise_sigma:
        return None
    frames, channels = f0_hz.shape[1], config.initial_channels
    return noise.gaussian(seed, 0, first_frame, frames, channels, f0_hz.device, noise.FRAME_STREAM)[None]


def shapes(config: AnyVocoderConfig, batch: int, frames: int) -> dict[str, tuple[int, ...]]:
    """The inputs by name: mel, source (mixed to one channel, or pulses and noise), and the third one."""
    by_input: dict[str, tuple[int, ...]] = {
        "mel": (batch, frames, config.mel.bins),
        "source": (batch, frames * config.source_hop_samples),
    }
    if isinstance(config, SourceFilterConfig):
        return by_input | {"source": (*by_input["source"], config.source_channels), "f0_hz": (batch, frames)}
    return by_input | ({"noise": (batch, frames, config.initial_channels)} if config.noise_sigma else {})


def specified(model, mel: Tensor, excitation: Tensor, extra: Tensor | None) -> Tensor:
    """The specification's audio: ``model`` is a Generator or a SourceFilter."""
    if isinstance(model.config, SourceFilterConfig):
        return model(mel, extra, excitation)
    return model(mel, excitation, extra)
