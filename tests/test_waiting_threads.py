"""The command line tells PyTorch's threads to sleep while they wait for each other, unless the user says otherwise."""

import os
import subprocess
import sys

import pytest

PRINTED = "print(os.environ['OMP_WAIT_POLICY'], 'torch' in sys.modules)"


@pytest.mark.parametrize("given, reaches", [(None, "passive"), ("active", "active")])
def test_the_policy_stands_before_pytorch_is_loaded(given, reaches):
    code = f"import atexit, os, sys; atexit.register(lambda: {PRINTED}); sys.argv = ['fastsvc', '--version']; "
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    environment |= {} if given is None else {"OMP_WAIT_POLICY": given}
    command = [sys.executable, "-c", code + "from fastsvc.__main__ import main; main()"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60)
    assert done.stdout.splitlines()[-1] == f"{reaches} False", done.stderr
