"""Kernels that an engine lacks, supplied by a compiler that only writes down what it is asked."""

from pathlib import Path

import engines
import pytest
import torch

from fastsvc.artifact import device_part, engine_folder
from fastsvc.build.cubins import compiler, supply
from fastsvc.build.passes import measure
from fastsvc.engine.cuda import launcher

ARCH = 80


def engine(tmp_path_factory):
    torch.manual_seed(0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measure, "SECONDS_OF_AUDIO", {"denoiser": 0.1, "vocoder": 0.01})
        return engines.build_engine(tmp_path_factory.mktemp("supply"), steps=(1, 2), precision="fp32", target="cpu")


def copied(built, tmp_path):
    import shutil

    return Path(shutil.copytree(built, tmp_path / "engine.fsvc"))


def asked(monkeypatch, tmp_path):
    """Compiles nothing, and writes down what it was asked for; the real one is tests/test_aot.py's."""
    monkeypatch.setenv(device_part.CACHE, str(tmp_path / "cache"))
    asked = []

    def compile(jobs, processes, progress):
        asked.append(jobs)
        progress(1.0)
        return [
            compiler.Cubin(f"code {i}".encode(), "", spec["kernel"].split(":")[1], arch, 0, 4, 32, 0, (("x", "*fp32"),))
            for i, (spec, arch) in enumerate(jobs)
        ]

    monkeypatch.setattr(compiler, "compile_kernels", compile)
    return asked


def supplied(path, groups, steps=1, precision="fp32", backend="triton"):
    return supply.supply(engine_folder.Artifact(path), ARCH, precision, groups, steps, vocoder_backend=backend)


def listed(path):
    part = device_part.DevicePart(engine_folder.Artifact(path), f"sm_{ARCH}")
    return launcher.usable_listing(part, ARCH)[0]["kernels"]
