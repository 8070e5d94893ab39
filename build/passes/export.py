"""Pass 5, export: the vocoder's ONNX graphs, for TensorRT and other programs; weights stay in vocoder.safetensors."""

from __future__ import annotations

import importlib.util

from fastsvc.artifact import engine_folder
from fastsvc.artifact.onnx.vocoder_graph import graph
from fastsvc.artifact.onnx.writer import tensors_in_header
from fastsvc.build.plan import LoweredPlan


def export_pass(plan: LoweredPlan) -> LoweredPlan:
    if plan.vocoder is None:
        return plan
    why = unused(plan)
    if why is not None:
        plan.say(f"export: no graphs of the vocoder for other programs, as {why}")
        return plan
    if importlib.util.find_spec("onnx") is None:
        plan.say(
            "export: the package onnx is not installed, so this engine holds no graphs for other programs; its vocoder"
            ' runs in TensorRT and onnxruntime only where onnx is installed: pip install "fastsvc[onnx]"'
        )
        return plan
    files = graphs(plan.vocoder.config, plan.tensors[engine_folder.VOCODER])
    plan.say(f"export: {', '.join(files)}, {sum(map(len, files.values())) / 1e3:.0f} kB")
    return plan.then(LoweredPlan, files=plan.files | files)


def unused(plan: LoweredPlan) -> str | None:
    """Why an engine holds no graphs, if it does not. fastsvc itself writes the graph that it needs from the weights."""
    if plan.store != "float":
        return f"they would read the stored weights, which are {plan.store}"
    if plan.target == "cpu" and plan.vocoder_backend == "torch":
        return "the target is a processor, and its vocoder backend torch"
    return None


def graphs(config, tensors) -> dict[str, bytes]:
    """File name → graph, for all graphs of a vocoder; ``tensors`` as they are stored."""
    from safetensors.torch import save

    stored = tensors_in_header(save({name: value.contiguous() for name, value in tensors.items()}))
    return {name: graph(config, stored, engine_folder.VOCODER, half) for half, name in engine_folder.GRAPHS.items()}
