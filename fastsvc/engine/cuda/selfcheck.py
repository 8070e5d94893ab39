"""A small input through every layer on the device, against what the compiler's CPU run left in the manifest.

VocoderInputs follow from counter-based noise, so they are the same everywhere. Of every layer a fingerprint is stored:
its RMS, and its products with a few fixed vectors of signs, from which the size of a difference can be told.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from fastsvc.config import AcousticConfig, VocoderConfig
from fastsvc.errors import EngineError
from fastsvc.model import noise, source

FRAMES, VOCODER_FRAMES, PRINTS, SEED = 19, 11, 8, 1
# Relative RMS that a layer may be off by: rounding adds up over the layers; a wrong kernel is off by all of it.
BOUNDS = {"fp32": 2e-3, "fp16": 5e-2, "bf16": 2e-1}
AUDIO = "the vocoder's output"


def draws(frames: int, channels: int, step: int) -> Tensor:
    return noise.gaussian(SEED, step, 0, frames, channels)


def inputs(config: AcousticConfig, level: float) -> dict[str, Tensor]:
    """Condition and state: cond [T, H], x [T, M] at the noise level."""
    cond = draws(FRAMES, config.denoiser.cond_channels, 0)
    return {"cond": cond, "x": level * draws(FRAMES, config.mel.bins, 1)}


def vocoder_inputs(config: VocoderConfig) -> dict[str, Tensor]:
    """mel [T, M] and f0_hz [T], unvoiced at first."""
    f0_hz = torch.full((VOCODER_FRAMES,), 220.0)
    f0_hz[:2] = 0
    return {"mel": draws(VOCODER_FRAMES, config.mel.bins, 2) - 2, "f0_hz": f0_hz}


def fingerprint(values: Tensor) -> list[float]:
    """[RMS, products with signs / √n …] of a tensor [T, C] or [T]."""
    flat = values.detach().double().cpu().flatten()
    signs = noise.gaussian(SEED, 3, 0, len(flat), PRINTS).sign().double()
    prints = flat @ signs / math.sqrt(len(flat))
    return [float(flat.pow(2).mean().sqrt()), *prints.tolist()]


def difference(got: list[float], want: list[float]) -> float:
    """About the relative RMS of the difference: of a difference d, each product with signs is ±RMS(d) on average."""
    spread = math.sqrt(sum((a - b) ** 2 for a, b in zip(got[1:], want[1:], strict=True)) / PRINTS)
    distance = max(spread, abs(got[0] - want[0])) / max(want[0], 1e-12)
    return distance if math.isfinite(distance) else math.inf


def expected(config: AcousticConfig, denoiser, level: float) -> dict:
    """What the compiler stores: fingerprints of all layers of a CPU denoiser (fastsvc/engine/cpu/denoiser.py)."""
    given, trace = inputs(config, level), []
    out = denoiser(given["x"], level, denoiser.prepare(given["cond"]), trace)
    layers = [[name, fingerprint(value)] for name, value in [*trace, ("output", out)]]
    return {"level": level, "layers": layers}


def expected_audio(config: VocoderConfig, vocoder) -> list[float]:
    given = vocoder_inputs(config)
    return fingerprint(audio_of(config, vocoder, given["mel"], given["f0_hz"]))


def audio_of(config: VocoderConfig, vocoder, mel: Tensor, f0_hz: Tensor) -> Tensor:
    """The CPU's vocoder (fastsvc/engine/cpu/vocoder.py) on a whole mel, without noise in the generator."""
    sines = source.seeded(f0_hz[None], config, SEED)
    extra = None
    if config.noise_sigma:
        extra = noise.gaussian(SEED, 0, 0, len(mel), config.initial_channels, stream=noise.FRAME_STREAM)[None]
    return vocoder(mel[None], vocoder.source(sines), extra)[0]


@torch.inference_mode()
def check(stored: dict | None, sampler, synthesiser, precision: str) -> None:
    """Raises EngineError naming the first layer that differs; engines of old, which store nothing, pass."""
    if stored is None:
        return
    for name, kernels, value in layers(sampler, float(stored["level"])):
        want = dict(map(tuple, stored["layers"])).get(name)
        if want is not None:
            _compare(f"{name} of the denoiser ({kernels})", fingerprint(value), want, precision)
    if synthesiser is not None and stored.get("audio"):
        given = vocoder_inputs(synthesiser.config)
        audio = synthesiser(given["mel"] / synthesiser.scale, given["f0_hz"], SEED)
        made = "PyTorch" if synthesiser.choice.wanted in ("auto", "torch") else synthesiser.choice.wanted
        _compare(f"{AUDIO} (source_kernel, {made})", fingerprint(audio), stored["audio"], precision)


def layers(sampler, level: float):
    """(name, kernels that made it, values [T, C]) of one evaluation, its launches started one by one."""
    config, network = sampler.config, sampler.network
    given = {name: value.to(network.device) for name, value in inputs(config, level).items()}
    program = network.program(sampler.buckets.shape([FRAMES]))
    net, weights, width = program.net, network.weights, config.denoiser.channels
    network.staging.send(program, [])
    net.lengths.fill_(FRAMES)
    net.cond.zero_()
    net.cond[:, :FRAMES, : config.denoiser.cond_channels] = given["cond"]
    net.x.zero_()
    net.x[:, :FRAMES] = given["x"]
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


def _compare(what: str, got: list[float], want: list[float], precision: str) -> None:
    off = difference(got, want)
    if not off <= BOUNDS[precision]:
        raise EngineError(
            f"{what} differs from the stored result by {off:.1e} (allowed {BOUNDS[precision]:.0e}, {precision})",
            "use --device cpu, and report this with the output of `fastsvc doctor`",
        )
