"""A machine with torch, triton, numpy, click, pytest and safetensors alone: what must import and be collected there."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def python(*arguments, **environment):
    paths = [str(ROOT), str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths)), **environment}
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, env=env, cwd=ROOT)


@pytest.mark.slow
@pytest.mark.long
def test_engine_kernels_build_and_bench_import():
    modules = (
        "fastsvc.engine.engine",
        "fastsvc.engine.cuda.gpu_parts",
        "fastsvc.commands.doctor",
        "fastsvc.kernels.denoiser.network",
    )
    modules += (
        "fastsvc.build",
        "fastsvc.build.passes.target",
        "bench.latency",
        "bench.cold",
        "bench.models",
        "bench.cpu",
    )
    done = python("-c", f"import lacking, {', '.join(modules)}; from fastsvc.build import pipeline; pipeline()")
    assert done.returncode == 0, done.stderr


def test_without_scipy_the_choir_says_what_to_install(tmp_path):
    done = python("-c", f"import lacking; from fastsvc.cli import main; main(['choir', {str(tmp_path / 'choir')!r}])")
    assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr
    assert "pip install scipy" in done.stderr


@pytest.mark.slow
@pytest.mark.long
def test_gpu_tests_are_collected_and_the_rest_is_skipped_with_a_reason():
    command = ("-m", "pytest", "-p", "lacking", "-m", "gpu", "--collect-only", "-q", "-rs", "-p", "no:cacheprovider")
    done = python(
        *command, "tests/test_gpu.py", "tests/test_kernels_gpu.py", "tests/recordings.py", "tests/test_audio_io.py"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "test_gpu.py" in done.stdout and "soundfile is not installed" in done.stdout


@pytest.mark.slow
@pytest.mark.long
def test_without_triton_compiled_kernels_are_still_found():
    """What a process without Triton would look up is what one with it compiled."""
    program = (
        "import torch, engines\n"
        "from fastsvc.build.passes.target import unique_specs\n"
        "from fastsvc.engine.cuda import gpu_parts, launch_plan\n"
        "from fastsvc.engine.buckets import Shape\n"
        "given = engines.ACOUSTIC, engines.VOCODER, 'consistency', {2: [80.0, 1.0]}, False, torch.float16, 90\n"
        "print(sorted(unique_specs(launch_plan.launches(*given, [Shape(1, 64)]))))"
    )
    without = python("-c", "import lacking; " + program, WITHOUT_TRITON="1")
    assert without.returncode == 0, without.stderr
    assert without.stdout.count("'") > 10 and without.stdout == python("-c", program).stdout
