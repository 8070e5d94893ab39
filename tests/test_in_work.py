"""After a run was killed, what was in work then comes last, and takes nobody with it."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from fake_engine import FakeEngine
from recordings import put, tone

from fastsvc.convert import batch
from fastsvc.convert.plan import plan
from fastsvc.engine.request import Request
from fastsvc.errors import AudioError
from fastsvc.files import InWork, free_or_ours
from fastsvc.files.leftovers import IN_WORK


def order(folder, *names):
    return InWork(folder).ordered(names, lambda name: name)


def test_the_least_suspicious_first(tmp_path):
    for names in ("ab", "bc", "b"):
        run = InWork(tmp_path)
        run.ordered("abcd", lambda name: name)
        for name in names:
            run.begin(name)  # and killed
    assert order(tmp_path, *"dcba") == (["d"], ["c", "a", "b"])
    assert [InWork(tmp_path).kills(name) for name in "abcd"] == [1, 3, 1, 0]
    assert free_or_ours(tmp_path)


def test_a_run_that_ends_leaves_nothing(tmp_path):
    run = InWork(tmp_path)
    run.begin("a")
    run = InWork(tmp_path)
    assert run.ordered("ab", lambda name: name) == (["b"], ["a"])
    for name in "ba":
        run.begin(name)
        run.end(name)
    run.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("result", [False, True])
def test_a_folder_made_for_the_list_ends_with_it(tmp_path, result):
    run = InWork(tmp_path / "x" / "y")
    run.begin("a")
    assert (tmp_path / "x" / "y").is_dir()
    if result:
        (tmp_path / "x" / "b").touch()
    run.close()
    assert not (tmp_path / "x" / "y").exists() and (tmp_path / "x").exists() == result
    InWork(tmp_path).close()
    assert tmp_path.is_dir()


def test_an_interruption_leaves_what_it_did_not_reach(tmp_path):
    InWork(tmp_path).begin("a")
    run = InWork(tmp_path)
    run.ordered("ab", lambda name: name)
    run.begin("b")
    run.close()
    assert order(tmp_path, "a", "b") == (["b"], ["a"])
    assert order(tmp_path, "b") == (["b"], [])


@pytest.mark.parametrize("text", ["", "{}", "[]", "x", '{"begin": ["a"]}', '{"killed": 3}', '{"killed": {"a": "x"}}'])
def test_a_list_that_makes_no_sense(tmp_path, text):
    (tmp_path / IN_WORK).write_text(text)
    assert order(tmp_path, "a") == (["a"], [])


def test_a_list_whose_last_line_was_not_finished(tmp_path):
    run, odd = InWork(tmp_path), "b\udcff"  # a name that is no text
    run.ordered(["a", odd, "c"], lambda name: name)
    for name in ("a", odd, "c"):
        run.begin(name)
    run.end("a")
    content = (tmp_path / IN_WORK).read_bytes()
    assert content.count(b"\n") == 6
    (tmp_path / IN_WORK).write_bytes(content[:-5])
    assert order(tmp_path, "a", odd, "c")[0] == []
    (tmp_path / IN_WORK).write_bytes(content)
    assert order(tmp_path, "a", odd, "c") == (["a"], ["c", odd])


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_a_list_that_is_none(tmp_path):
    os.mkfifo(tmp_path / IN_WORK)
    assert order(tmp_path, "a") == (["a"], [])
    assert order(tmp_path / "missing", "a") == order(None, "a") == (["a"], [])


def test_a_folder_that_cannot_be_written_changes_nothing(tmp_path):
    (tmp_path / "out").write_text("a file")
    run = InWork(tmp_path / "out")
    run.begin("a")
    run.end("a")
    run.close()


def test_names_that_hold_ends_of_lines(tmp_path):
    names = ["a\u2028b.wav", "a\x0bb.wav", "a\x85b.wav", "a\nb.wav", os.fsdecode(b"a\xffb.wav")]
    run = InWork(tmp_path)
    for name in names:
        run.begin(tmp_path / name)
    assert [InWork(tmp_path).kills(tmp_path / name) for name in names] == [1] * len(names)


def test_failures_are_no_deaths(tmp_path):
    for name in "abc":
        put(tmp_path / "in" / f"{name}.wav")
    out = tmp_path / "out"
    engine = FakeEngine(fail={2: AudioError("no")})
    report = batch.run(
        engine, plan([tmp_path / "in"], out), batch.ConversionSettings(Request("anna")), in_work=InWork(out)
    )
    assert [entry.status for entry in report.entries] == ["converted", "failed", "converted"]
    assert sorted(path.name for path in out.glob("[!.]*")) == ["a.wav", "c.wav"] and not (out / IN_WORK).exists()


CHILD = """
import json, os, signal, sys
from fake_engine import FakeEngine, settings
from fastsvc.convert import batch
from fastsvc.convert.plan import plan
from fastsvc.files import InWork

folder, out, shares = sys.argv[1], sys.argv[2], sys.argv[3] == "True"

class Deadly(FakeEngine):
    def extract(self, audio, *args, **options):
        if len(audio) == 7777:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().extract(audio, *args, **options)

for _ in range(4):
    child = os.fork()
    if child == 0:
        batch.run(Deadly(shares_batches=shares), plan([folder], out), settings(), in_work=InWork(out))
        os._exit(0)
    code = os.waitpid(child, 0)[1]
    print(json.dumps([code, sorted(os.listdir(out))]))
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="children are forked")
@pytest.mark.parametrize("shares", [False, True])
@pytest.mark.sampled(2)
def test_killed_for_real(tmp_path, shares):
    for name in "abcdef":
        put(tmp_path / "in" / f"{name}.wav")
    put(tmp_path / "in" / "b.wav", tone(0.5)[:, :7777])
    command = [sys.executable, "-c", CHILD, str(tmp_path / "in"), str(tmp_path / "out"), str(shares)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent), "OMP_NUM_THREADS": "1"}
    run = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=Path(__file__).parent.parent)
    assert run.returncode == 0, run.stderr
    runs = [json.loads(line) for line in run.stdout.splitlines()]
    assert [code for code, _ in runs] == [signal.SIGKILL] * 4
    made = [[name for name in names if name[0] != "."] for _, names in runs]
    assert IN_WORK in runs[0][1] and "c.wav" not in made[0]
    everything = [f"{name}.wav" for name in "acdef"]
    assert made[-1] == everything  # all but the deadly one, however often that kills
    assert made[2 if shares else 1] == everything


def test_names_with_separators_of_lines_are_remembered(tmp_path):
    for name in ("a\u2028b", "a\x85b", "a\nb"):
        InWork(tmp_path).begin(name)
        assert order(tmp_path, name, "c") == (["c"], [name])


def test_a_huge_list_is_read_to_its_limit(tmp_path, monkeypatch):
    from fastsvc.files import in_work

    InWork(tmp_path).begin("a")
    with open(tmp_path / IN_WORK, "ab") as file:
        file.truncate(1 << 40)  # sparse: read whole, it would end the process
    assert order(tmp_path, "a", "b") == (["b"], ["a"])
    monkeypatch.setattr(in_work, "FILE_BYTES", 10)
    assert order(tmp_path, "a", "b") == (["a", "b"], [])


def test_what_a_neighbour_has_in_work_was_not_killed(tmp_path):
    code = "import sys; from fastsvc.files import InWork; InWork(sys.argv[1]).begin('a'); print(flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code, tmp_path], cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        child.stdout.readline()
        path = tmp_path / "a"
        assert order(tmp_path, path) == ([path], [])
        child.kill()
        child.wait()
        assert order(tmp_path, path) == ([], [path])
