"""What C libraries say is kept off the screen, and crashes are not."""

import os
from pathlib import Path

import numpy as np
import pytest
from recordings import put, tone
from shells import shell


def damaged(path: Path) -> Path:
    """An mp3 in the midst of which bytes are wrong: libmpg123 says much of it."""
    put(path, tone(2.0, 44100), 44100)
    content = bytearray(path.read_bytes())
    content[3000:3400] = np.random.default_rng(0).bytes(400)
    path.write_bytes(content)
    return path


THREADS = """
import os, sys
from concurrent.futures import ThreadPoolExecutor
from fastsvc import screen
from fastsvc.audio import io
def read(path):
    try:
        io.read(path)
    except Exception:
        pass
with screen.steady():
    list(ThreadPoolExecutor(4).map(read, 8 * sys.argv[1:]))
    os.write(2, b"back")
    print(len(os.listdir("/proc/self/fd")) if os.path.exists("/proc/self/fd") else 0)
"""
READ = """
import os, sys
from fastsvc import hush, screen
from fastsvc.audio import io
with screen.steady():
    screen.set_level(int(sys.argv[2]))
    for _ in range(2):
        try:
            io.read(sys.argv[1])
        except Exception as error:
            print(error, file=sys.stderr)
    with hush.hushed():
        print("Python speaks at once", file=sys.stderr)
        os.write(2, b"terminate called after \\x1b[1m\\nNote: Illegal Audio-MPEG-Header\\n")
    os.write(2, b"C speaks\\n")
    if len(sys.argv) > 3:
        with hush.hushed():
            os.abort()
"""


@pytest.mark.slow
def test_libmpg123_is_not_seen_and_all_others_are(tmp_path):
    path = damaged(tmp_path / "a.mp3")
    plain = shell("", f"from fastsvc.audio import io\nio.read({str(path)!r})", cwd=tmp_path)
    assert "Note: " in plain.stderr or "error: " in plain.stderr, "libmpg123 is silent now: fastsvc.hush may go"
    quiet = shell("", READ, path, 0, cwd=tmp_path).stderr.splitlines()
    assert [line for line in quiet if not line.startswith(str(path))] == [
        "Python speaks at once",
        r"terminate called after \x1b[1m",
        "C speaks",
    ]
    assert "Note: Illegal" in shell("", READ, path, 1, cwd=tmp_path).stderr
    other = shell("", "import os\ndel os.memfd_create\n" * hasattr(os, "memfd_create") + READ, path, 0, cwd=tmp_path)
    assert other.stderr.splitlines() == quiet


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_a_crash_is_seen_wherever_it_happens(tmp_path):
    done = shell("", READ, "none.wav", 0, "crash", cwd=tmp_path)
    assert done.returncode in (-6, 128 + 6) and "Fatal Python error: Aborted" in done.stderr


def test_threads_turn_the_descriptor_away_together(tmp_path):
    paths = [damaged(tmp_path / f"{i}.mp3") for i in range(4)]
    done = shell("", THREADS, *paths, cwd=tmp_path)
    assert done.stderr == "back", done.stderr
    assert int(done.stdout) < 12
