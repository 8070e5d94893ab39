"""Programs in a shell, their streams as it has them."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def shell(redirections: str, program: str, *arguments, cwd) -> subprocess.CompletedProcess:
    """``program`` by Python, its streams as the shell has them."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), "PROGRAM": program, "PYTHONUNBUFFERED": ""}
    line = f'"$0" -c "$PROGRAM" "$@" {redirections}'
    command = ["bash", "-o", "pipefail", "-c", line, sys.executable, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, cwd=cwd, env=env, timeout=60, encoding="utf-8")
