"""A small input through every layer on the device, compared with the compiler's CPU run in the manifest.

Inputs come from counter-based noise, so they are the same everywhere. The manifest stores a fingerprint of every layer:
its RMS, and its products with a few fixed vectors of signs, which give the size of a difference.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from fastsvc.config import AcousticConfig, AnyVocoderConfig, VocoderConfig
from fastsvc.errors import EngineError
from fastsvc.model import noise, vocoders

FRAMES, VOCODER_FRAMES, PRINTS, SEED = 19, 11, 8, 1
# Bounds of a layer's relative RMS difference. Rounding adds up over the layers; a wrong kernel differs by about 1.
BOUNDS = {"fp32": 2e-3, "fp16": 5e-2, "bf16": 2e-1}
AUDIO = "the vocoder's output"


def draws(frames: int, channels: int, step: int) -> Tensor:
    return noise.gaussian(SEED, step, 0, frames, channels)


def inputs(config: AcousticConfig, level: float) -> dict[str, Tensor]:
    """Condition and state: cond [T, H], x [T, M] at the noise level."""
    cond = draws(FRAMES, config.denoiser.cond_channels, 0)
    return {"cond": cond, "x": level * draws(FRAMES, config.mel.bins, 1)}


def vocoder_inputs(config: AnyVocoderConfig) -> dict[str, Tensor]:
    """mel [T, M] and f0_hz [T], unvoiced at first, and where the vocoder takes one a speaker's vector."""
    f0_hz = torch.full((VOCODER_FRAMES,), 220.0)
    f0_hz[:2] = 0
    found = {"mel": draws(VOCODER_FRAMES, config.mel.bins, 2) - 2, "f0_hz": f0_hz}
    if isinstance(config, VocoderConfig) and config.speakers:
        found["speaker"] = draws(1, config.initial_channels, 4)[0]
    return found


def fingerprint(values: Tensor) -> list[float]:
    """[RMS, products with signs / √n …] of a tensor [T, C] or [T]."""
    flat = values.detach().double().cpu().flatten()
    signs = noise.gaussian(SEED, 3, 0, len(flat), PRINTS).sign().double()
    prints = flat @ signs / math.sqrt(len(flat))
    return [float(flat.pow(2).mean().sqrt()), *prints.tolist()]


def difference(actual: list[float], expected: list[float]) -> float:
    """About the relative RMS of the difference: for a difference d, each product with signs is ±RMS(d) on average."""
    spread = math.sqrt(sum((a - b) ** 2 for a, b in zip(actual[1:], expected[1:], strict=True)) / PRINTS)
    distance = max(spread, abs(actual[0] - expected[0])) / max(expected[0], 1e-12)
    return distance if math.isfinite(distance) else math.inf


def expected_layers(config: AcousticConfig, denoiser, level: float) -> dict:
    """The fingerprints that the compiler stores: all layers of a CPU denoiser (fastsvc/engine/cpu/denoiser.py)."""
    check_inputs, trace = inputs(config, level), []
    out = denoiser(check_inputs["x"], level, denoiser.prepare(check_inputs["cond"]), trace)
    layers = [[name, fingerprint(value)] for name, value in [*trace, ("output", out)]]
    return {"level": level, "layers": layers}


def expected_audio(config: AnyVocoderConfig, vocoder) -> list[float]:
    return fingerprint(audio_of(config, vocoder, **vocoder_inputs(config)))


def audio_of(config: AnyVocoderConfig, vocoder, mel: Tensor, f0_hz: Tensor, speaker: Tensor | None = None) -> Tensor:
    """The CPU's vocoder (fastsvc/engine/cpu/generators.py) on a whole mel."""
    excitation = vocoder.source(vocoders.seeded(f0_hz[None], config, SEED))
    return vocoder(mel[None], excitation, vocoders.seeded_extra(f0_hz[None], config, SEED, speaker=speaker))[0]


@torch.inference_mode()
def check(stored: dict | None, sampler, synthesiser, precision: str, traced: Callable | None = None) -> None:
    """Raises EngineError naming the first layer that differs; old engines, which store no fingerprints, pass.

    ``traced``: (sampler, level) → (name, what computed it, values [T, C]) of each layer; None: a denoiser's.
    """
    if stored is None:
        return
    by_name = dict(map(tuple, stored["layers"]))
    for name, by, value in (traced or _denoiser)(sampler, float(stored["level"])):
        if name in by_name:
            _compare(f"{name} of the {by}", fingerprint(value), by_name[name], precision)
    if synthesiser is not None and stored.get("audio"):
        check_inputs, requested = vocoder_inputs(synthesiser.config), synthesiser.choice.requested
        mel, f0_hz = check_inputs["mel"] / synthesiser.scale, check_inputs["f0_hz"]
        audio = synthesiser(mel, f0_hz, SEED, speaker=check_inputs.get("speaker"))
        backend = "PyTorch" if requested in ("auto", "torch") else requested
        by = backend if synthesiser.mixing is None else f"source_kernel, {backend}"
        _compare(f"{AUDIO} ({by})", fingerprint(audio), stored["audio"], precision)


def _denoiser(sampler, level: float):
    return ((name, f"denoiser ({kernels})", value) for name, kernels, value in layers(sampler, level))


def layers(sampler, level: float):
    """(name, kernels that computed it, values [T, C]) of each layer of one evaluation, launched one by one."""
    config, network = sampler.config, sampler.network
    check_inputs = {name: value.to(network.device) for name, value in inputs(config, level).items()}
    program = network.program(sampler.buckets.shape([FRAMES]))
    net, weights, width = program.net, network.weights, config.denoiser.channels
    network.staging.send(program, [])
    net.lengths.fill_(FRAMES)
    net.cond.zero_()
    net.cond[:, :FRAMES, : config.denoiser.cond_channels] = check_inputs["cond"]
    net.x.zero_()
    net.x[:, :FRAMES] = check_inputs["x"]
    step = network.levels[level].index
    vector = weights.first_shift[step]  # d_0; d_{l+1} follows from the residual's shift
    layer = 0
    for launch in program.evaluation(level):
        network.launcher.bind(launch)()
        kernel = getattr(launch.kernel, "fn", launch.kernel).__name__
        if kernel == "first_kernel":
            yield "input", kernel, _state(net, width) - vector[:width]
        if kernel == "residual_kernel":
            vector = network.step_vectors[step, layer + 1]
            yield f"layer {layer}", "gated_conv_kernel, residual_kernel", _state(net, width) - vector[:width]
            layer += 1
        if kernel == "skip_kernel":
            parts = net.parts[:, 0, :FRAMES].float()
            finished = parts[0] if len(parts) == 1 else torch.relu(parts.sum(0) + weights.skip_bias)
            yield "skip", kernel, finished[:, :width]
    yield "output", "head_kernel", net.out[0, :FRAMES]


def _state(net, width: int) -> Tensor:
    return net.state[0, :FRAMES, :width].float()


def _compare(layer: str, actual: list[float], expected: list[float], precision: str) -> None:
    error = difference(actual, expected)
    if not error <= BOUNDS[precision]:
        raise EngineError(
            f"{layer} differs from the stored result by {error:.1e} (allowed {BOUNDS[precision]:.0e}, {precision})",
            "use --device cpu, and report this with the output of `fastsvc doctor`",
        )
