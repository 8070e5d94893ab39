"""Pass 8, target: the kernels of every shape compiled for the GPUs that were named, and what they must compute.

Compiling needs Triton but no GPU. Fingerprints of every layer, from the CPU's run, go into every engine: they are
small, and a GPU checks itself against them when the engine is loaded.
"""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Iterable

import torch

from fastsvc.artifact import folder as artifact
from fastsvc.build.cubins import compile as aot
from fastsvc.build.passes import tensorrt as trt
from fastsvc.build.plan import Checked, Lowered, Measured, Targeted
from fastsvc.children import cores
from fastsvc.engine.cpu.denoiser_bf16 import denoiser_for
from fastsvc.engine.cpu.generators import torch_generator
from fastsvc.engine.cuda import launch_plan, launcher, selfcheck
from fastsvc.errors import ConfigError, MissingPackageError
from fastsvc.kernels.launch import Launch
from fastsvc.kernels.tiles import OLDEST, SHARED_BYTES

DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


def architectures(target: str) -> tuple[int, ...]:
    """ "auto" (this machine's GPU, or none), "cpu" (none), "sm_90", "sm_80,sm_90" → numbers. Raises ConfigError."""
    if target == "cpu":
        return ()
    if target == "auto":
        if not torch.cuda.is_available() or importlib.util.find_spec("triton") is None:
            return ()
        major, minor = torch.cuda.get_device_capability()
        return (10 * major + minor,) if 10 * major + minor in SHARED_BYTES else ()
    found = []
    for name in target.split(","):
        number = re.fullmatch(r"sm_(\d{2,3})", name.strip())
        if number is None or int(number[1]) not in SHARED_BYTES:
            known = ", ".join(f"sm_{arch}" for arch in SHARED_BYTES)
            what = f"unknown target {name!r}"
            if number is not None and int(number[1]) < OLDEST:
                what += f": kernels need sm_{OLDEST} or newer"
            raise ConfigError(what, f"use auto, cpu, or some of {known}")
        found.append(int(number[1]))
    if importlib.util.find_spec("triton") is None:
        raise MissingPackageError("triton", f"building for {target}", "gpu")
    return tuple(dict.fromkeys(found))


def target_pass(plan: Measured) -> Targeted:
    check, made = expected(plan), {}
    for arch in architectures(plan.target):
        files = compiled(plan, arch)
        size = sum(map(len, files.values())) / 2**20
        plan.say(f"target: {len(files) - 1} kernels for sm_{arch} in {plan.gpu_precision}, {size:.1f} MB")
        made |= files | trt.plans(plan, arch)
    return plan.then(Targeted, check=check, files=plan.files | made)


@torch.no_grad()
def expected(plan: Lowered) -> dict:
    """What the stored tensors give on a small input, layer by layer, by the CPU's backend in float32 where it can."""
    config = plan.acoustic_config
    denoiser = denoiser_for(plan.precision)(plan.tensors[artifact.WEIGHTS], config, plan.levels)
    found = selfcheck.expected_layers(config, denoiser, plan.levels[0])
    if plan.vocoder is not None:
        vocoder = torch_generator(plan.tensors[artifact.VOCODER], plan.vocoder.config)
        found["audio"] = selfcheck.expected_audio(plan.vocoder.config, vocoder)
    return found


def compiled(plan: Checked, arch: int, shapes=None, processes: int | None = None) -> dict[str, bytes]:
    """The files of one architecture: a cubin for each different kernel, and their list."""
    vocoder = plan.vocoder and plan.vocoder.config
    told = plan.acoustic_config, vocoder, plan.sampler, plan.schedules, plan.depth is not None
    specs = unique(launch_plan.launches(*told, DTYPES[plan.gpu_precision], arch, shapes))
    listed, files = cubins(specs, arch, processes)
    return {f"sm_{arch}/{name}": content for name, content in {**files, **listing(arch, listed)}.items()}


def cubins(
    specs: dict[str, dict], arch: int, processes: int | None = None, progress=lambda fraction: None
) -> tuple[dict[str, dict], dict[str, bytes]]:
    """Kernels by name (:func:`unique`) → (what the list says of them, their files)."""
    made = aot.compile([(spec, arch) for spec in specs.values()], processes or cores(), progress)
    listed, files = {}, {}
    for name, cubin in zip(specs, made):
        listed[name] = {
            "file": f"{name}.cubin",
            "name": cubin.name,
            "warps": cubin.warps,
            "shared": cubin.shared,
            "registers": cubin.registers,
            "stack": cubin.stack,
            "parameters": cubin.parameters,
            "constants": specs[name]["constants"],
        }
        files[f"{name}.cubin"] = cubin.code
    return listed, files


def listing(arch: int, listed: dict[str, dict]) -> dict[str, bytes]:
    """The file that lists an architecture's kernels."""
    text = json.dumps({"arch": arch, "sources": launcher.sources(), "kernels": listed}, indent=1)
    return {launcher.LIST: text.encode()}


def unique(launches: Iterable[Launch]) -> dict[str, dict]:
    """What must be compiled, by its name (fastsvc.engine.cuda.launcher.key)."""
    found = {}
    for launch in launches:
        spec = launch.spec()
        found.setdefault(launcher.key(spec), spec)
    return found
