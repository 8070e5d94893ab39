"""What `fastsvc doctor` says about TensorRT, for every kind of GPU, and that docs/gpu.md says the same."""

import re
import types
from pathlib import Path

import pytest
import torch

from fastsvc.commands import doctor
from fastsvc.engine.tensorrt import trt_packages

DOCS = Path(__file__).parent.parent / "docs" / "gpu.md"


def plain(text):
    """Without Markdown's marks and line ends."""
    return " ".join(re.sub(r"[`>]", "", text).split())


@pytest.fixture
def machine(monkeypatch):
    """A machine with a GPU of this architecture and these packages: its two verdicts."""

    def make(arch, *installed):
        monkeypatch.setattr(trt_packages.Package, "version", lambda self: "9.8" if self.module in installed else None)
        monkeypatch.setattr(torch.version, "cuda", "13.0")
        monkeypatch.setattr(torch.cuda, "is_available", lambda: arch is not None)
        if arch is not None:
            card = types.SimpleNamespace(name="Card", major=arch // 10, minor=arch % 10, total_memory=2**34)
            monkeypatch.setattr(torch.cuda, "get_device_capability", lambda *_: divmod(arch, 10))
            monkeypatch.setattr(torch.cuda, "get_device_properties", lambda *_: card)
            monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
        rows = [line.partition(" ") for line in doctor.report().splitlines()]
        return [
            next(text.strip() for name, _, text in reversed(rows) if name == module) for module in trt_packages.PACKAGES
        ]

    return make


@pytest.mark.parametrize("arch", [89, 90])
def test_the_page_says_the_same(machine, arch):
    said = [text.removeprefix("does not run: ") for text in machine(arch)]
    best = said[0] if arch == 89 else said[1]
    assert best in plain(DOCS.read_text(encoding="utf-8")) and best.count("fastsvc") == 2, "two commands"
    if arch == 90:
        assert "not sm_90" in said[0]


def test_each_package_is_judged(machine):
    rtx, full = machine(86, "tensorrt_rtx")
    assert rtx.startswith("runs: TensorRT for RTX 9.8 serves sm_86") and full.startswith(
        "does not run: TensorRT serves"
    )
    rtx, full = machine(90, "tensorrt_rtx", "tensorrt")
    assert "not sm_90" in rtx and full.startswith("runs: TensorRT 9.8")
    for arch in (70, 75):  # TensorRT serves sm_75; the denoiser's kernels do not, and no engine runs without
        said = machine(arch, "tensorrt_rtx")
        assert all(text.startswith(f"does not run: the GPU is sm_{arch}, the kernels need sm_80") for text in said)
    rtx, full = machine(None, "tensorrt_rtx")
    assert rtx.endswith("9.8 builds plans for other GPUs") and not full.endswith("GPUs")


def test_the_page_lists_the_gpus():
    text = DOCS.read_text(encoding="utf-8")
    assert "sm_" + ", ".join(map(str, trt_packages.RTX_ARCHS)) in text


def test_the_commands_name_extras_that_exist():
    setup = (DOCS.parent.parent / "setup.py").read_text(encoding="utf-8")
    for package in trt_packages.PACKAGES.values():
        assert f'"{package.extra}": [' in setup
