"""The vocoder's backend on a CPU: our own form in PyTorch, one for each family, or onnxruntime, which is optional.

The compiler measures both (build/passes/measure.py) and writes the faster one into the manifest.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import torch

from fastsvc.config import AnyVocoderConfig, SourceFilterConfig
from fastsvc.engine.cpu.source_filter import SourceFilterVocoder
from fastsvc.engine.cpu.vocoder import Vocoder
from fastsvc.errors import EngineError, FastsvcError

CPU_BACKENDS = ("torch", "onnxruntime")


def torch_generator(
    tensors, config: AnyVocoderConfig, dtype=torch.float32, device="cpu"
) -> Vocoder | SourceFilterVocoder:
    """The form in PyTorch, which has halo_frames, source(excitation) and is called with (mel, source, extra), as
    fastsvc/model/vocoders.py names them."""
    if isinstance(config, SourceFilterConfig):
        return SourceFilterVocoder(tensors, config, dtype, device)
    return Vocoder(tensors, config, dtype, device)


def rounded_generator(tensors, config: AnyVocoderConfig) -> Vocoder | SourceFilterVocoder:
    """The form in PyTorch that computes in bfloat16, but for its source and its last layer."""
    return torch_generator(tensors, config, torch.bfloat16)


def generator_maker(model, backend: str = "auto") -> Callable:
    """(tensors, configuration) → the generator of ``model``, a fastsvc.engine.parts.Model.

    Raises EngineError where the named ``backend`` does not run here. With "auto" a warning names a backend that was
    measured as the faster one but does not run here.
    """
    entry, chosen = model.folder.manifest.vocoder, backend
    if backend == "auto":  # the one that the engine was built for, if it runs on a CPU, else the one measured as faster
        chosen = entry.backend if entry.backend in CPU_BACKENDS else entry.cpu_backend
    if chosen not in CPU_BACKENDS:
        names = ", ".join(CPU_BACKENDS)
        raise EngineError(f"the vocoder backend {chosen!r} does not run on a CPU", f"use auto or one of {names}")
    if chosen == "torch":
        return torch_generator

    def make(tensors, config):
        from fastsvc.engine.cpu.vocoder_onnx import OnnxGenerator

        try:
            return OnnxGenerator(tensors, config)
        except FastsvcError as error:
            if backend != "auto":
                raise
            warnings.warn(f"the vocoder runs in PyTorch, not in onnxruntime, which was faster: {error}", stacklevel=3)
            return torch_generator(tensors, config)

    return make
