"""The work of every stage: operations by shape (the lowered form's own count), and bytes that must be moved."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import torch

from fastsvc.config import AcousticConfig, HubertConfig, RvcConfig, VocoderConfig
from fastsvc.model.modules import module


@dataclass(frozen=True)
class Work:
    """Floating-point operations (a multiply-add is two), and the fewest bytes to read and write."""

    flops: float
    bytes: float


def denoiser(config: AcousticConfig, frames: int, evaluations: int, width: int) -> Work:
    """The lowered denoiser, condition projections included; ``width``: bytes of a weight."""
    net = config.denoiser
    c, layers, hidden, mel = net.channels, net.layers, net.cond_channels, net.mel_bins
    weights = layers * (3 * c + hidden) * 2 * c + (layers - 1) * c * c + layers * c * c + 2 * mel * c
    return Work(2.0 * weights * frames * evaluations, weights * width * evaluations + 8.0 * frames * mel)


def condition(config: AcousticConfig, frames: int, width: int) -> Work:
    sizes = config.condition
    weights = sizes.unit_channels * sizes.channels
    return Work(2.0 * weights * frames, weights * width + frames * (4.0 * sizes.unit_channels + width * sizes.channels))


def vocoder(config: VocoderConfig, frames: int, width: int) -> Work:
    """The generator; activations between its layers are not in the bytes, as they might stay on the chip."""
    flops, weights = _vocoder_frame(config)
    return Work(flops * frames, weights * width + frames * 4.0 * (config.mel.bins + config.mel.hop_samples))


def content(encoder, seconds: float, width: int = 4) -> Work:
    """The content encoder's network, from a count over one second."""
    flops, weights = _content_second(encoder.config)
    return Work(flops * seconds, weights * width + seconds * 4 * encoder.rate_hz)


def rvc_prior(config: RvcConfig, frames: int, width: int) -> Work:
    """The text encoder of a voice of RVC in one stretch; attention goes with the square of the frames."""
    h, taps, near = config.hidden, config.kernel, 2 * config.window + 1
    layer = 4 * h * h + 2 * taps * h * config.filter_channels
    ends = config.unit_channels * h + 2 * h * config.mel.bins
    weights = config.layers * layer + ends
    attention = config.layers * 2 * h * (frames + near)
    moved = frames * 4.0 * (config.unit_channels + 2 * config.mel.bins)
    return Work(2.0 * (weights + attention) * frames, weights * width + moved)


def rvc_flow(config: RvcConfig, frames: int, width: int) -> Work:
    """The flow of a voice of RVC, from mean and deviation to the generator's input."""
    h, layers, half = config.hidden, config.flow_layers, config.mel.bins / 2
    coupling = half * h + layers * config.flow_kernel * h * 2 * h + (layers - 1) * h * h + layers * h * half
    weights = config.couplings * coupling
    return Work(2.0 * weights * frames, weights * width + frames * 12.0 * config.mel.bins)


def loudness(samples: int) -> Work:
    return Work(3.0 * samples, 4.0 * samples)


@functools.lru_cache(maxsize=8)
def _vocoder_frame(config: VocoderConfig, frames: int = 8) -> tuple[float, int]:
    """(operations a frame, number of weights), counted in a short run, as autocast does not support meta devices."""
    model = module("vocoder", config)
    mel, source = torch.zeros(1, frames, config.mel.bins), torch.zeros(1, frames * config.source_hop_samples)
    return _counted(lambda: model(mel, source)) / frames, sum(p.numel() for p in model.parameters())


@functools.lru_cache(maxsize=8)
def _content_second(config, seconds: int = 4) -> tuple[float, int]:
    hubert = isinstance(config, HubertConfig)
    with torch.device("meta"):
        model = module("hubert" if hubert else "recogniser", config).eval()
        if hubert:
            network_input = torch.empty(1, seconds * config.rate_hz)
        else:
            network_input = torch.empty(1, seconds * config.mel.rate_hz // config.mel.hop_samples, config.mel.bins)
    return _counted(lambda: model(network_input)) / seconds, sum(p.numel() for p in model.parameters())


def _counted(run) -> float:
    from torch.utils.flop_counter import FlopCounterMode

    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        run()
    return float(counter.get_total_flops())
