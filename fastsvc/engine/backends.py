"""The devices that an engine runs on: one backend each, all with the same parts; the choice, with its reason."""

from __future__ import annotations

import warnings

import torch

from fastsvc.config.reach import is_short
from fastsvc.engine import devices
from fastsvc.engine.cpu.generators import generator_maker, rounded_generator
from fastsvc.engine.cpu.precision import rounded_parts
from fastsvc.engine.cpu.sampler import Synthesiser
from fastsvc.engine.cpu.samplers import sampler_for
from fastsvc.engine.cpu.trials import CONTENT, DENOISER, VOCODER
from fastsvc.engine.cuda import support
from fastsvc.engine.parts import Model, Parts
from fastsvc.errors import EngineError

# must pass on a GPU first, not only in the interpreter
GATE = ("tests/test_gpu.py", "tests/test_gpu_prepared.py", "tests/test_gpu_rvc.py")
CUDA_BY_DEFAULT = False  # until GATE has passed


def cpu(model: Model, precision: str = "auto", vocoder_backend: str = "auto") -> Parts:
    """The lowered form on the processor."""
    manifest, synthesiser = model.folder.manifest, None
    rounded = rounded_parts(model, precision, vocoder_backend)
    denoiser = "bf16" if DENOISER in rounded else "fp32"
    sampler = sampler_for(model.weights(), model.acoustic, manifest.sampling, denoiser)
    if model.vocoder:
        make = rounded_generator if VOCODER in rounded else generator_maker(model, vocoder_backend)
        synthesiser = Synthesiser(model.generator(), model.vocoder, model.acoustic.mel.log_base, make)
    computes = "bf16" if rounded else "fp32"
    if precision not in ("auto", "built", computes, manifest.precision):
        warnings.warn(f"on a CPU this engine computes in {computes}, not {precision}", stacklevel=3)
    encoder = model.rounded_encoder() if CONTENT in rounded else model.encoder("cpu")
    how = "the lowered form on the processor" + (f", in bfloat16: {', '.join(rounded)}" if rounded else "")
    retrieval = model.retrieval("cpu")
    return Parts(
        torch.device("cpu"), computes, how, sampler, synthesiser, encoder, retrieval=retrieval, rounded=rounded
    )


def cuda(model: Model, precision: str = "auto", vocoder_backend: str = "auto") -> Parts:
    """Kernels and CUDA graphs on an NVIDIA GPU."""
    from fastsvc.engine.cuda import gpu_parts

    if is_short(model.acoustic, model.content):
        raise EngineError(f"{model.folder.path}: voices for live conversion do not run on a GPU yet", "use device cpu")
    return gpu_parts.assemble(model, precision, vocoder_backend=vocoder_backend)


BACKENDS = {"cpu": cpu, "cuda": cuda}


def opened(device, model: Model, precision: str, vocoder_backend: str) -> Parts:
    """The parts of an engine on ``device``, which :func:`choose` has given."""
    kind, number = devices.parse(device)
    with devices.current(number):
        return BACKENDS[kind](model, precision, vocoder_backend)


def choose(device) -> str:
    """The device to open an engine on, cpu, cuda or cuda:1, for one that :func:`devices.parse` knows. A warning names a
    GPU that is present but cannot be used.

    Raises ConfigError for another word, EngineError with the reason for a device that cannot run.
    """
    kind, number = devices.parse(device)
    if kind == "cpu":
        return "cpu"
    name = "cuda" if number is None else f"cuda:{number}"
    why = support.why_no_cuda(number)
    if why is None and (kind == "cuda" or CUDA_BY_DEFAULT):
        return name
    why = why or "its backend is new and has not been run on a GPU yet (--device cuda tries it)"
    if kind == "cuda":
        raise EngineError(f"the device {name} cannot be used: {why}", "use auto or cpu")
    if torch.cuda.is_available():
        warnings.warn(f"the GPU is not used: {why}; running on the CPU", stacklevel=2)
    return "cpu"
