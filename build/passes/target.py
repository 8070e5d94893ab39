"""Pass 8, target: kernels of every shape, compiled for the named GPUs, and fingerprints of what they must compute.

Compiling needs Triton but no GPU. Fingerprints of every layer, from a run on the CPU, go into every engine: they are
small, and a GPU checks itself against them when the engine is loaded.
"""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Iterable

import torch

from fastsvc.artifact import engine_folder
from fastsvc.artifact.manifest import Sampling
from fastsvc.build.cubins import compiler
from fastsvc.build.passes import tensorrt_plans
from fastsvc.build.plan import CheckedPlan, LoweredPlan, MeasuredPlan, TargetedPlan
from fastsvc.children import cores
from fastsvc.config import DdspConfig, RvcConfig
from fastsvc.config.reach import is_short
from fastsvc.engine.cpu.ddsp import DdspSampler
from fastsvc.engine.cpu.denoiser_bf16 import denoiser_for
from fastsvc.engine.cpu.generators import torch_generator
from fastsvc.engine.cpu.rvc import RvcSampler
from fastsvc.engine.cuda import launch_plan, launcher, selfcheck, selfcheck_ddsp, selfcheck_rvc
from fastsvc.errors import ConfigError, MissingPackageError
from fastsvc.kernels.launch import Launch
from fastsvc.kernels.tiles import SHARED_BYTES, too_old

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
    archs = []
    for name in target.split(","):
        number = re.fullmatch(r"sm_(\d{2,3})", name.strip())
        if number is None or int(number[1]) not in SHARED_BYTES:
            supported = ", ".join(f"sm_{arch}" for arch in SHARED_BYTES)
            why = too_old(int(number[1])) if number else None
            message = f"unknown target {name!r}" + (f": {why}" if why else "")
            raise ConfigError(message, f"use auto, cpu, or some of {supported}")
        archs.append(int(number[1]))
    if importlib.util.find_spec("triton") is None:
        raise MissingPackageError("triton", f"building for {target}", "gpu")
    return tuple(dict.fromkeys(archs))


def target_pass(plan: MeasuredPlan) -> TargetedPlan:
    check, new_files = expected(plan), {}
    for arch in () if is_short(plan.acoustic_config) else architectures(plan.target):
        files = kernel_files(plan, arch)
        size = sum(map(len, files.values())) / 2**20
        plan.say(f"target: {len(files) - 1} kernels for sm_{arch} in {plan.gpu_precision}, {size:.1f} MB")
        new_files |= files | tensorrt_plans.plans(plan, arch)
    return plan.then(TargetedPlan, check=check, files=plan.files | new_files)


@torch.no_grad()
def expected(plan: LoweredPlan) -> dict:
    """Fingerprints of the stored tensors' layers on a small input, by the CPU's backend, in float32 where it can."""
    config, tensors, level = plan.acoustic_config, plan.tensors[engine_folder.WEIGHTS], plan.levels[0]
    if isinstance(config, RvcConfig):
        sampler = RvcSampler(tensors, config, Sampling(plan.sampler, plan.schedules, plan.levels))
        prints = selfcheck_rvc.expected_layers(sampler, level)
    elif isinstance(config, DdspConfig):
        ddsp = DdspSampler(tensors, config, Sampling(plan.sampler, plan.schedules, plan.levels))
        prints = selfcheck_ddsp.expected_layers(ddsp, level)
    else:
        denoiser = denoiser_for(plan.precision)(tensors, config, plan.levels)
        prints = selfcheck.expected_layers(config, denoiser, level)
    if plan.vocoder is not None:
        vocoder = torch_generator(plan.tensors[engine_folder.VOCODER], plan.vocoder.config)
        prints["audio"] = selfcheck.expected_audio(plan.vocoder.config, vocoder)
    return prints


def kernel_files(plan: CheckedPlan, arch: int, shapes=None, processes: int | None = None) -> dict[str, bytes]:
    """The files of one architecture: a cubin for each distinct kernel, and the list of kernels."""
    vocoder = plan.vocoder and plan.vocoder.config
    model = plan.acoustic_config, vocoder, plan.sampler, plan.schedules, plan.depth is not None
    specs = unique_specs(launch_plan.launches(*model, DTYPES[plan.gpu_precision], arch, shapes))
    listed, files = cubins(specs, arch, processes)
    return {f"sm_{arch}/{name}": content for name, content in {**files, **kernel_list(arch, listed)}.items()}


def cubins(
    specs: dict[str, dict], arch: int, processes: int | None = None, progress=lambda fraction: None
) -> tuple[dict[str, dict], dict[str, bytes]]:
    """Specs by name (:func:`unique_specs`) → (the kernels' entries in the list, their files)."""
    compiled = compiler.compile_kernels([(spec, arch) for spec in specs.values()], processes or cores(), progress)
    listed, files = {}, {}
    for name, cubin in zip(specs, compiled):
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


def kernel_list(arch: int, listed: dict[str, dict]) -> dict[str, bytes]:
    """The file that lists the kernels of one architecture."""
    text = json.dumps({"arch": arch, "sources": launcher.sources(), "kernels": listed}, indent=1)
    return {launcher.LIST: text.encode()}


def unique_specs(launches: Iterable[Launch]) -> dict[str, dict]:
    """Name (fastsvc.engine.cuda.launcher.key) → spec of each distinct kernel."""
    specs = {}
    for launch in launches:
        spec = launch.spec()
        specs.setdefault(launcher.key(spec), spec)
    return specs
