"""What the acoustic part of a voice of RVC gives on a small input, layer by layer: by its specification, and by the
engine's own form."""

from __future__ import annotations

import torch
from torch import Tensor

from fastsvc.artifact import engine_folder
from fastsvc.artifact.manifest import Sampling
from fastsvc.build.plan import CheckedPlan, LoweredPlan
from fastsvc.engine.cpu.rvc import RvcSampler
from fastsvc.model.modules import module
from fastsvc.model.rvc.flow import Coupling

Trace = list[tuple[str, Tensor]]


def specification(plan: CheckedPlan, inputs: dict[str, Tensor], tensors: dict[str, Tensor], dtype) -> Trace:
    """The encoder's input and layers, mean, log of the deviation and draw, then for the first and the last speaker z
    after each coupling; the module of model/rvc, computing in ``dtype``. inputs: as verify makes them."""
    model = module("rvc", plan.rvc)
    model.load_state_dict(tensors)
    model = model.to(dtype).eval()
    units, noise = (inputs[name].to(dtype)[None] for name in ("units", "x"))
    coarse = model.coarse_pitch(inputs["f0_hz"])[None] if plan.rvc.pitch else None
    trace: Trace = [("encoder input", model.enc_p.embedded(units, coarse)[0])]
    hooks = [
        layer.register_forward_hook(lambda _, args, out, i=i: trace.append((f"encoder layer {i}", out[0].T)))
        for i, layer in enumerate(model.enc_p.encoder.norm_layers_2)
    ]
    mean, log_deviation = model.prior(units, coarse)
    for hook in hooks:
        hook.remove()
    z_p = model.draw(mean, log_deviation, noise)
    trace += [("mean", mean[0]), ("log of the deviation", log_deviation[0]), ("draw", z_p[0])]
    for speaker in _speakers(plan):
        z, vector, i = z_p.transpose(1, 2), model.speaker(torch.tensor([speaker]))[:, :, None], 0
        for part in reversed(model.flow.flows):
            z = part.backwards(z, vector)
            if isinstance(part, Coupling):
                trace.append((f"coupling {i} of speaker {speaker}", z[0].T))
                i += 1
    return trace


def lowered(plan: LoweredPlan, inputs: dict[str, Tensor]) -> Trace:
    """The same trace from the tensors as they will be stored, by the CPU backend."""
    config, sampling = plan.rvc, Sampling(plan.sampler, plan.schedules, plan.levels)
    sampler = RvcSampler(plan.tensors[engine_folder.WEIGHTS], config, sampling)
    coarse = sampler.coarse(inputs["f0_hz"])
    trace: Trace = []
    prior = sampler.encoder(inputs["units"], coarse, trace)
    z_p = sampler.drawn(prior, inputs["x"], plan.levels[0])
    mean, log_deviation = prior.chunk(2, dim=-1)
    trace += [("mean", mean), ("log of the deviation", log_deviation), ("draw", z_p)]
    for speaker in _speakers(plan):
        couplings: Trace = []
        sampler.flow(z_p, sampler.condition.speaker({speaker: 1.0}), couplings)
        trace += [(f"{name} of speaker {speaker}", z) for name, z in couplings]
    return trace


def _speakers(plan: CheckedPlan) -> list[int]:
    return sorted({0, plan.acoustic_config.speakers - 1})
