"""Pass 5, export: the vocoder's ONNX graphs, for TensorRT and other programs; weights stay in vocoder.safetensors."""

from __future__ import annotations

import importlib.util

from fastsvc.artifact import folder as artifact
from fastsvc.artifact.onnx.vocoder import graph
from fastsvc.artifact.onnx.writer import places
from fastsvc.build.plan import Lowered


def export_pass(plan: Lowered) -> Lowered:
    if plan.vocoder is None:
        return plan
    if importlib.util.find_spec("onnx") is None:
        plan.say(
            "export: the package onnx is not installed, so this engine holds no graphs for other programs; its vocoder"
            ' runs in TensorRT and onnxruntime only where onnx is installed: pip install "fastsvc[onnx]"'
        )
        return plan
    made = graphs(plan.vocoder.config, plan.tensors[artifact.VOCODER])
    plan.say(f"export: {', '.join(made)}, {sum(map(len, made.values())) / 1e3:.0f} kB")
    return plan.then(Lowered, files=plan.files | made)


def graphs(config, tensors) -> dict[str, bytes]:
    """All graphs of a vocoder by their files' names; ``tensors`` as they are stored."""
    from safetensors.torch import save

    stored = places(save({name: value.contiguous() for name, value in tensors.items()}))
    return {name: graph(config, stored, artifact.VOCODER, half) for half, name in artifact.GRAPHS.items()}
