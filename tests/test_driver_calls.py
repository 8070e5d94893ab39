"""What cuda-bindings hands to the CUDA driver, by a stand-in for libcuda that prints it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("cuda.bindings.driver", reason="cuda-bindings is not installed")

SOURCE = Path(__file__).parent / "data" / "libcuda" / "libcuda.c"
PROGRAM = """
import types, torch
from fastsvc.engine.cuda.driver import Driver
torch.cuda.current_stream = lambda *_: types.SimpleNamespace(cuda_stream=0x77)
x, driver = torch.zeros(8, dtype=torch.float16), Driver()
function = driver.load(b"\\x7fELF.", "kernel", 8, 100_000, (("x", "*fp16"), ("n", "i32"), ("c", "fp32")))
for early in (False, True):
    driver.bind(function, (3, 2), {"x": x, "n": -5, "c": 0.5}, early)()
print(hex(x.data_ptr()))
"""


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc makes the stand-in")
@pytest.mark.long
def test_every_argument_arrives(tmp_path):
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", tmp_path / "libcuda.so.1", SOURCE], check=True)
    environment = {**os.environ, "LD_LIBRARY_PATH": str(tmp_path)}
    environment["PYTHONPATH"] = os.pathsep.join([str(SOURCE.parents[3]), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    lines = sorted(done.stdout.splitlines())  # two buffers write to one stream
    address = next(line for line in lines if line.startswith("0x"))
    launched = "launch 0x22, grid 3 2 1, block 256 1 1, shared 100000, stream 0x77"
    launched += f", parameters {address} -5 0.5 (nil) (nil)"
    assert lines == sorted(
        [
            "load \x7fELF.",
            "function kernel of 0x11",
            "attribute 8 of 0x22 is 100000",
            launched,
            f"{launched}, attribute 6 is 1",
            address,
        ]
    )
