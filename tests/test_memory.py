"""What does not fit into memory is refused in one line, and takes nothing with it."""

import gc
import json
import os
import subprocess
import sys
import tracemalloc
import weakref
from pathlib import Path

import numpy as np
import pytest
import soundfile
from fake_engine import FakeEngine
from recordings import put, tone

from fastsvc import memory
from fastsvc.audio import io
from fastsvc.convert import batch, decode
from fastsvc.convert.plan import plan
from fastsvc.convert.report import DONE, FAILED
from fastsvc.engine.request import Request
from fastsvc.errors import AudioError

GIB = 2**30


def machine(root, meminfo="MemAvailable: 8388608 kB\nSwapFree: 1048576 kB\n", cgroup="0::/", **files):
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/meminfo").write_text(meminfo)
    (root / "proc/self/cgroup").write_text(cgroup)
    for name, text in files.items():
        path = root / "sys/fs/cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return memory.free_bytes(root)


def cgroup(folder, limit, used, cache, v1=False):
    names = ("memory.max", "memory.current", "inactive_file")
    names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file") if v1 else names
    return {
        f"{folder}/{names[0]}": f"{limit}\n",
        f"{folder}/{names[1]}": f"{used}\n",
        f"{folder}/memory.stat": f"anon 5\n{names[2]} {cache}\n",
    }


def test_of_the_machine(tmp_path):
    assert machine(tmp_path / "a") == 9 * GIB
    assert machine(tmp_path / "b", meminfo="") is None
    assert memory.free_bytes(tmp_path / "c") is None
    if sys.platform == "linux":
        assert 0 < memory.free_bytes() < 1 << 50


def test_of_the_container(tmp_path):
    assert machine(tmp_path / "a", **cgroup(".", 3 * GIB, 2 * GIB, GIB // 2)) == 1.5 * GIB
    assert machine(tmp_path / "b", **cgroup(".", "max", 2 * GIB, 0)) == 9 * GIB
    outer, inner = cgroup("x", 2 * GIB, GIB, 0), cgroup("x/y", 4 * GIB, GIB, 0)
    assert machine(tmp_path / "c", cgroup="0::/x/y\n", **outer, **inner) == GIB
    v1 = cgroup("memory/x", 5 * GIB, GIB, 0, v1=True)
    assert machine(tmp_path / "d", cgroup="3:cpu:/x\n7:memory:/x\n", **v1) == 4 * GIB
    assert (
        machine(tmp_path / "e", cgroup="7:memory:/x\n", **cgroup("memory/x", 2**63 - 4096, GIB, 0, v1=True)) == 9 * GIB
    )
    host = cgroup("memory", 5 * GIB, GIB, 0, v1=True)  # seen from inside, the path is the host's
    assert machine(tmp_path / "f", cgroup="7:memory:/docker/12\n", **host) == 4 * GIB
    assert machine(tmp_path / "g", **cgroup(".", GIB, 2 * GIB, 0)) == 0


def free(monkeypatch, *amounts):
    """``amounts``: what is free at each look, the last one for ever."""
    left = list(amounts)
    monkeypatch.setattr(memory, "free_bytes", lambda: left.pop(0) if len(left) > 1 else left[0])


def test_a_recording_that_does_not_fit(tmp_path, monkeypatch):
    put(tmp_path / "a.wav", tone(1.0, channels=2))
    free(monkeypatch, 200_000)
    with pytest.raises(io.TooLong, match=r"a.wav: too long .* of 2 channels need about 0.0 GB.*mix its channels"):
        io.read(tmp_path / "a.wav")
    assert io.read(tmp_path / "a.wav", mono=True)[0].shape == (1, 24000)
    with pytest.raises(io.TooLong, match="split the recording"):
        io.read(tmp_path / "a.wav", mono=True, needs=lambda info: 10.0 * info.samples)
    free(monkeypatch, None)
    assert io.read(tmp_path / "a.wav")[0].shape == (2, 24000)


def test_a_sparse_rf64(tmp_path):
    """Six terabytes by its header, and by the file's length; on the disk it is 4 kB."""
    path, size = tmp_path / "a.rf64", 6 * 10**12
    soundfile.write(path, tone().T, 24000, format="RF64")
    content = bytearray(path.read_bytes())
    at = content.index(b"ds64") + 8
    content[at : at + 24] = b"".join(n.to_bytes(8, "little") for n in (size + 1000, size, size // 2))
    at = content.index(b"data")
    content[4:8] = content[at + 4 : at + 8] = b"\xff\xff\xff\xff"
    path.write_bytes(content[: at + 8])
    try:
        os.truncate(path, at + 8 + size)
    except OSError:
        pytest.skip("no sparse files of that size here")
    with pytest.raises(io.TooLong, match=r"34722\.2 h need about 12000\.0 GB"):
        io.read(path)


def test_a_thousand_channels_by_small_blocks(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros((12000, 1024), np.int16), 24000)
    tracemalloc.start()
    audio = io.read(tmp_path / "a.wav", mono=True)[0]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert audio.shape == (1, 12000) and peak < 12e6  # 49 MB in one block


def test_no_memory_after_all(tmp_path, monkeypatch):
    put(tmp_path / "a.wav")

    def full(*args):
        raise MemoryError

    monkeypatch.setattr(io, "_blocks", full)
    with pytest.raises(io.TooLong, match="not enough memory") as caught:
        io.read(tmp_path / "a.wav")
    assert caught.value.__context__ is None


class Held:
    pass


def held_by(error):
    """Whether an error that was caught still holds a variable of the function that raised."""
    kept = []

    def work():
        big = Held()
        kept.append(weakref.ref(big))
        try:
            raise ValueError("inner")
        except ValueError as inner:
            raise error from inner

    try:
        work()
    except RuntimeError as caught:
        return caught, kept[0]


def test_errors_hold_nothing():
    error, ref = held_by(RuntimeError("outer"))
    assert ref() is not None
    assert memory.release_frames(error) is error and "work" in str(error.__traceback__.tb_next.tb_frame.f_code)
    gc.collect()
    assert ref() is None


def test_a_failed_recording_is_not_kept(tmp_path, monkeypatch):
    for name in "ab":
        put(tmp_path / "in" / f"{name}.wav")
    refs, alive = [], []

    def failing(source, **how):
        alive.append([ref() is not None for ref in refs])
        blocks = Held()
        refs.append(weakref.ref(blocks))
        raise AudioError("damaged")

    monkeypatch.setattr(io, "read", failing)
    report = batch.run(
        FakeEngine(), plan([tmp_path / "in"], tmp_path / "out"), batch.ConversionSettings(Request("anna"))
    )
    gc.collect()
    assert report.count(FAILED) == 2 and len(refs) == 2 and not any(ref() for ref in refs)


def test_one_that_was_read_ahead_waits_for_its_turn(tmp_path, monkeypatch):
    """While another is at work its memory is not free; once that is done, it is."""
    for name in "ab":
        put(tmp_path / "in" / f"{name}.wav")
    free(monkeypatch, GIB, 0, GIB)
    report = batch.run(
        FakeEngine(), plan([tmp_path / "in"], tmp_path / "out"), batch.ConversionSettings(Request("anna"))
    )
    assert report.count(DONE) == 2


def test_what_a_conversion_needs():
    hour = io.Info(44100, 1, 3600 * 44100, "WAV", "PCM_16")
    assert 2.5e9 < decode.bytes_needed(24000, None, hour) < 3.5e9
    many = io.Info(44100, 8, 3600 * 44100, "WAV", "PCM_16")
    assert decode.bytes_needed(24000, 96000, many) > 20e9


CHILD = """
import json, resource, sys
from fake_engine import FakeEngine, settings
from fastsvc.convert import batch
from fastsvc.convert.plan import plan
import soundfile, soxr, torch
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 700 * 2**20,) * 2)
report = batch.run(FakeEngine(), plan([sys.argv[1]], sys.argv[2]), settings())
print(json.dumps([[entry.status, entry.reason, entry.traceback] for entry in report.entries]))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="counts on /proc and RLIMIT_AS")
@pytest.mark.long
def test_a_small_file_that_holds_hours_takes_no_neighbours(tmp_path):
    for name in "az":
        put(tmp_path / "in" / f"{name}.wav")
    with soundfile.SoundFile(tmp_path / "in" / "long.flac", "w", 48000, 1, "PCM_16", format="FLAC") as file:
        for _ in range(200):
            file.write(np.zeros(48000 * 10, np.int16))
    assert (tmp_path / "in" / "long.flac").stat().st_size < 10**6
    command = [sys.executable, "-c", CHILD, str(tmp_path / "in"), str(tmp_path / "out")]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent), "OMP_NUM_THREADS": "1"}
    run = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=Path(__file__).parent.parent)
    assert run.returncode == 0, run.stderr
    entries = json.loads(run.stdout)
    assert [entry[0] for entry in entries] == [DONE, FAILED, DONE]
    assert "too long for this machine's memory: 33.3 min need about 1.7 GB" in entries[1][1] and not entries[1][2]
