"""Which program computes the vocoder on a processor: our own form of it in PyTorch, or onnxruntime.

The compiler measures both (build/passes/measure.py) and writes the faster into the manifest; onnxruntime is optional.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

from fastsvc.engine.cpu.vocoder import Vocoder
from fastsvc.errors import EngineError, FastsvcError

CPU_BACKENDS = ("torch", "onnxruntime")


def generator_maker(model, wanted: str = "auto") -> Callable:
    """(tensors, VocoderConfig) → the generator of fastsvc.engine.parts.Model ``model``.

    Raises EngineError where ``wanted`` is not auto and does not run here; a backend that was measured as the faster
    one but does not run here is named in a warning.
    """
    entry, chosen = model.folder.manifest.vocoder, wanted
    if wanted == "auto":  # as the engine was built, if that is for a CPU, else as was measured
        chosen = entry.backend if entry.backend in CPU_BACKENDS else entry.cpu_backend
    if chosen not in CPU_BACKENDS:
        known = ", ".join(CPU_BACKENDS)
        raise EngineError(f"the vocoder backend {chosen!r} does not run on a CPU", f"use auto or one of {known}")
    if chosen == "torch":
        return Vocoder

    def make(tensors, config):
        from fastsvc.engine.cpu.vocoder_onnx import OnnxGenerator

        try:
            return OnnxGenerator(tensors, config)
        except FastsvcError as error:
            if wanted != "auto":
                raise
            warnings.warn(f"the vocoder runs in PyTorch, not in onnxruntime, which was faster: {error}", stacklevel=3)
            return Vocoder(tensors, config)

    return make
