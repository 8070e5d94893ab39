"""compute-sanitizer over all kernels: accesses out of bounds, memory read unwritten, races in shared memory."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("triton")

TESTS = Path(__file__).parent
PLACES = (Path(os.environ.get("CUDA_HOME", "/usr/local/cuda")) / "bin", "/usr/local/cuda/bin", "/opt/cuda/bin")


def python(*command, **environment):
    paths = [str(TESTS.parent), str(TESTS), os.environ.get("PYTHONPATH", "")]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths)), **environment}
    return subprocess.run([*command, sys.executable, "-m", "sanitized"], capture_output=True, text=True, env=env)


@pytest.mark.gpu
@pytest.mark.parametrize("tool", ["memcheck", "initcheck", "racecheck"])
def test_nothing_is_found(tool):
    """Every tensor in an allocation of its own, so that one byte beyond it is out of bounds."""
    places = os.pathsep.join(map(str, (os.environ.get("PATH", ""), *PLACES)))
    sanitizer = shutil.which("compute-sanitizer", path=places)
    if sanitizer is None:
        pytest.skip("compute-sanitizer, of the CUDA toolkit, is not installed")
    assert python().returncode == 0  # compiles the kernels into Triton's cache, out of the tool's sight
    command = (sanitizer, "--tool", tool, "--error-exitcode", "9")
    done = python(*command, PYTORCH_NO_CUDA_MEMORY_CACHING="1")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    assert "all kernels ran" in done.stdout


@pytest.mark.slow
@pytest.mark.long
def test_what_it_runs_runs_in_the_interpreter_too():
    done = python()
    assert done.returncode == 0 and "all kernels ran" in done.stdout, done.stderr
