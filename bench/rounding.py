"""The arithmetic of `bench.precision`: the lowered denoiser, operands and stored values rounded, sums in float32."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import pad

from bench import models
from fastsvc.config import AcousticConfig
from fastsvc.model import noise, process, sampler, schedule

STEPS, SEED = (1, 2, 4), 1
LARGEST = float(torch.finfo(torch.float8_e4m3fn).max)


@dataclass(frozen=True)
class Format:
    """A number format: the type of stored values, and the rounding of the large products' operands."""

    stored: torch.dtype
    rows: Callable[[Tensor], Tensor] = lambda operand: operand
    columns: Callable[[Tensor], Tensor] = lambda weight: weight

    def store(self, value: Tensor) -> Tensor:
        return value.to(self.stored).float()

    def product(self, operand: Tensor, weight: Tensor) -> Tensor:
        return self.rows(operand) @ self.columns(self.store(weight))


def eight_bits(value: Tensor, dim: int | None) -> Tensor:
    """float8 e4m3 with one scale along ``dim`` (None: one for all)."""
    largest = value.abs().amax() if dim is None else value.abs().amax(dim, keepdim=True)
    scale = (largest / LARGEST).clamp_min(1e-30)
    return (value / scale).to(torch.float8_e4m3fn).float() * scale


FORMATS = {
    "float32": Format(torch.float32),
    "float16": Format(torch.float16),
    "bfloat16": Format(torch.bfloat16),
    "float8, scale by row": Format(torch.float16, lambda a: eight_bits(a, 1), lambda w: eight_bits(w, 0)),
    "float8, scale by tensor": Format(torch.float16, lambda a: eight_bits(a, None), lambda w: eight_bits(w, 0)),
}


def evaluate(
    w: dict[str, Tensor], config: AcousticConfig, x: Tensor, step: int, level: float, cond: Tensor, form: Format
):
    """D(x) [T, M] from lowered tensors; ``step``: the level's row of the step vectors."""
    c_skip, c_out, c_in = map(float, process.coefficients(config, torch.tensor(level, dtype=torch.float32))[:3])
    vectors, cond = w["steps.vectors"][step], form.store(cond)
    state = torch.relu(form.store(c_in * x) @ form.store(w["input.weight"]) + w["input.bias"])
    state, gated = form.store(state + vectors[0]), []
    for layer, dilation in enumerate(config.denoiser.dilations):
        padded = pad(state, (0, 0, dilation, dilation))
        operand = torch.cat([padded[: len(x)], state, padded[2 * dilation :], cond], dim=1)
        gate, filter_ = (form.product(operand, w["conv.weight"][layer]) + w["conv.bias"][layer]).chunk(2, dim=1)
        gated.append(form.store(torch.sigmoid(gate) * torch.tanh(filter_)))
        if layer + 1 < config.denoiser.layers:
            shift = w["residual.bias"][layer] - vectors[layer] * math.sqrt(0.5) + vectors[layer + 1]
            state = form.store(state * math.sqrt(0.5) + form.product(gated[-1], w["residual.weight"][layer]) + shift)
    skips = form.store(torch.relu(form.product(torch.cat(gated, dim=1), w["skip.weight"]) + w["skip.bias"]))
    return c_skip * x + c_out * (skips @ form.store(w["output.weight"]) + w["output.bias"])


@dataclass(frozen=True)
class Case:
    """A network with its schedules, and a condition [T, H]."""

    name: str
    config: AcousticConfig
    tensors: dict[str, Tensor]
    schedules: dict[int, list[float]]
    levels: list[float]
    cond: Tensor
    plain: Callable[[Tensor, float, Tensor], Tensor] | None = None  # D of the plain model in float16


def errors(case: Case) -> list[dict]:
    """A row for each format and number of steps."""

    def mel(denoise: Callable, steps: int) -> Tensor:
        def draw(step: int) -> Tensor:
            return noise.gaussian(SEED, step, 0, len(case.cond), case.config.mel.bins)

        return sampler.sample(case.config, "consistency", denoise, case.schedules[steps], draw, case.cond)

    def lowered(form: Format) -> Callable:
        return lambda x, s: evaluate(case.tensors, case.config, x, case.levels.index(s), s, case.cond, form)

    span = (torch.tensor(case.config.norm.high) - torch.tensor(case.config.norm.low)) / 2
    decibels = 20 * span * (1 if case.config.mel.log_base == "10" else 1 / math.log(10))
    ways = {name: lowered(form) for name, form in FORMATS.items() if name != "float32"}
    if case.plain is not None:
        ways = {"plain PyTorch, float16": lambda x, s: case.plain(x, s, case.cond), **ways}
    rows = []
    for steps in STEPS:
        exact = mel(lowered(FORMATS["float32"]), steps)
        for name, denoise in ways.items():
            off = mel(denoise, steps) - exact
            relative, loud = off.square().mean().sqrt() / exact.square().mean().sqrt(), off * decibels
            row = {"network": case.name, "format": name, "steps": steps, "relative_rms": float(f"{relative:.3g}")}
            rows.append({**row, "mel_db": float(f"{loud.square().mean().sqrt():.3g}")})
    return rows


def choir(seconds: float) -> Case:
    """choir.fsvc on a recording. Their weights are stored in float16, so that rounding of weights is not seen.

    Their plain model is not stored, hence no row of it.
    """
    from fastsvc.artifact import engine_folder
    from fastsvc.audio import io
    from fastsvc.engine import extraction
    from fastsvc.engine.engine import Engine

    examples = Path(__file__).parent.parent / "examples"
    folder, path = examples / "voices" / "choir.fsvc", examples / "recordings" / "singing" / "viktor.wav"
    engine = Engine.open(folder, "cpu", "built")
    audio, rate_hz = io.read(path)[:2]
    excerpt = extraction.mono(audio, rate_hz)[0][: round(seconds * rate_hz)]
    features = extraction.features(excerpt, rate_hz, engine.config, engine.encoder, None, None, "cpu")
    voice = engine.sampler.condition.speaker({0: 1.0})
    cond = engine.sampler._cond(features, voice, 0, len(features.f0_hz))
    tensors = {
        name: value.float() for name, value in engine_folder.Artifact(folder).tensors(engine_folder.WEIGHTS).items()
    }
    return Case("choir.fsvc", engine.config, tensors, engine.sampler.schedules, engine.manifest.sampling.levels, cond)


def full_size(seconds: float, sizes: tuple[int, int] = (512, 20)) -> Case:
    """CoMoSVC's sizes with random weights, and the plain model in float16."""
    from fastsvc.build.passes import fold
    from fastsvc.build.passes.lower import lower
    from fastsvc.model.acoustic import AcousticModel

    config = models.acoustic(*sizes)
    model = AcousticModel(config).eval()
    torch.nn.init.normal_(model.denoiser.output_projection.weight, std=sizes[0] ** -0.5)
    schedules = {steps: schedule.levels(config, "consistency", steps) for steps in STEPS}
    levels = sorted({level for row in schedules.values() for level in row}, reverse=True)
    weights, layers = {name: value.double() for name, value in model.state_dict().items()}, config.denoiser.layers
    folded = {**fold.fold_condition(weights, config), **fold.fold_layers(weights, layers)}
    folded |= {**fold.fold_skips(weights, layers), "steps": fold.step_vectors(weights, config, levels)}
    half = model.denoiser.half()

    def net(x: Tensor, level: Tensor, cond: Tensor, valid) -> Tensor:
        return half(x.half(), level.half(), cond.half(), valid).float()

    def plain(x: Tensor, sigma: float, cond: Tensor) -> Tensor:
        return process.denoise(net, config, x[None], torch.tensor([sigma]), cond[None])[0]

    cond = torch.randn(round(seconds * config.mel.frame_rate_hz), config.denoiser.cond_channels)
    name = f"{sizes[0]}×{sizes[1]}, random"
    return Case(name, config, lower(folded, layers), schedules, levels, cond, plain)


def table(rows: list[dict]) -> str:
    lines = [
        "| network | format | " + " | ".join(f"{n} step" + "s" * (n > 1) for n in STEPS) + " |",
        "|---|---|" + "---|" * len(STEPS),
    ]
    for network, name in dict.fromkeys((row["network"], row["format"]) for row in rows):
        format_rows = [row for row in rows if (row["network"], row["format"]) == (network, name)]
        cells = [f"{row['relative_rms']:.1e} ({row['mel_db']:.2g} dB)" for row in format_rows]
        lines.append(f"| {network} | {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)
