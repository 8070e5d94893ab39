"""Worker processes end with the process that started them, however that ended."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from fastsvc.children import Pool
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


def test_a_pool_is_not_closed_while_it_is_woken():
    """As Python's end does without the pool's lock, when a worker has just died."""
    wakeup, writing, errors = Pool(1)._executor_manager_thread_wakeup, threading.Event(), []
    send = wakeup._writer.send_bytes

    def slowly(content):
        writing.set()
        time.sleep(0.2)
        send(content)

    def wake():
        try:
            wakeup.wakeup()
        except OSError as error:
            errors.append(error)

    wakeup._writer.send_bytes = slowly
    thread = threading.Thread(target=wake)
    thread.start()
    writing.wait()
    wakeup.close()
    thread.join()
    wakeup.wakeup()  # of a closed one: nothing happens
    assert not errors


INTERRUPTED = """
import os, signal, sys, time
from fastsvc.children import Pool
import slow_start

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it

if __name__ == "__main__":
    pool = Pool(1, slow_start.begin)
    future = pool.submit(slow_start.work)
    [worker] = pool._processes
    while not os.path.exists({"while it imports": "importing", "at work": "working"}[sys.argv[1]]):
        time.sleep(0.01)
    os.kill(worker, signal.SIGINT)
    open("sent", "w").close()
    print(type(future.exception()).__name__)
"""
SLOW_START = """
import multiprocessing, os, sys, time

if multiprocessing.current_process().name != "MainProcess":  # in the worker
    open("importing", "w").close()
    while sys.argv[1] == "while it imports" and not os.path.exists("sent"):
        time.sleep(0.01)

def begin():
    pass

def work():
    open("working", "w").close()
    time.sleep(60)
"""


@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="signals cannot be held back here")
@pytest.mark.parametrize("when, error", [("while it imports", "BrokenProcessPool"), ("at work", "KeyboardInterrupt")])
def test_ctrl_c_never_shows_a_workers_traceback(tmp_path, when, error):
    """While a worker imports, the interrupt waits; then the worker ends without a word, as its parent speaks."""
    (tmp_path / "slow_start.py").write_text(SLOW_START)
    (tmp_path / "program.py").write_text(INTERRUPTED)
    path = os.pathsep.join([str(tmp_path), str(Path(__file__).parent.parent)])
    done = subprocess.run(
        [sys.executable, str(tmp_path / "program.py"), when],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.stdout.strip() == error and "Traceback" not in done.stderr, done.stderr
