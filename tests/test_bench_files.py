"""Every bench starts as a file from any folder, and says in one line what is wrong with what it is given."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench import program, same
from fastsvc.errors import EngineError

BENCH = Path(__file__).parent.parent / "bench"
PROGRAMS = sorted(path for path in BENCH.glob("*.py") if '__name__ == "__main__"' in path.read_text(encoding="utf-8"))
WRONG = [
    ("bf16", [], "FOLDER is needed"),
    ("latency", ["gone.fsvc"], "gone.fsvc: no such file"),
    ("latency", ["--seconds", "1,x"], "'x' is not a number above 0"),
    ("latency", ["--steps", "0"], "'0' is not a whole number"),
    ("latency", ["--sizes", "16,2"], "not 3 values"),
    ("latency", ["--peers", "eager8"], "there is no 'eager8'; choose from eager32"),
    ("latency", ["--json", "."], "is a folder"),
    ("cold", ["gone.fsvc", "cpu", "auto", "1"], "gone.fsvc: no such file"),
    ("cpu", ["--folder", __file__], "is not a folder"),
    ("cpu", ["--json", f"{__file__}/out.json"], "is not a folder"),
    ("flow_steps", [__file__], "name two engines"),
    ("flow_steps", ["gone.fsvc", "gone.fsvc"], "gone.fsvc: no such file"),
    ("f0", ["--methods", "yin,guess"], "there is no 'guess'"),
    ("level", ["gone.fsvc"], "gone.fsvc: no such file"),
    ("models", [], "folder"),
    ("rvc_engine", ["out", "--voice", "v3 40k"], "invalid choice: 'v3 40k'"),
    ("same", ["gone", "."], "gone: no such file"),
    ("samples", ["--rates", "24000,x"], "'x' is not a whole number"),
    ("vocoder_precision", ["--recordings", "gone"], "gone: no such file"),
]


@pytest.fixture
def elsewhere(tmp_path):
    """A folder with a module that nobody may import, as people have them."""
    for name in ("random", "json", "torch", "bench", "fastsvc"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('a file of the current folder was run')\n")
    return tmp_path


def run(*arguments, cwd, **environment):
    """Python with ``arguments``; PYTHONPATH does not help."""
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | environment
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=env, timeout=120)


def test_the_programs_are_found():
    names = "ahead bf16 cold cpu demo ears ears_data ears_folder f0 flow_steps latency level live live_hour"
    names += " live_layers live_parts live_table live_voices models phones precision retrieval roofline rvc"
    names += " rvc_engine same"
    names += " samples sass scale scale_model serve trt_here trt_plans vocoder_cpu vocoder_precision"
    assert [path.stem for path in PROGRAMS] == names.split()


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_help_as_a_file(path, elsewhere):
    """Without any package (-S), so without an installed fastsvc; quick, as nothing heavy could be imported."""
    done = run("-S", path, "--help", cwd=elsewhere)
    assert done.returncode == 0 and done.stdout.startswith("usage: ") and not done.stderr, done.stderr
    assert "--" in done.stdout


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_the_start_is_the_same_in_all(path):
    text = path.read_text(encoding="utf-8")
    first = (BENCH / "latency.py").read_text(encoding="utf-8")
    start = first[first.index("import os\n") : first.index("\nimport argparse")]
    assert start in text and text.endswith("    program.start(main)\n")
    assert "import" not in text[text.index('"""', 3) : text.index(start)].replace("from __future__ import", "")


def test_help_in_other_ways(elsewhere):
    """As a module from the root; in safe mode; through a link; where bench/ has a file named as a standard module."""
    assert run("-S", "-m", "bench.latency", "--help", cwd=BENCH.parent).returncode == 0
    safe = run("-S", BENCH / "latency.py", "--help", cwd=elsewhere, PYTHONSAFEPATH="1")
    assert safe.returncode == 0, safe.stderr
    tree = elsewhere / "tree"
    (tree / "bench").mkdir(parents=True)
    for path in BENCH.glob("*.py"):
        (tree / "bench" / path.name).write_bytes(path.read_bytes())
    (tree / "fastsvc").symlink_to(BENCH.parent / "fastsvc")
    (tree / "bench" / "random.py").write_text("raise SystemExit('a file of bench/ was run')\n")
    (tree / "bench" / "argparse.py").write_text("raise SystemExit('a file of bench/ was run')\n")
    (elsewhere / "link.py").symlink_to(tree / "bench" / "latency.py")
    linked = run("-S", elsewhere / "link.py", "--help", cwd=elsewhere)
    assert linked.returncode == 0, linked.stderr


@pytest.mark.parametrize("name, arguments, reason", WRONG, ids=lambda value: str(value)[:20])
def test_what_is_wrong_is_said_in_one_line(name, arguments, reason, elsewhere):
    done = run("-S", BENCH / f"{name}.py", *arguments, cwd=elsewhere)
    assert done.returncode == 2 and not done.stdout
    assert "error: " in done.stderr.splitlines()[-1] and reason in done.stderr and "Traceback" not in done.stderr


def test_how_a_bench_ends(capsys):
    def raising(error):
        raise error

    ends = [
        (lambda: None, 0, ""),
        (lambda: 1, 1, ""),
        (lambda: raising(EngineError("x.fsvc: broken", "build it")), 2, "error: x.fsvc: broken (build it)\n"),
        (lambda: raising(PermissionError(13, "Permission denied", "a\nb")), 2, "error: a\\nb: Permission denied\n"),
        (lambda: raising(KeyboardInterrupt()), 130, "interrupted: results in the --json file stay\n"),
    ]
    for main, code, text in ends:
        with pytest.raises(SystemExit) as end:
            program.start(main)
        assert (end.value.code, capsys.readouterr().err) == (code, text)
    with pytest.raises(OSError, match="ours"):
        program.start(lambda: raising(OSError("ours")))


@pytest.mark.slow
@pytest.mark.long
def test_latency_from_start_to_end_as_a_file(elsewhere):
    """A tiny model is built and measured."""
    options = [
        "--device",
        "cpu",
        "--sizes",
        "16,2,16",
        "--seconds",
        "0.1",
        "--steps",
        "1",
        "--repeats",
        "3",
        "--budget",
    ]
    options += ["0", "--peers", "eager32", "--peer-seconds", "0.1", "--no-extras", "--json", "deep/out.json"]
    done = run(BENCH / "latency.py", *options, cwd=elsewhere)
    assert done.returncode == 0, done.stderr
    found = json.loads((elsewhere / "deep" / "out.json").read_text(encoding="utf-8"))
    assert {row["stage"] for row in found["stages"]} >= {"denoiser", "vocoder", "end to end"}
    assert "| 0.1 s | 1 | end to end |" in done.stdout and "Traceback" not in done.stderr


def test_results_are_compared_bit_for_bit(tmp_path):
    for folder, content in (("a", b"1"), ("b", b"1"), ("c", b"2")):
        (tmp_path / folder / "voice").mkdir(parents=True)
        (tmp_path / folder / "voice" / "song.wav").write_bytes(content)
    assert same.differing(tmp_path / "a", tmp_path / "b") == ([], 1)
    assert same.differing(tmp_path / "a", tmp_path / "c") == ([os.path.join("voice", "song.wav")], 1)
    assert same.differing(tmp_path / "a", tmp_path) == ([os.path.join("voice", "song.wav")], 1)
