"""The engine on an NVIDIA GPU: kernels for the denoiser and the source, the fastest vocoder, all in CUDA graphs.

``device`` may also be the CPU, where kernels run in Triton's interpreter and nothing is captured: that is for tests.
"""

from __future__ import annotations

import torch

from fastsvc.artifact import seal
from fastsvc.artifact.device_part import DevicePart
from fastsvc.artifact.manifest import Manifest
from fastsvc.engine.cuda import launcher, selfcheck, support
from fastsvc.engine.cuda.generators.backends import backend_choice
from fastsvc.engine.cuda.pitch import Yin
from fastsvc.engine.cuda.sampler import MelSampler
from fastsvc.engine.cuda.vocoder import Synthesiser
from fastsvc.engine.parts import Model, Parts
from fastsvc.errors import EngineError

DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


def precision_of(manifest: Manifest, precision: str) -> str:
    """What the GPU computes in: as asked, else as the engine was built for (engines of old say it by their weights)."""
    if precision == "auto":
        precision = manifest.gpu_precision
    if precision not in DTYPES:
        raise EngineError(f"unknown precision {precision!r}", f"use auto or one of {', '.join(DTYPES)}")
    return precision


def architecture(device: torch.device) -> int:
    """90 for sm_90; of what is no GPU too, as tiles are chosen by it."""
    if device.type != "cuda":
        return 90
    return support.architecture(device)


def _remedy(arch: int) -> str:
    same = f"with ${seal.VARIABLE} set to the same words where it is built and here"
    return f"install triton, or build it with --target sm_{arch}, {same}"


def assemble(model: Model, precision: str = "auto", device="cuda", vocoder_backend: str = "auto") -> Parts:
    """Everything on one device, checked against stored results. Raises EngineError naming what fails."""
    device, folder = torch.device(device), model.folder
    if device.type == "cuda":
        device = torch.device("cuda", torch.cuda.current_device())
        torch.zeros(1, device=device)  # so that there is a context for loading kernels
    arch, precision = architecture(device), precision_of(folder.manifest, precision)
    why = support.too_old(arch)
    if why:
        raise EngineError(f"{folder.path} cannot run on this GPU: {why}", "use the device cpu")
    part = DevicePart(folder, f"sm_{arch}")
    start, how = launcher.choose(part, arch)
    if start is None:
        raise EngineError(f"{folder.path} cannot run on this GPU: {how}", _remedy(arch))
    dtype = DTYPES[precision]
    sampler = MelSampler(model.weights(), model.acoustic, folder.manifest.sampling, dtype, device, arch, start)
    half = torch.float32 if precision == "fp32" else torch.float16  # audio and units need more than bfloat16's 9 bits
    synthesiser = None
    if model.vocoder:
        tensors, base = model.generator(), model.acoustic.mel.log_base
        choice = backend_choice(model, tensors, half, device, arch, start, part, vocoder_backend)
        synthesiser = Synthesiser(tensors, model.vocoder, base, half, device, start, choice)
    selfcheck.check(folder.manifest.check, sampler, synthesiser, precision)
    return Parts(device, precision, how, sampler, synthesiser, model.encoder(device, half), Yin(model.acoustic, device))
