"""A machine with torch, triton, numpy, click, pytest and safetensors alone: what must import and be collected there."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def python(*arguments, **environment):
    paths = [str(ROOT), str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths)), **environment}
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, env=env, cwd=ROOT)


def test_engine_kernels_build_and_bench_import():
    modules = "fastsvc.engine.engine", "fastsvc.engine.cuda", "fastsvc.engine.doctor", "fastsvc.kernels.denoiser"
    modules += "fastsvc.build", "fastsvc.build.target", "bench.latency", "bench.cold", "bench.models", "bench.cpu"
    done = python("-c", f"import lacking, {', '.join(modules)}; from fastsvc.build import passes; passes()")
    assert done.returncode == 0, done.stderr


def test_gpu_tests_are_collected_and_the_rest_is_skipped_with_a_reason():
    command = ("-m", "pytest", "-p", "lacking", "-m", "gpu", "--collect-only", "-q", "-rs", "-p", "no:cacheprovider")
    done = python(
        *command, "tests/test_gpu.py", "tests/test_kernels_gpu.py", "tests/recordings.py", "tests/test_audio_io.py"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "test_gpu.py" in done.stdout and "soundfile is not installed" in done.stdout
