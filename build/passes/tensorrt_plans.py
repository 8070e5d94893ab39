"""TensorRT plans for GPUs of other machines: TensorRT for RTX builds them ahead of time, for the device part."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path

from torch import Tensor

from fastsvc.artifact import engine_folder
from fastsvc.build.plan import LoweredPlan
from fastsvc.config import AnyVocoderConfig
from fastsvc.engine.tensorrt import plan_files, trt_packages
from fastsvc.errors import FastsvcError

GRAPH = engine_folder.GRAPHS[True]


def plans(plan: LoweredPlan, arch: int) -> dict[str, bytes]:
    """The plan's file for one architecture; {} without graph or package, or if the package refuses that GPU.

    After a failure a message names it and the plan is omitted; the engine runs without the plan.
    """
    if (
        GRAPH not in plan.files
        or plan.vocoder is None
        or trt_packages.RTX.version() is None
        or trt_packages.RTX.refusal(arch)
    ):
        return {}
    try:
        built = build(plan.files[GRAPH], plan.tensors[engine_folder.VOCODER], plan.vocoder.config, arch)
    except FastsvcError as error:
        plan.say(f"target: no TensorRT plan for sm_{arch}: {error}")
        return {}
    plan.say(f"target: TensorRT plan for sm_{arch}, {len(built.code) / 1e6:.1f} MB in {built.seconds:.1f} s")
    return {f"sm_{arch}/{built.origin.name}{plan_files.SUFFIX}": built.content()}


def build(content: bytes, tensors: dict[str, Tensor], config: AnyVocoderConfig, arch: int) -> plan_files.TensorRTPlan:
    """The plan of a graph and the vocoder's tensors, which TensorRT reads from a folder."""
    from safetensors.torch import save

    module = trt_packages.load(trt_packages.RTX)
    weights = save({name: value.contiguous() for name, value in tensors.items()})
    hashes = [hashlib.sha256(content).hexdigest() for content in (content, weights)]
    origin = plan_files.origin(module, arch, plan_files.joint_hash(*hashes))
    with tempfile.TemporaryDirectory() as scratch:
        (Path(scratch) / engine_folder.VOCODER).write_bytes(weights)
        graph = Path(scratch) / GRAPH
        graph.write_bytes(content)
        return plan_files.build(module, graph, config, origin, ahead=arch)[0]
