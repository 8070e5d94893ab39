"""One process for each device: the same tree as one process makes, also when processes are killed."""

import os
import signal
import threading
import time

import pytest
from fake_engine import FakeEngine, settings
from recordings import put, tone
from spread_workers import FakeWorker

from fastsvc.convert import batch
from fastsvc.convert.plan import plan
from fastsvc.convert.report import DONE, FAILED
from fastsvc.convert.spread import processes, run
from fastsvc.convert.spread.remote_plan import spread_plan
from fastsvc.convert.spread.worker import WorkerSpec

ANNA = settings()


def converted(tmp_path, names, crew_of, **options):
    """(report of workers, report of one process, the trees of both)"""
    for number, name in enumerate(names):
        put(tmp_path / "in" / name, tone(0.02 + 0.001 * number, hz=200 + number))
    engine = FakeEngine()
    (tmp_path / "in").mkdir(exist_ok=True)
    one = batch.run(engine, plan([tmp_path / "in"], tmp_path / "one"), ANNA)
    out = str(tmp_path / "many")
    planned = spread_plan([str(tmp_path / "in")], out)
    spec = WorkerSpec("fake.fsvc", engine.content_hash, out)
    many, _ = run.run(engine, planned, [ANNA] * len(planned.jobs), lambda: crew_of(spec), **options)
    return many, one, tree(tmp_path / "many"), tree(tmp_path / "one")


def tree(folder):
    """All files but lists of results."""
    files = (path for path in folder.rglob("*") if path.is_file() and "results" not in path.name)
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in files if ".fastsvc-results" not in path.parts
    }


def plain(report):
    """Its entries without what differs from run to run."""
    for entry in report.entries:
        entry.timings_s = {}
        entry.output = entry.output.replace("/one/", "/many/")
    return report.entries


@pytest.mark.parametrize(
    "device, visible, expected",
    [
        ("cpu", "", None),
        ("cuda", "3", None),
        ("cuda:1", "", "1"),
        ("cuda:1", "4,7", "7"),
        ("cuda:0", "GPU-aa,GPU-bb", "GPU-aa"),
        ("cuda:2", "4", "2"),
    ],
)
def test_each_process_sees_its_own_gpu(monkeypatch, device, visible, expected):
    monkeypatch.setenv(processes.VISIBLE, visible)
    assert processes.visible(device) == expected


def test_why_a_process_ended():
    assert processes._cause(-9) == "its process was ended by SIGKILL, perhaps by the system for lack of memory"
    assert processes._cause(3) == "its process ended with exit code 3" and processes._cause(None) == "its process ended"
    assert processes._cause(-11) == "its process was ended by SIGSEGV"


@pytest.mark.long
@pytest.mark.slow
def test_the_same_tree_and_report(tmp_path):
    crew = lambda spec: processes.ProcessCrew(spec, ["cpu", "cpu"], FakeWorker)  # noqa: E731
    many, one, there, here = converted(tmp_path, [f"d{n % 3}/{n}.wav" for n in range(30)], crew)
    assert there == here and len(here) == 30 and plain(many) == plain(one)


@pytest.mark.long
@pytest.mark.slow
def test_a_recording_that_kills_its_process(tmp_path):
    crew = lambda spec: processes.ProcessCrew(spec, ["cpu", "cpu"], FakeWorker)  # noqa: E731
    many, _, there, here = converted(tmp_path, [*(f"{n}.wav" for n in range(12)), "poison.wav"], crew)
    status = {os.path.basename(entry.input): entry.status for entry in many.entries}
    assert status.pop("poison.wav") == FAILED and set(status.values()) == {DONE}
    assert "3 workers died" in many.failures[0].reason and "SIGKILL" in many.failures[0].reason
    del here["poison.wav"]
    assert there == here


@pytest.mark.long
@pytest.mark.slow
def test_processes_that_are_killed_from_outside(tmp_path):
    crews = []

    def crew(spec):
        crews.append(processes.ProcessCrew(spec, ["cpu", "cpu"], FakeWorker))
        return crews[0]

    def kill():
        for _ in range(4):
            time.sleep(3)
            alive = [p for some in list(crews[0].processes.values()) for p in some if p.pid] if crews else []
            if alive:
                os.kill(alive[0].pid, signal.SIGKILL)

    threading.Thread(target=kill, daemon=True).start()
    many, _, there, here = converted(tmp_path, [f"slow{n}.wav" for n in range(60)], crew)
    assert there == here and {entry.status for entry in many.entries} == {DONE}
