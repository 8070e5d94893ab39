"""The GPU's sampler of RVC's voices on a CPU, where nothing is captured, beside the CPU's own, with random weights."""

import torch
from test_rvc_lowered import SMALL

from fastsvc.artifact.manifest import Sampling
from fastsvc.build.passes import rvc
from fastsvc.config import RvcConfig
from fastsvc.engine.cuda.rvc import CudaRvcSampler

SCALE = 0.66666
CONFIG = RvcConfig(**SMALL)


def sampler(model, dtype=torch.float32, device="cpu") -> CudaRvcSampler:
    """The GPU's form of a specification's module."""
    weights = {name: value.double() for name, value in model.state_dict().items()}
    tensors, sampling = rvc.lower(rvc.fold(weights, model.config)), Sampling("rvc", {1: [SCALE]}, [SCALE])
    return CudaRvcSampler(tensors, model.config, sampling, dtype, device)


def poison(form: CudaRvcSampler) -> None:
    """What other recordings left behind must not matter: all static buffers become NaN, indices stay."""
    for programs in (form.network.encoders, form.network.flows):
        if programs.arena is not None:
            programs.arena.memory.fill_(255)


def poisoned(form: CudaRvcSampler, run):
    """The result of ``run()``, whose programs are made and poisoned before."""
    run()
    poison(form)
    return run()
