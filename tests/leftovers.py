"""Names of what processes that died have left."""

import subprocess
import sys

from fastsvc.files import leftovers

ELSEWHERE = ".fastsvc-000000-1-00000000.tmp"


def dead_process() -> int:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


def name_of(process: int, digits: str = "0badcafe") -> str:
    return f".fastsvc-{leftovers.machine_name()}-{process}-{digits}.tmp"
