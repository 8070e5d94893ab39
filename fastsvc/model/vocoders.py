"""What families of vocoders differ in, by a vocoder's configuration.

Every vocoder computes audio from a log-mel, nearly every one from an excitation, and in some families from one more
input by frame, here called ``extra``: the noise of a HiFi-GAN generator whose noise_sigma is more than 0, the speaker's
vector of one that has speakers (fastsvc/model/vocoder.py), or f0 of the source-filter vocoder
(fastsvc/model/source_filter.py).
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from fastsvc.config import AnyVocoderConfig, SourceFilterConfig
from fastsvc.config.reach import Reach
from fastsvc.model import noise, pulses, source, source_filter, vocoder

SPEAKERS = "speakers.weight"  # of a generator with speakers: the table of vectors [speakers, initial_channels]


def reach(config: AnyVocoderConfig) -> Reach:
    """Mel frames before and after its own that a sample of the output depends on."""
    if isinstance(config, SourceFilterConfig):
        return source_filter.reach(config)
    return Reach(*[vocoder.halo_frames(config)] * 2)


def halo_frames(config: AnyVocoderConfig) -> int:
    """Mel frames on each side that a sample of the output depends on, at most."""
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
) -> Tensor | None:
    """Excitation with counter-based noise [1, T·source_hop_samples, source_channels], for frames first_frame … of one
    recording; f0_hz [1, T], ``phase`` its slice of :func:`frame_phase`. None for a vocoder without a source."""
    if not config.source_channels:
        return None
    if isinstance(config, SourceFilterConfig):
        return pulses.seeded(f0_hz, config, seed, first_frame, phase)
    return source.seeded(f0_hz, config, seed, first_frame, phase)


def extra_name(config: AnyVocoderConfig) -> str | None:
    """The name of the third input: noise, speaker, f0_hz, or None for a family without it."""
    if isinstance(config, SourceFilterConfig):
        return "f0_hz"
    if config.speakers:
        return "speaker"
    return "noise" if config.noise_sigma else None


def speaker_vector(table: Tensor, weights: Mapping[int, float]) -> Tensor:
    """What a speaker adds to conv_pre's output [initial_channels]: the mean of rows of the ``table`` :data:`SPEAKERS`
    by ``weights``, which is exact, as upstream's layer is linear."""
    rows = [weight * table[row].float() for row, weight in weights.items()]
    return sum(rows[1:], rows[0])


def seeded_extra(
    f0_hz: Tensor, config: AnyVocoderConfig, seed: int, first_frame: int = 0, speaker: Tensor | None = None
) -> Tensor | None:
    """The third input for the frames first_frame … of one recording: f0_hz [1, T], noise [1, T, initial_channels], or
    the vector ``speaker`` [initial_channels] as [1, 1, initial_channels]."""
    if isinstance(config, SourceFilterConfig):
        return f0_hz
    if config.speakers:
        assert speaker is not None, "this vocoder takes a speaker's vector"
        return speaker[None, None]
    if not config.noise_sigma:
        return None
    frames, channels = f0_hz.shape[1], config.initial_channels
    return noise.gaussian(seed, 0, first_frame, frames, channels, f0_hz.device, noise.FRAME_STREAM)[None]


def shapes(config: AnyVocoderConfig, batch: int, frames: int) -> dict[str, tuple[int, ...]]:
    """The inputs by name: mel, source (mixed to one channel, or pulses and noise; some have none), and the third."""
    by_input: dict[str, tuple[int, ...]] = {"mel": (batch, frames, config.mel.bins)}
    samples, extra = frames * config.source_hop_samples, extra_name(config)
    if isinstance(config, SourceFilterConfig):
        return by_input | {"source": (batch, samples, config.source_channels), "f0_hz": (batch, frames)}
    if config.source_channels:
        by_input["source"] = batch, samples
    return by_input | ({extra: (batch, frames, config.initial_channels)} if extra else {})


def specified(model, mel: Tensor, excitation: Tensor | None, extra: Tensor | None) -> Tensor:
    """The specification's audio: ``model`` is a Generator or a SourceFilter."""
    if isinstance(model.config, SourceFilterConfig):
        return model(mel, extra, excitation)
    return model(mel, excitation, extra)
