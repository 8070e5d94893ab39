"""What runs where on this machine, and why the rest does not."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import platform
import subprocess

from fastsvc import children, machine, screen
from fastsvc.commands import doctor_cpu
from fastsvc.engine.cuda import support
from fastsvc.engine.tensorrt import trt_packages

X86 = platform.machine().lower() in ("x86_64", "amd64", "x86", "i386", "i686")


def report() -> str:
    """A table of programs and hardware, one line each, with a verdict for each backend."""
    import torch

    flags, cores = machine.cpu_flags(), children.cores()
    rows = [
        ("python", platform.python_version()),
        ("fastsvc", _version("fastsvc") or "not installed as a package"),
        ("torch", f"{torch.__version__} ({_build(torch)})"),
        ("triton", _triton()),
        ("cuda-bindings", _version("cuda-bindings") or "not installed"),
        *((name, package.version() or "not installed") for name, package in trt_packages.PACKAGES.items()),
        ("processor", f"{machine.cpu_model()}, {cores} cores for this process, {torch.get_num_threads()} threads"),
        ("instructions", ", ".join(flags) or _without_flags()),
        ("oneDNN, MKL", f"{_yes(torch.backends.mkldnn.is_available())}, {_yes(torch.backends.mkl.is_available())}"),
        ("driver", _driver()),
        ("GPU", _gpu(torch)),
        ("", ""),
        ("cpu", "runs: the lowered form in float32" + (" (slowly: no AVX2)" if X86 and "avx2" not in flags else "")),
        *doctor_cpu.rows(),
        ("cuda", _cuda()),
        *((name, trt_packages.verdict(package, *_architecture())) for name, package in trt_packages.PACKAGES.items()),
    ]
    rows += [("", ""), *_f0_methods(), ("", "")]
    optional = {
        "onnx": "graphs of the vocoder for TensorRT and onnxruntime in engines built here",
        "onnxruntime": "vocoder in onnxruntime",
        "av": "recordings in m4a, mp4, aac, webm, wma and their like (the extra media)",
        "tensorboard": "training logs",
        "matplotlib": "plots",
    }
    for package, purpose in optional.items():
        installed = importlib.util.find_spec(package) is not None
        rows.append((package, f"found: {purpose}" if installed else f"not installed, so no {purpose}"))
    return "\n".join(screen.shown(f"{name:<13} {text}".rstrip()) for name, text in rows)


def _f0_methods() -> list[tuple[str, str]]:
    """A row for each f0 method: that it runs, or what is missing and how to get it."""
    from fastsvc.errors import FastsvcError
    from fastsvc.features import f0

    rows = []
    for method in f0.METHODS:
        try:
            f0.require(method)
            rows.append((f"f0 {method}", "runs"))
        except FastsvcError as error:
            rows.append((f"f0 {method}", f"does not run: {error}"))
    return rows


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _triton() -> str:
    """Triton's version, and what kernels lose that it compiles."""
    from fastsvc.build.cubins import hints

    version = _version("triton")
    why = hints.why_none(version)
    advice = "build engines with --target where triton>=3.9 is installed"
    return f"{version}: {why.partition(' ')[2].partition(' ')[2]}; {advice}" if why else version or "not installed"


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _driver() -> str:
    tool = children.program("nvidia-smi")
    if tool is None:
        return "no nvidia-smi: no NVIDIA driver"
    query = [tool, "--query-gpu=driver_version,name,memory.total", "--format=csv,noheader"]
    try:
        result = subprocess.run(query, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"nvidia-smi does not answer: {error}"
    lines = (result.stdout or result.stderr).strip().splitlines()
    return "; ".join(lines) if result.returncode == 0 and lines else f"nvidia-smi fails: {' '.join(lines)[:120]}"


def _gpu(torch) -> str:
    if not torch.cuda.is_available():
        return "none that PyTorch can use"
    names = [torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count())]
    return "; ".join(f"{p.name}, sm_{p.major}{p.minor}, {p.total_memory / 2**30:.0f} GiB" for p in names)


def _architecture() -> tuple[int | None, str | None]:
    """(89 for sm_89, None), or (None, why no GPU runs engines): TensorRT alone does not make a voice."""
    why = support.why_no_cuda()
    return (support.architecture(), None) if why is None else (None, why)


def _build(torch) -> str:
    if torch.version.cuda:
        return f"CUDA {torch.version.cuda}"
    return f"ROCm {torch.version.hip}" if torch.version.hip else "CPU build"


def _without_flags() -> str:
    return "none of AVX2, AVX-512, AMX found" if X86 else f"those of {platform.machine()}"


def _cuda() -> str:
    """What runs on the GPU and through which packages, or why nothing does."""
    why = support.why_no_cuda()
    if why is not None:
        build = "; engines can still be built for one, with --target" if _version("triton") else ""
        return f"does not run: {why}{build}"
    triton, bindings = _version("triton"), _version("cuda-bindings")
    ways = ["engines with compiled kernels (--target)"] * bool(bindings) + ["all engines, through Triton"] * bool(
        triton
    )
    if not ways:
        return 'does not run: neither triton nor cuda-bindings is installed (pip install "fastsvc[gpu]")'
    return f"runs: {' and '.join(ways)}, with CUDA graphs; in fp16 unless built or opened otherwise"
