"""The rehearsal of bench/gpu.sh: a stand-in GPU behaves as a GPU does, and what a run leaves is read whole."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from rehearsal import NAME, SAID, read

from bench import stages

ROOT = Path(__file__).parent.parent
SCRIPT = str(ROOT / "bench" / "gpu.sh")
DEVICE = """
import importlib.metadata, importlib.util, torch

assert torch.cuda.is_available() and torch.device("cuda", 0) == torch.ones(2).to("cuda").device
assert importlib.util.find_spec("soxr") is None and importlib.util.find_spec("numpy") is not None
try:
    importlib.metadata.version("soxr")
    raise SystemExit("soxr has a version")
except importlib.metadata.PackageNotFoundError:
    pass

def refuses(match, run):
    try:
        run()
    except (RuntimeError, TypeError) as error:
        assert match in str(error), error
    else:
        raise SystemExit(f"not refused: {match}")

x = torch.arange(6.0, device="cuda").view(2, 3)
assert torch.empty(3, device="cuda").isnan().all()
refuses("same device", lambda: x + torch.ones(2, 3))
refuses("can't convert cuda:0", lambda: x.numpy())
x.cpu().fill_(9)
assert x.sum().item() == 15 and (x[1:] * 2.0).tolist() == [[6, 8, 10]]
column = x[:, 1]
column.zero_()
assert x.tolist() == [[0, 0, 2], [3, 0, 5]]
half = torch.nn.Conv1d(2, 2, 3, groups=2).to("cuda").half()
assert half(torch.ones(1, 2, 9, device="cuda").half()).dtype == torch.float16

graph, y = torch.cuda.CUDAGraph(), torch.zeros(2, 3, device="cuda")
with torch.cuda.graph(graph):
    y.copy_(x + 1)
    largest = y.max()
x.fill_(4)
graph.replay()
assert y.eq(5).all() and largest.item() == 5
def captured(run):
    with torch.cuda.graph(torch.cuda.CUDAGraph()):
        run()
refuses("when stream is capturing", lambda: captured(lambda: x.sum().item()))
refuses("when stream is capturing", lambda: captured(lambda: x.copy_(torch.ones(2, 3))))
captured(lambda: x.copy_(torch.ones(2, 3).pin_memory(), non_blocking=True))
torch.cuda.set_sync_debug_mode("error")
refuses("synchronizing", lambda: bool(x.any()))
torch.cuda.set_sync_debug_mode("default")
"""


def environment(folder, **more):
    start = ROOT / "tests" / "rehearsal" / "start"
    paths = os.pathsep.join(map(str, (ROOT, start)))
    return {**os.environ, "PYTHONPATH": paths, "FASTSVC_REHEARSAL": str(folder), **more}


@pytest.mark.slow
def test_the_device_is_one(tmp_path):
    """Devices are not mixed, a graph repeats its work, waiting is refused where it would be, packages are not there."""
    done = subprocess.run([sys.executable, "-c", DEVICE], capture_output=True, text=True, env=environment(tmp_path))
    assert done.returncode == 0, done.stderr


def script(tmp_path, python, *words, **more):
    """(exit code, summary) of a rehearsal with a program in place of Python."""
    player = tmp_path / "python"
    player.write_text(f"#!/bin/sh\n{python}\n")
    player.chmod(0o755)
    env = {**os.environ, "PYTHON": str(player), "FASTSVC_REHEARSAL": str(tmp_path / "kept"), **more}
    out = tmp_path / "out"
    done = subprocess.run([SCRIPT, str(out), *words], capture_output=True, text=True, env=env)
    return done, (out / "summary.txt").read_text().splitlines() if out.exists() else []


def test_a_rehearsal_says_so_and_stops_what_takes_too_long(tmp_path):
    python = 'case "$*" in *trt_here*) exec sleep 60;; *read.py*) exit 1;; esac'
    done, (first, *summary) = script(tmp_path, python, "--rehearse", FASTSVC_SLOWER="6")
    assert done.returncode == 1 and first.startswith("a rehearsal over a stand-in device"), done.stderr
    codes = {name: int(rest.split()[1].rstrip(",")) for name, _, rest in (line.partition(":") for line in summary)}
    assert codes.pop("rtx") == 124 and codes.pop("read") == 1 and not any(codes.values()), summary
    assert {"ahead", "machine", "engine", "latency", "peers", "compile", "kernels_compiled", "tests"} <= codes.keys()
    assert (tmp_path / "out" / "rtx.log").read_text().endswith("stopped after 1 s\n")


def test_figures_of_a_rehearsal_do_not_lie_among_results(tmp_path):
    out = ROOT.joinpath("bench", "results", "none")
    done = subprocess.run([SCRIPT, str(out), "--rehearse"], capture_output=True, text=True)
    assert done.returncode == 2 and "are not results" in done.stderr and not out.exists()
    for path in ROOT.joinpath("bench", "results").rglob("*.json"):
        assert NAME not in path.read_text(encoding="utf-8"), path


def test_an_unknown_word_is_refused(tmp_path):
    assert script(tmp_path, "true", "--unknown")[0].returncode == 2


def result(**changes):
    """As bench.latency writes it on a GPU."""
    command = ["--seconds", "0.1", "--steps", "1", "--peers", "eager16", "--pdl", "--no-extras"]
    times = dict.fromkeys(read.TIMES, 1.0)
    rows = [
        {"seconds": 0.1, "steps": 1, "stage": name, **dict.fromkeys(read.STAGE - {"seconds", "steps", "stage"}, 1.0)}
        for name in (*stages.STAGES, stages.WHOLE)
    ]
    peer = {"seconds": 0.1, "steps": 1, "peer": "eager16"}
    return {
        **dict.fromkeys(read.ALWAYS, 1),
        "command": " ".join(["python -m bench.latency", "a.fsvc", "--device cuda", *command]),
        "stages": rows,
        "peers": [{**peer, **times}],
        "vocoders": [{**peer, "skipped": "too little memory"}],
        "early": [{"early": False, **times}, {"early": True, **times}],
        **changes,
    }


def test_what_a_run_leaves_is_whole_or_says_what_lacks():
    whole = result()
    assert read.faults(whole, False) == []
    assert read.faults({**whole, "stages": whole["stages"][1:]}, False) == ["no row of (0.1, 1, 'content')"]
    assert read.faults({**whole, "stages": [{**whole["stages"][0], "launches": None}, *whole["stages"][1:]]}, False)
    assert read.faults({**whole, "peers": []}, False) and read.faults({**whole, "vocoders": []}, False)
    assert read.faults({**whole, "early": [{"skipped": "no"}]}, False)
    assert read.faults({**whole, "peers": [{"seconds": 0.1, "steps": 1, "peer": "eager16"}]}, False)
    del whole["load_1min_after"]
    assert read.faults(whole, False) == ["no load_1min_after"]


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.timeout(1800)
def test_engine_and_table(tmp_path):
    """The smallest engine, its kernels compiled in place, and a row of each stage, none taken for a measurement."""
    env = environment(tmp_path / "kept", XDG_CACHE_HOME=str(tmp_path / "cache"), OMP_NUM_THREADS="1")
    small = ["--sizes", "16,2,16", "--steps", "1", "--precision", "fp16", "--target", "auto"]
    where = [
        "--seconds",
        "0.1",
        "--steps",
        "1",
        "--budget",
        "0",
        "--repeats",
        "1",
        "--peers",
        "eager16,graphs",
        "--pdl",
    ]
    engine, path = tmp_path / "models", tmp_path / "latency.json"
    for command in (
        ["bench.models", str(engine), *small],
        ["bench.latency", str(engine / "bench.fsvc"), "--device", "cuda", *where, "--no-extras", "--json", str(path)],
    ):
        done = subprocess.run([sys.executable, "-m", *command], capture_output=True, text=True, env=env, cwd=ROOT)
        assert done.returncode == 0, done.stderr
    figures = json.loads(path.read_text())
    assert read.faults(figures, False) == []
    assert figures["rehearsal"] == SAID and figures["machine"]["gpu"]["name"] == NAME
    assert not [row for row in figures["peers"] if "skipped" in row]
