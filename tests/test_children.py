"""Worker processes end with the process that started them, however that ended."""

import subprocess
import sys
import time

import pytest

from fastsvc.files import leftovers

PARENT = """
import os, time
from fastsvc.children import Pool
if __name__ == "__main__":
    with Pool(1) as pool:
        print(pool.submit(os.getpid).result(), flush=True)
        pool.submit(time.sleep, 600).result()
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="POSIX kill")
def test_a_worker_ends_when_its_parent_is_killed(tmp_path):
    (tmp_path / "parent.py").write_text(PARENT)
    with subprocess.Popen([sys.executable, str(tmp_path / "parent.py")], stdout=subprocess.PIPE, text=True) as parent:
        worker = int(parent.stdout.readline())
        assert leftovers._alive(worker)
        parent.kill()
        parent.wait()
    deadline = time.monotonic() + 20
    while leftovers._alive(worker) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not leftovers._alive(worker)
