"""TensorRT plans for GPUs that are not here: what TensorRT for RTX builds ahead of time, into the device's part."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path

from torch import Tensor

from fastsvc.artifact import folder as artifact
from fastsvc.build.plan import Lowered
from fastsvc.config import AnyVocoderConfig
from fastsvc.engine.tensorrt import plan_files, trt_packages
from fastsvc.errors import FastsvcError

GRAPH = artifact.GRAPHS[True]


def plans(plan: Lowered, arch: int) -> dict[str, bytes]:
    """The plan's file for one architecture, or nothing: without graph, package, or where it does not serve that GPU.

    A failure is said and leaves the plan out; the engine runs without it.
    """
    if (
        GRAPH not in plan.files
        or plan.vocoder is None
        or trt_packages.RTX.version() is None
        or trt_packages.RTX.refusal(arch)
    ):
        return {}
    try:
        built = build(plan.files[GRAPH], plan.tensors[artifact.VOCODER], plan.vocoder.config, arch)
    except FastsvcError as error:
        plan.say(f"target: no TensorRT plan for sm_{arch}: {error}")
        return {}
    plan.say(f"target: TensorRT plan for sm_{arch}, {len(built.code) / 1e6:.1f} MB in {built.seconds:.1f} s")
    return {f"sm_{arch}/{built.origin.name}{plan_files.SUFFIX}": built.content()}


def build(content: bytes, tensors: dict[str, Tensor], config: AnyVocoderConfig, arch: int) -> plan_files.TensorRTPlan:
    """Of a graph and the vocoder's tensors, which TensorRT reads from a folder."""
    from safetensors.torch import save

    module = trt_packages.load(trt_packages.RTX)
    weights = save({name: value.contiguous() for name, value in tensors.items()})
    hashes = [hashlib.sha256(content).hexdigest() for content in (content, weights)]
    wanted = plan_files.origin(module, arch, plan_files.joint_hash(*hashes))
    with tempfile.TemporaryDirectory() as scratch:
        (Path(scratch) / artifact.VOCODER).write_bytes(weights)
        graph = Path(scratch) / GRAPH
        graph.write_bytes(content)
        return plan_files.build(module, graph, config, wanted, ahead=arch)[0]
