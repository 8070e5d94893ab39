"""Pass 6, verify: the stored tensors, run by the engine's own backend, against the specification, layer by layer.

In float32 every layer must agree to 1e-5 (relative RMS); layers of voices of RVC and of DDSP-SVC may be off by twice
what the specification in float32 is, too: where attention is sharp, and in the quiet bins of a mel, rounding alone
comes near 1e-5. Where weights are stored in fewer bits the reference is the specification in float64 on the original
weights, and the error may be at most twice that of the specification with its weights rounded the same way. A denoiser
that computes in bfloat16 may be off by twice what PyTorch's autocast is. No layer may be off by more than 3e-2 in any
precision.
"""

from __future__ import annotations

import torch
from torch import Tensor

from fastsvc.artifact import engine_folder
from fastsvc.build.passes import ddsp_traces, rvc_traces, vocoder_traces
from fastsvc.build.plan import CheckedPlan, LoweredPlan, VerifiedPlan
from fastsvc.checkpoints import Checkpoint
from fastsvc.config import AnyAcousticConfig, AnyVocoderConfig, DdspConfig, RvcConfig
from fastsvc.engine.cpu.conditions import condition_for
from fastsvc.engine.cpu.denoiser_bf16 import denoiser_for
from fastsvc.errors import EngineError
from fastsvc.features.hubert import HubertEncoder
from fastsvc.model import process, stored
from fastsvc.model.keys import skeleton
from fastsvc.model.modules import module
from fastsvc.model.stored import Rounding

BOUND = 1e-5
LARGEST = 3e-2
LEVELS = 8
FRAMES = 37  # odd, longer than most halos, cheap
Trace = list[tuple[str, Tensor]]


@torch.no_grad()
def verify_pass(plan: LoweredPlan) -> VerifiedPlan:
    inputs = _inputs(plan)
    rounding = stored.rounding(plan.precision, plan.store)
    config = plan.acoustic_config
    traces = _traces_of(config)
    specification = traces.specification if traces else _specification
    exact = specification(plan, inputs, plan.acoustic.tensors, torch.float64)
    plain = specification(plan, inputs, plan.acoustic.tensors, torch.float32) if traces else None
    if rounding is not None:
        plain = specification(plan, inputs, _rounded(rounding, plan.acoustic.tensors), torch.float32)
    if plan.precision == "bf16":
        with torch.autocast("cpu", torch.bfloat16):
            plain = specification(plan, inputs, plan.acoustic.tensors, torch.float32)
    errors = {"acoustic": compare(exact, (traces.lowered if traces else _lowered)(plan, inputs), plain)}
    plan.say(f"verify: {len(exact)} layers of the acoustic model agree, worst {errors['acoustic']:.1e}")
    if plan.vocoder is not None:
        errors["vocoder"] = _verify_vocoder(plan, plan.vocoder, rounding)
        plan.say(f"verify: the vocoder agrees, {errors['vocoder']:.1e}")
    if plan.content is not None:
        errors["content"] = _verify_content(plan, plan.content, rounding)
        plan.say(f"verify: the content encoder agrees, {errors['content']:.1e}")
    return plan.then(VerifiedPlan, verified=errors)


def _rounded(rounding: Rounding, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """A checkpoint's tensors rounded as the stored ones are, in float32."""
    return {name: rounding(name, value).float() for name, value in tensors.items()}


def _traces_of(config: AnyAcousticConfig):
    """The module that traces a family of its own; None for diffusion models."""
    if isinstance(config, RvcConfig):
        return rvc_traces
    return ddsp_traces if isinstance(config, DdspConfig) else None


def compare(exact: Trace, compiled: Trace, plain: Trace | None = None) -> float:
    """Largest relative RMS error of any layer. Raises EngineError naming the first layer beyond the bound."""
    worst = 0.0
    for i, ((name, reference), (other, result)) in enumerate(zip(exact, compiled, strict=True)):
        assert name == other, f"{name} is compared with {other}"
        error = relative_rms(result, reference)
        bound = BOUND if plain is None else min(2 * relative_rms(plain[i][1], reference) + BOUND, LARGEST)
        if not error <= bound:
            raise EngineError(
                f"{name} of the compiled model differs from the specification by {error:.1e} (allowed {bound:.1e})",
                "this is a defect of fastsvc: please report it with the checkpoint's sizes",
            )
        worst = max(worst, error)
    return worst


def spread_levels(levels: list[float]) -> list[float]:
    """At most LEVELS of the levels, with the first and the last: a schedule of 50 steps is not checked 50 times."""
    last = len(levels) - 1
    return levels if last < LEVELS else [levels[round(i * last / (LEVELS - 1))] for i in range(LEVELS)]


def relative_rms(result: Tensor, reference: Tensor) -> float:
    """RMS of the difference over the RMS of the reference, or over 1 if the reference is zero. NaN stays NaN."""
    scale = reference.double().pow(2).mean().sqrt()
    error = (result.double() - reference.double()).pow(2).mean().sqrt()
    return float(error / scale if scale > 0 else error)


def _inputs(plan: CheckedPlan) -> dict[str, Tensor]:
    config = plan.acoustic_config
    generator = torch.Generator().manual_seed(0)
    units = torch.randn(FRAMES, config.unit_channels, generator=generator)
    f0_hz = 100 + 400 * torch.rand(FRAMES, generator=generator)
    f0_hz[:3] = 0
    return {
        "units": units,
        "f0_hz": f0_hz,
        "volume": 0.2 * torch.rand(FRAMES, generator=generator),
        "voiced": (f0_hz > 0).float(),
        "key_shift": torch.tensor([3.0]),
        "x": torch.randn(FRAMES, config.mel.bins, generator=generator),
    }


def _specification(plan: CheckedPlan, inputs: dict[str, Tensor], tensors: dict[str, Tensor], dtype) -> Trace:
    """Conditions of the first and last speaker, then at each noise level: input, each layer, skip, output."""
    model = module(plan.acoustic.kind, plan.diffusion)
    model.load_state_dict(tensors)
    model = model.to(dtype).eval()
    batch = {name: value.to(dtype)[None] for name, value in inputs.items()}
    trace: Trace = []
    last = plan.diffusion.speakers - 1
    for speaker in sorted({0, last}):
        cond = model.condition(
            batch["units"],
            batch["f0_hz"],
            batch["volume"],
            torch.tensor([speaker]),
            batch["key_shift"][0] if plan.diffusion.shifts_formants else None,
            batch["voiced"],
        )
        trace.append((f"condition of speaker {speaker}", cond[0]))
    hooks = _record(model.denoiser, trace)
    for level in spread_levels(plan.levels):
        x = _scale(plan, level) * batch["x"]
        sigma = torch.tensor([level], dtype=torch.float32)
        scalars = [c.to(dtype) for c in process.coefficients(plan.diffusion, sigma)]
        c_skip, c_out, c_in, c_noise = scalars
        trace.append(
            (f"output at sigma {level:.4g}", (c_skip * x + c_out * model.denoiser(c_in * x, c_noise, cond))[0])
        )
    for hook in hooks:
        hook.remove()
    return trace


def _scale(plan: CheckedPlan, level: float) -> float:
    """RMS of the network's input x: σ in an EDM model, 1 on a variance-preserving chain."""
    return level if plan.diffusion.ddpm is None else 1.0


def _record(net, trace: Trace) -> list:
    """Hooks that append the states between the layers to ``trace``, channels last, as the backend does."""

    def note(name: str, pick=lambda out: out):
        return lambda module, args, out: trace.append((name, pick(out)[0].T.clone()))

    hooks = [net.input_projection.register_forward_hook(note("input", torch.relu))]
    for i, layer in enumerate(net.residual_layers[:-1]):
        hooks.append(layer.register_forward_hook(note(f"layer {i}", lambda out: out[0])))
    hooks.append(net.skip_projection.register_forward_hook(note("skip", torch.relu)))
    return hooks


def _lowered(plan: LoweredPlan, inputs: dict[str, Tensor]) -> Trace:
    """The same trace from the tensors as they will be stored, by the CPU backend."""
    tensors = plan.tensors[engine_folder.WEIGHTS]
    condition = condition_for(plan.diffusion)(tensors, plan.diffusion)
    denoiser = denoiser_for(plan.precision)(tensors, plan.diffusion, plan.levels)
    trace: Trace = []
    features = inputs["units"], inputs["f0_hz"], inputs["volume"], inputs["voiced"]
    key_shift = float(inputs["key_shift"]) if plan.diffusion.shifts_formants else 0.0
    for speaker in sorted({0, plan.diffusion.speakers - 1}):
        cond = condition(*features, condition.speaker({speaker: 1.0}, key_shift))
        trace.append((f"condition of speaker {speaker}", cond))
    prepared = denoiser.prepare(cond, 2)
    for level in spread_levels(plan.levels):
        out = denoiser(_scale(plan, level) * inputs["x"], level, prepared, trace)
        trace.append((f"output at sigma {level:.4g}", out))
    return trace


def _verify_vocoder(plan: LoweredPlan, checkpoint: Checkpoint[AnyVocoderConfig], rounding: Rounding | None) -> float:
    config, plain = checkpoint.config, None
    exact = vocoder_traces.specification(config, checkpoint.tensors, torch.float64)
    if rounding is not None:
        plain = vocoder_traces.specification(config, _rounded(rounding, checkpoint.tensors), torch.float32)
    return compare(exact, vocoder_traces.lowered(config, plan.tensors[engine_folder.VOCODER]), plain)


def _verify_content(plan: LoweredPlan, checkpoint: Checkpoint, rounding: Rounding | None) -> float:
    """A recogniser runs as specified, so only rounding in storage can differ; the engine has its own HuBERT."""
    config, generator = checkpoint.config, torch.Generator().manual_seed(0)
    if checkpoint.kind == "hubert":
        inputs = 0.1 * torch.randn(1, FRAMES * config.hop_samples, generator=generator)
    else:
        inputs = torch.randn(1, FRAMES, config.mel.bins, generator=generator) - 2

    def trace(units: Tensor) -> Trace:
        return [("the content encoder's units", units)]

    def specification(tensors) -> Trace:
        model = skeleton(lambda: module(checkpoint.kind, config))
        model.load_state_dict(tensors, assign=True)  # not copied: an encoder may have 400 MB
        units = model.eval()(inputs)
        return trace(units[0] if checkpoint.kind == "hubert" else units[0][0])

    plain = None
    if rounding is not None:
        plain = specification(_rounded(rounding, checkpoint.tensors))
    exact, kept = specification(checkpoint.tensors), plan.tensors[engine_folder.CONTENT]
    if checkpoint.kind == "hubert":
        return compare(exact, trace(HubertEncoder(config, kept).encode(inputs[0])), plain)
    return compare(exact, specification({name: value.float() for name, value in kept.items()}), plain)
