"""bench.latency: its arithmetic, and one tiny run for its structure. No time is asserted."""

import importlib.util
import json
import os
import shlex
import subprocess
import sys
import types
from pathlib import Path

import pytest
import torch

from bench import circumstances, cold, counts, early, latency, models, peers, roofs, stages, table, timing, vocoders
from fastsvc.audio import resample
from fastsvc.config import HubertConfig, VocoderConfig
from fastsvc.engine import ranges
from fastsvc.engine.cuda.resampling import DeviceResampler

ROOT = Path(__file__).parent.parent


def test_percentiles():
    assert timing.percentile([5.0], 0.8) == 5
    assert timing.percentile([3, 1, 2], 0.5) == 2
    assert timing.percentile([0, 10], 0.2) == pytest.approx(2)
    assert timing.summary([4, 1, 3, 2, 5]) == {"p50_ms": 3, "p20_ms": 1.8, "p80_ms": 4.2}


def test_the_clock_counts_no_warm_up_and_stops_at_its_budget():
    calls, clock = [], timing.Clock(torch.device("cpu"), repeats=4, warm_up=3)
    assert clock(lambda: calls.append(1))["repeats"] == 4 and len(calls) == 7
    clock = timing.Clock(torch.device("cpu"), repeats=50, warm_up=0, budget_s=0)
    assert clock(lambda: None)["repeats"] == 3


def test_floors():
    known = {"tflops": 100.0, "copy_gbs": 1000.0}
    assert roofs.floor_ms(1e12, 0, known) == pytest.approx(10)
    assert roofs.floor_ms(1e12, 1e11, known) == pytest.approx(100)
    assert roofs.percent(2.0, 8.0) == 25.0


def test_counts_of_comosvc_in_full_size():
    """94.5 MFLOP a frame and evaluation, 94 MB of weights in 16 bits; a vocoder of about 70 GFLOP a second."""
    config = models.acoustic()
    one = counts.denoiser(config, 1, 1, 2)
    assert one.flops == pytest.approx(94.5e6, rel=0.01) and one.bytes == pytest.approx(94e6, rel=0.02)
    four = counts.denoiser(config, 10, 4, 2)
    assert four.flops == pytest.approx(40 * one.flops) and four.bytes == pytest.approx(4 * one.bytes, rel=0.01)
    assert counts.condition(config, 10, 2).flops == 2 * 10 * 768 * 256
    second = counts.vocoder(models.vocoder(64), 187.5, 2)
    assert counts.vocoder(models.vocoder(64), 375, 2).flops == pytest.approx(2 * second.flops)
    assert second.flops * 64 == pytest.approx(70e9, rel=0.15)  # goes with the square of the channels
    hubert = type("HubertEncoder", (), {"config": HubertConfig(), "rate_hz": 16000})()
    assert counts.content(hubert, 10).flops == pytest.approx(135e9, rel=0.15)


def test_peers_that_cannot_run_say_why():
    model = peers.random_model(models.acoustic(16, 2), torch.device("cpu"))
    plain = peers.peer("eager32", model, [80.0, 1.0], "consistency", 7)
    assert plain().shape == (1, 7, 80) and torch.isfinite(plain()).all()
    for name in ("eager16", "graphs", "compile"):
        if not torch.cuda.is_available():
            with pytest.raises(peers.NotHere, match="NVIDIA"):
                peers.peer(name, model, [80.0], "consistency", 7)


@pytest.mark.slow
@pytest.mark.long
def test_a_tiny_run(tmp_path, capsys, monkeypatch):
    pytest.importorskip("soxr", reason="soxr resamples the whole")
    engine = models.make(tmp_path, 16, 16, lambda line: None, 2, steps=(1, 2), target="cpu")
    file = tmp_path / "deep" / "out.json"
    given = [str(engine), "--device", "cpu", "--seconds", "0.1", "--steps", "1,2,3", "--repeats", "3", "--no-extras"]
    roof = {"tflops": 1.0, "copy_gbs": 1.0, "precision": "fp32", "product": "none"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(roofs, "measure", lambda *_: roof)
        given.append("--pdl")
        assert latency.main([*given, "--peers", "eager32,graphs", "--peer-seconds", "0.1", "--json", str(file)]) == 0
    found = json.loads(file.read_text(encoding="utf-8"))
    assert found["command"].startswith("python -m bench.latency") and found["versions"]["torch"] == torch.__version__
    assert found["engine"]["device"] == "cpu" and found["date"] and found["machine"]["cpu"]
    names = [(row["steps"], row["stage"]) for row in found["stages"]]
    first = (*stages.STAGES, "end to end")
    assert names == [*((1, name) for name in first), (2, "denoiser"), (2, "end to end")]
    for row in found["stages"]:
        assert 0 < row["p20_ms"] <= row["p50_ms"] <= row["p80_ms"] and row["repeats"] == 3
        assert ("percent_of_floor" in row) == (row["stage"] not in ("f0", "joining", "end to end"))
        assert row["launches"] is None and row["peak_mb"] > 0
    skipped = {row["peer"]: "skipped" in row for row in found["peers"]}
    assert skipped == {"eager32": False, "graphs": not torch.cuda.is_available()}
    ran = {row.get("backend", row.get("peer")): "skipped" not in row for row in found["vocoders"]}
    assert ran["torch"] and ran["eager32"] and not ran["graphs"] and "onnxruntime" in ran
    (tmp_path / "random.py").write_text("raise SystemExit('a file of the current folder was run')\n")
    monkeypatch.chdir(tmp_path)
    cold_start = cold.measure(engine, "cpu", "auto", 0.1)  # in a process of its own
    assert 0 < cold_start["imported_s"] < cold_start["opened_s"] < cold_start["first_audio_s"], cold_start
    text = capsys.readouterr().out
    if not torch.cuda.is_available():
        assert "Programmatic dependent launch not measured: early starts need an NVIDIA GPU" in text
    assert "| 0.1 s | torch |" in text and "| 0.1 s | generator alone, plain PyTorch, float32 |" in text
    assert "| 0.1 s | 1 | vocoder |" in text and "Load of the machine: " in text
    if not torch.cuda.is_available():  # one line for each reason, whatever the number of lengths
        assert text.count("Not measured: plain PyTorch, float16, one CUDA graph: needs an NVIDIA GPU.") == 1
    assert found["load_1min_after"] >= 0
    table.plot(found, tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes()[:4] == b"\x89PNG"


def test_a_backend_that_fails_leaves_the_other_rows(monkeypatch):
    def failing(engine, name):
        raise AttributeError("no attribute Builder\nin the module")

    config = VocoderConfig(initial_channels=16)
    engine = types.SimpleNamespace(
        synthesiser=types.SimpleNamespace(config=config), device=torch.device("cpu"), rounded=()
    )
    monkeypatch.setattr(vocoders, "backends", lambda engine: ["odd", "odder"])
    monkeypatch.setattr(vocoders, "using", failing)
    rows = vocoders.rows(engine, 0.1, None, {"tflops": 1.0, "copy_gbs": 1.0})
    assert [row["backend"] for row in rows] == ["odd", "odder"]
    for row in rows:
        assert row["skipped"].startswith(
            "a fault of fastsvc: AttributeError: no attribute Builder in the module at bench/"
        )
    assert vocoders.reason(RuntimeError("no GPU\nat all")) == "no GPU"


def test_table_of_cold_start_and_throughput():
    flow = {"files": 8, "file_s": 10.0, "audio_s_per_s": 123.4}
    assert "2.50 s" in table.extras({"cold": {"first_audio_s": 2.5}, "throughput": flow})
    assert "not measured: no GPU" in table.extras({"cold": {"skipped": "no GPU"}, "throughput": flow})


def test_table_of_early_starts():
    given = {"seconds": 0.5, "steps": 1}
    rows = [{**given, "early": False, "p50_ms": 0.15}, {**given, "early": True, "p50_ms": 0.1}]
    assert "| 0.5 s | 1 | 0.1500 | 0.1000 | 1.50× |" in table.early_table(rows)


def test_early_starts_are_compared_in_one_run(monkeypatch):
    network, ran = types.SimpleNamespace(device=torch.device("cuda"), arch=90, early=False), []
    engine = types.SimpleNamespace(sampler=types.SimpleNamespace(network=network), steps=(1, 4))
    monkeypatch.setattr(early, "denoiser", lambda engine, seconds, steps: lambda: ran.append(network.early))
    rows = early.compared(engine, [0.5, 10], [1, 2, 4], lambda run: run() or {"p50_ms": 1.0}, lambda line: None)
    assert ran == [row["early"] for row in rows] == 4 * [False, True] and not network.early
    assert [(row["seconds"], row["steps"]) for row in rows[::2]] == [(0.5, 1), (0.5, 4), (10, 1), (10, 4)]

    def failing(run):
        raise RuntimeError("invalid argument\nand more")

    assert early.compared(engine, [0.5], [1], failing, lambda line: None) == [{"skipped": "invalid argument"}]
    network.arch = 89
    assert "sm_90" in early.compared(engine, [0.5], [1], failing, lambda line: None)[0]["skipped"]


def test_unknown_peers_are_refused(capsys):
    with pytest.raises(SystemExit):
        latency.arguments(["--peers", "jax"])
    assert "jax" in capsys.readouterr().err


def test_ranges_without_the_package(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "nvtx", None)
    with pytest.warns(UserWarning, match="nvtx is not installed"):
        assert not ranges.enable()
    with ranges.stage("vocoder"):
        pass


def test_the_command_of_a_figure_can_be_typed_again(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["latency.py", "a b.fsvc", "--peers", "", "--budget", "0.5"])
    command = circumstances.describe("python -m bench.latency", torch.device("cpu"))["command"]
    assert shlex.split(command) == ["python", "-m", "bench.latency", "a b.fsvc", "--peers", "", "--budget", "0.5"]


def test_a_device_that_resamples_needs_no_soxr(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    rates = {"rate_hz": 40_000, "encoder": types.SimpleNamespace(rate_hz=16_000)}
    engine = types.SimpleNamespace(device_front=None, device=torch.device("cpu"), resample=resample.resample, **rates)
    assert stages.resampling(engine).startswith("left out: soxr is not installed")
    engine.resample = DeviceResampler(engine.device)
    assert stages.resampling(engine) == "included (on the device)"


STEPS = ["machine", "engine", "warm", "latency", "peers", "compile", "rtx"]
STEPS += ["kernels_compiled", "tests", "kernels", "sanitizer"]


@pytest.mark.parametrize("python, code", [("true", 0), ("false", 1)])
def test_gpu_script_goes_on_and_reports(tmp_path, python, code):
    """Every step is logged, whatever became of those before it; together they stay under 9 minutes."""
    script = ROOT / "bench" / "gpu.sh"
    environment = {**os.environ, "PYTHON": python}
    done = subprocess.run([str(script), str(tmp_path / "out")], capture_output=True, text=True, env=environment)
    assert done.returncode == code, done.stderr
    summary = (tmp_path / "out" / "summary.txt").read_text().splitlines()
    names = [line.split(":")[0] for line in summary]
    assert names == STEPS
    assert all(f"exit {code}," in line for line in summary)
    assert all((tmp_path / "out" / f"{name}.log").exists() for name in names)
    limits = [int(line.split()[2]) for line in script.read_text().splitlines() if line.startswith(("step ", "shares "))]
    assert len(limits) == len(names) and sum(limits) < 540 and limits[0] == 40


def test_gpu_script_in_its_parts(tmp_path):
    """What the machine says does not count; kernels that came along are used; the sanitizer runs by itself, and every
    kernel of the tests is compiled by one process before them."""
    seen = tmp_path / "seen"
    player = tmp_path / "python"
    player.write_text(
        f'#!/bin/sh\necho "$FASTSVC_COMPILE|$FASTSVC_SHARE|$*" >> {seen}\ncase "$*" in *doctor*) exit 3;; esac\n'
    )
    player.chmod(0o755)
    (tmp_path / "ahead").mkdir()
    environment = {**os.environ, "PYTHON": str(player), "AHEAD": str(tmp_path / "ahead"), "OMP_NUM_THREADS": "1"}
    script = [str(ROOT / "bench" / "gpu.sh"), str(tmp_path / "out")]
    done = subprocess.run(script, capture_output=True, text=True, env=environment)
    summary = (tmp_path / "out" / "summary.txt").read_text().splitlines()
    assert done.returncode == 0 and summary[0].startswith("machine: exit 3,"), done.stdout + done.stderr
    calls = [line.split("|", 2) for line in seen.read_text().splitlines()]
    (engine,) = (words for _, _, words in calls if "bench.models" in words)
    assert f"--target cpu --ahead {tmp_path / 'ahead'}" in engine
    tests = [(compiled, share, words) for compiled, share, words in calls if words.startswith("-m pytest ")]
    *others, (compiled, share, words) = tests
    assert (compiled, share) == ("", "") and words.endswith("tests/test_sanitizer.py"), words
    assert all(compiled or share for compiled, share, _ in others)
    assert any("--ignore tests/test_sanitizer.py" in words for _, _, words in others)
    compiled = sorted(one for one, _, _ in tests if one)
    count = int(compiled[0].partition("/")[2])  # of processors, whatever number of threads is asked for
    assert count == min(12, len(os.sched_getaffinity(0)))
    assert compiled == sorted(f"{i}/{count}" for i in range(count))
    first_test = next(i for i, (_, share, _) in enumerate(tests) if share)
    assert all(one for one, _, _ in tests[:first_test]) and first_test == count


@pytest.mark.long
def test_gpu_script_of_a_voice_of_rvc(tmp_path):
    script = ROOT / "bench" / "gpu.sh"
    command, environment = [str(script), str(tmp_path), "rvc"], {**os.environ, "PYTHON": "true"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    names = [line.split(":")[0] for line in (tmp_path / "summary.txt").read_text().splitlines()]
    assert done.returncode == 0 and names == ["tests", "engine", "latency"], done.stderr
    words = [line.split() for line in script.read_text().splitlines() if line.startswith(("    step ", "    shares "))]
    assert [line[1] for line in words] == names and sum(int(line[2]) for line in words) < 540
