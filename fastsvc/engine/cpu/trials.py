"""The parts of an engine that have a form in bfloat16, each beside its float32 form and plain PyTorch's, on one input.

Numbers of frames are those of short recordings: longer ones gain more, so what is faster here is faster everywhere.
Inputs are random, weights the engine's own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, cast

import torch
from torch import Tensor

from fastsvc.artifact import engine_folder
from fastsvc.artifact.lowered import TAPS
from fastsvc.config import AcousticConfig
from fastsvc.engine.cpu.denoiser import CpuDenoiser
from fastsvc.engine.cpu.denoiser_bf16 import Bf16Denoiser
from fastsvc.engine.cpu.generators import CPU_BACKENDS, generator_maker, rounded_generator
from fastsvc.engine.parts import Model
from fastsvc.model import process, vocoders
from fastsvc.model.keys import skeleton
from fastsvc.model.modules import module

DENOISER, VOCODER, CONTENT = PARTS = ("denoiser", "vocoder", "content encoder")
DENOISER_FRAMES, VOCODER_S, CONTENT_S = 256, 0.35, 1.0
ROUNDED = torch.bfloat16


@dataclass(frozen=True)
class Runs:
    """One part's output from the same input: in float32, in bfloat16, and by plain PyTorch in bfloat16 (autocast)."""

    exact: Callable[[], Tensor]
    rounded: Callable[[], Tensor]
    plain: Callable[[], Tensor]


@dataclass(frozen=True)
class Trial:
    """``sizes``: all that its time depends on; ``weights``: their sha256; ``runs``: loads them, float32 first."""

    part: str
    sizes: dict
    weights: str
    runs: Callable[[], Runs]


def trials(model: Model, vocoder_backend: str = "auto") -> Iterator[Trial]:
    """The parts of an engine that may compute in bfloat16. The text encoder and flow of RVC's voices and the
    convolutional recognisers take too small a share of the time to have such a form; onnxruntime and voices of DDSP-SVC
    have none here."""
    files, config = model.folder.files, model.acoustic
    if isinstance(config, AcousticConfig):
        sizes = {**asdict(config.denoiser), "bins": config.mel.bins}
        yield Trial(DENOISER, sizes, files[engine_folder.WEIGHTS]["sha256"], lambda: _denoiser(model, config))
    entry = model.folder.manifest.vocoder
    if entry is not None and vocoder_backend in ("auto", "torch"):
        named = entry.backend if vocoder_backend == "auto" and entry.backend in CPU_BACKENDS else vocoder_backend
        if named != "onnxruntime":
            backend = "torch" if named == "torch" else entry.cpu_backend
            sizes = {**asdict(entry.config), "against": backend}
            yield Trial(
                VOCODER, sizes, files[engine_folder.VOCODER]["sha256"], lambda: _vocoder(model, vocoder_backend)
            )
    if model.content_kind == "hubert":
        sha256 = files[engine_folder.CONTENT]["sha256"]
        yield Trial(CONTENT, asdict(model.content), sha256, lambda: _content(model))


def _draws(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))  # leaves the caller's numbers alone


def _autocast(run: Callable[[], Tensor]) -> Callable[[], Tensor]:
    def under() -> Tensor:
        with torch.autocast("cpu", ROUNDED):
            return run().float()

    return under


def _denoiser(model: Model, config: AcousticConfig) -> Runs:
    tensors, levels = model.weights(), model.folder.manifest.sampling.levels
    x = _draws(DENOISER_FRAMES, config.mel.bins) * (levels[0] if config.ddpm is None else 1.0)
    cond = _draws(DENOISER_FRAMES, config.condition.channels)
    exact = CpuDenoiser(tensors, config, levels)
    rounded: Any = Bf16Denoiser(tensors, config, levels)  # what it prepares has a type of its own
    return Runs(
        lambda: exact(x, levels[0], exact.prepare(cond)),
        lambda: rounded(x, levels[0], rounded.prepare(cond)),
        _autocast(lambda: plain_denoiser(tensors, config, x, levels[0], cond)),
    )


def plain_denoiser(tensors: dict[str, Tensor], config: AcousticConfig, x: Tensor, level: float, cond: Tensor) -> Tensor:
    """D(x, σ, cond) [T, M] at the first noise level, by the lowered tensors as their page says, slow and obvious."""
    weights, width = {name: value.float() for name, value in tensors.items()}, config.denoiser.channels
    c_skip, c_out, c_in, _ = process.coefficients(config, torch.tensor(level, dtype=torch.float32))
    h = torch.relu((c_in * x) @ weights["input.weight"] + weights["input.bias"])
    skips, layers = weights["skip.bias"].expand(len(x), -1), config.denoiser.layers
    for layer, dilation in enumerate(config.denoiser.dilations):
        past = config.denoiser.reaches[layer].past
        padded = torch.nn.functional.pad(h + weights["steps.vectors"][0, layer], (0, 0, past, 2 * dilation - past))
        taps = [padded[tap * dilation : tap * dilation + len(x)] for tap in range(TAPS)]
        both = torch.cat([*taps, cond], dim=1) @ weights["conv.weight"][layer] + weights["conv.bias"][layer]
        gate, filter_ = both.chunk(2, dim=1)
        z = torch.sigmoid(gate) * torch.tanh(filter_)
        skips = skips + z @ weights["skip.weight"][layer * width : (layer + 1) * width]
        if layer + 1 < layers:
            h = h * math.sqrt(0.5) + z @ weights["residual.weight"][layer] + weights["residual.bias"][layer]
    return c_skip * x + c_out * (torch.relu(skips) @ weights["output.weight"] + weights["output.bias"])


def _vocoder(model: Model, backend: str) -> Runs:
    config, tensors = model.vocoder, model.generator()
    assert config is not None, "a trial of a vocoder has one"
    frames = max(16, round(VOCODER_S * config.mel.frame_rate_hz))
    shapes = vocoders.shapes(config, 1, frames)
    mel, source = _draws(*shapes["mel"]) - 2, 0.1 * _draws(*shapes["source"]) if "source" in shapes else None
    table = tensors.get(vocoders.SPEAKERS)
    speaker = None if table is None else vocoders.speaker_vector(table, {0: 1.0})
    extra = vocoders.seeded_extra(torch.full((1, frames), 200.0), config, seed=0, speaker=speaker)
    # Forms differ in the inputs that they can be without.
    exact = cast("Callable[..., Tensor]", generator_maker(model, backend)(tensors, config))
    rounded = cast("Callable[..., Tensor]", rounded_generator(tensors, config))
    plain = skeleton(lambda: module("vocoder", config))  # draws no random numbers
    plain.load_state_dict(tensors, assign=True)
    plain.eval()
    return Runs(
        lambda: exact(mel, source, extra),
        lambda: rounded(mel, source, extra),
        _autocast(lambda: vocoders.specified(plain, mel, source, extra)),
    )


def _content(model: Model) -> Runs:
    audio = 0.1 * _draws(round(CONTENT_S * model.content.rate_hz))
    exact, rounded = model.encoder("cpu"), model.rounded_encoder()
    assert exact is not None and rounded is not None, "a trial of a content encoder has one"
    plain = exact.model
    return Runs(lambda: exact.encode(audio), lambda: rounded.encode(audio), _autocast(lambda: plain(audio[None])[0]))
