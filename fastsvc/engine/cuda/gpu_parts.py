"""The engine on an NVIDIA GPU: kernels for the denoiser and the source, the fastest vocoder, all in CUDA graphs.

For tests ``device`` may also be the CPU: kernels then run in Triton's interpreter and nothing is captured.
"""

from __future__ import annotations

import torch

from fastsvc.artifact import seal
from fastsvc.artifact.device_part import DevicePart
from fastsvc.artifact.manifest import Manifest
from fastsvc.audio import polyphase
from fastsvc.config import AcousticConfig, DdspConfig, RvcConfig
from fastsvc.engine.cuda import launcher, selfcheck, selfcheck_rvc, support
from fastsvc.engine.cuda.front import DeviceFront
from fastsvc.engine.cuda.generators.backends import backend_choice
from fastsvc.engine.cuda.joining import DeviceJoin
from fastsvc.engine.cuda.pitch import Yin
from fastsvc.engine.cuda.resampling import DeviceResampler
from fastsvc.engine.cuda.rvc import CudaRvcSampler
from fastsvc.engine.cuda.sampler import MelSampler
from fastsvc.engine.cuda.vocoder import Synthesiser
from fastsvc.engine.parts import Model, Parts
from fastsvc.errors import EngineError

DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


def precision_of(manifest: Manifest, precision: str) -> str:
    """The GPU's precision: as requested, else as built; the manifest derives it from the weights in old engines."""
    if precision in ("auto", "built"):
        precision = manifest.gpu_precision
    if precision not in DTYPES:
        raise EngineError(f"unknown precision {precision!r}", f"use auto or one of {', '.join(DTYPES)}")
    return precision


def architecture(device: torch.device) -> int:
    """90 for sm_90, and for a device that is not a GPU, because tiles are chosen by the architecture."""
    if device.type != "cuda":
        return 90
    return support.architecture(device)


def _remedy(arch: int) -> str:
    same_words = f"with ${seal.VARIABLE} set to the same words where it is built and here"
    return f"install triton, or build it with --target sm_{arch}, {same_words}"


def assemble(model: Model, precision: str = "auto", device="cuda", vocoder_backend: str = "auto") -> Parts:
    """All parts on one device, checked against stored results. Raises EngineError naming the part that fails."""
    device, folder = torch.device(device), model.folder
    if device.type == "cuda":
        device = torch.device("cuda", torch.cuda.current_device() if device.index is None else device.index)
        torch.zeros(1, device=device)  # creates the context that loading kernels needs
    if isinstance(model.acoustic, DdspConfig):
        raise EngineError(
            f"{folder.path} is a voice of DDSP-SVC, which is computed on the CPU for now", "use the device cpu"
        )
    arch, precision = architecture(device), precision_of(folder.manifest, precision)
    why = support.too_old(arch)
    if why:
        raise EngineError(f"{folder.path} cannot run on this GPU: {why}", "use the device cpu")
    part = DevicePart(folder, f"sm_{arch}")
    kernel_launcher, how = launcher.choose(part, arch)
    if kernel_launcher is None:
        raise EngineError(f"{folder.path} cannot run on this GPU: {how}", _remedy(arch))
    weights, config, sampling = model.weights(), model.acoustic, folder.manifest.sampling
    if isinstance(config, RvcConfig):
        sampler = CudaRvcSampler(weights, config, sampling, DTYPES[precision], device)
        how, layers, yin = f"text encoder and flow by PyTorch; vocoder: {how}", selfcheck_rvc.traced, None
    else:
        sampler = MelSampler(weights, config, sampling, DTYPES[precision], device, arch, kernel_launcher)
        layers, yin = None, Yin(config, device)
    half = torch.float32 if precision == "fp32" else torch.float16  # audio and units need more than bfloat16's 9 bits
    synthesiser = None
    if model.vocoder:
        tensors, base = model.generator(), model.acoustic.mel.log_base
        choice = backend_choice(model, tensors, half, device, arch, kernel_launcher, part, vocoder_backend)
        synthesiser = Synthesiser(tensors, model.vocoder, base, half, device, kernel_launcher, choice)
    selfcheck.check(folder.manifest.check, sampler, synthesiser, precision, layers)
    encoder = model.encoder(device, half)
    parts = sampler, synthesiser, encoder, yin, model.retrieval(device)
    if not polyphase.on_device():
        return Parts(device, precision, how, *parts)
    front = DeviceFront(config, encoder, yin, device) if isinstance(config, AcousticConfig) and encoder else None
    join = DeviceJoin(config.mel.rate_hz, device)
    return Parts(device, precision, how, *parts, front=front, join=join, resample=DeviceResampler(device))
