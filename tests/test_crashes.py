"""kill -9 at random moments of every command that writes: nothing half-written under a final name, nothing lost.

Run again, the command makes what an uninterrupted run makes. More tries: `make crashes`.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

# `make crashes`: ten times as many
TRIES = {"convert": 4, "build": 3, "build_force": 4, "choir": 2, "prepare": 3, "train": 3}
FACTOR = int(os.environ.get("FASTSVC_CRASHES", "1"))
SEED = int(os.environ.get("FASTSVC_SEED", "0"))


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="children are forked")
@pytest.mark.timeout(600 * FACTOR)
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name == "convert" else pytest.mark.long) for name in TRIES]
)
def test_killed_and_run_again(name, tmp_path, record_property):
    script = Path(__file__).with_name("crashes.py")
    command = [sys.executable, str(script), name, str(tmp_path / name), str(TRIES[name] * FACTOR), str(SEED)]
    result = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert result.returncode == 0, result.stdout + result.stderr
    found = json.loads(result.stdout.splitlines()[-1])
    record_property("say", f"kill -9: {name}: {found['killed']} of {found['tries']} tries, lost: {len(found['lost'])}")
    assert not found["lost"]
    assert found["killed"] >= found["tries"] / 2 and found["events"] > 20  # a kill after the end shows nothing
