"""The command line refuses what Python refuses: each option with its argument, in one table."""

import engines
import pytest
from click.testing import CliRunner
from recordings import put

from fastsvc import build
from fastsvc.cli import main
from fastsvc.convert import batch
from fastsvc.data import choir, prepare, pseudo
from fastsvc.engine.request import Request
from fastsvc.errors import FastsvcError
from fastsvc.evaluation.run import evaluate

# By command and option: what Python calls it, in which table, and values as text
LINES = {
    ("convert", "--seed"): (Request, "seed", ["-1", "1.0", "x", "nan", str(2**64), "1e3", ""]),
    ("convert", "--steps"): (Request, "steps", ["0", "-1", "1001", "1.0", "x", "nan"]),
    ("convert", "--transpose"): (Request, "transpose", ["61", "-61", "nan", "inf", "x", "Auto", ""]),
    ("convert", "--formant"): (Request, "formant", ["12.5", "-13", "nan", "inf", "x"]),
    ("convert", "--noise-scale"): (Request, "noise_scale", ["-0.1", "1.1", "nan", "x", ""]),
    ("convert", "--rate"): (batch.ConversionSettings, "rate_hz", ["0", "999", "1000001", "44100.0", "nan", "x"]),
    ("convert", "--batch"): (batch.ConversionSettings, "batch", ["0", "-1", "4097", "1.5", "nan"]),
    ("convert", "--rms-mix-rate"): (Request, "rms_mix_rate", ["-0.1", "1.1", "nan", "x", ""]),
    ("convert", "--index-rate"): (Request, "index_rate", ["-0.1", "1.1", "nan", "x", ""]),
    ("convert", "--protect"): (Request, "protect", ["-0.1", "0.6", "nan", "x", ""]),
    ("convert", "--index-search"): (Request, "index_search", ["fast", "", "Exact"]),
    ("convert", "--unvoiced"): (Request, "unvoiced", ["none", "", "Zero"]),
    ("convert", "--f0"): (Request, "f0_method", ["ear", "", "YIN"]),
    ("convert", "--f0-range"): (
        Request,
        "f0_range",
        ["40", "x", "", "2000:40", "9:2000", "40:nan", "40:2000:3"],
    ),
    ("convert", "--bits"): (batch.ConversionSettings, "subtype", ["8", "x", ""]),
    ("build", "--steps"): (build.compile, "steps", ["0", "1,1001", "1.5", "x", "", "nan"]),
    ("build", "--depth"): (build.compile, "depth", ["1", "0", "2.5", "nan", "1000001"]),
    ("build", "--precision"): (build.compile, "precision", ["fp8", ""]),
    ("build", "--sampler"): (build.compile, "sampler", ["magic", ""]),
    ("build", "--era"): (build.compile, "era", ["future", ""]),
    ("build", "--target"): (build.compile, "target", ["gpu", "sm_75", ""]),
    ("prepare", "--valid"): (prepare.prepare, "valid", ["-0.1", "1", "nan", "inf", "x"]),
    ("prepare", "--test"): (prepare.prepare, "test", ["-0.1", "1", "nan", "x"]),
    ("prepare", "--max-seconds"): (prepare.prepare, "max_seconds", ["0.5", "nan", "inf", "3601"]),
    ("prepare", "--peak"): (prepare.prepare, "peak", ["-1", "1.1", "nan"]),
    ("prepare", "--jobs"): (prepare.prepare, "jobs", ["0", "-1", "1.5", "1025"]),
    ("prepare", "--seed"): (prepare.prepare, "seed", ["-1", "x", str(2**64)]),
    ("prepare", "--pseudo-labels"): (pseudo.add_pseudo_labels, "clusters", ["1", "0", "2.5", "32768"]),
    ("choir", "--minutes"): (choir.fill, "minutes", ["0", "-1", "nan", "inf", "x"]),
    ("choir", "--singers"): (choir.roster, "count", ["-1", "1.5", "10001"]),
    ("choir", "--seed"): (choir.fill, "seed", ["-1", "0.5", str(2**64)]),
    ("choir", "--jobs"): (choir.fill, "jobs", ["0", "1.5", "1025"]),
    ("evaluate", "--clips"): (evaluate, "clips", ["-1", "1.5", "100001"]),
    ("evaluate", "--seed"): (evaluate, "seed", ["-1", "x", str(2**64)]),
}
NEEDED = {
    Request: {"speaker": 0},
    batch.ConversionSettings: {"request": Request(0)},
    build.compile: {"checkpoint": __file__, "progress": None},
    prepare.prepare: {"dataset": "gone", "out": "never"},
    pseudo.add_pseudo_labels: {"corpus_dir": "gone", "clusters": 2},
    choir.fill: {"out": "never", "singers": [1], "minutes": 1.0, "seed": 0},
    choir.roster: {"count": 1, "seed": 0},
    evaluate: {"model": "gone", "out": "never"},
}
COMMANDS = {
    "convert": ["gone.wav"],
    "build": [__file__],
    "prepare": ["gone", "-o", "never"],
    "choir": ["never"],
    "evaluate": [],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return engines.build_engine(tmp_path_factory.mktemp("engine"))


def parsed(text):
    """What a Python program would write for it; lists of steps as tuples."""
    if "," in text:
        return tuple(map(parsed, text.split(",")))
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text


@pytest.mark.parametrize("command, option", LINES)
def test_the_command_line_refuses_the_same(command, option, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    call, name, texts = LINES[command, option]
    for text in texts:
        result = CliRunner().invoke(main, [command, *COMMANDS[command], f"{option}={text}"])
        assert result.exit_code == 2 and "Traceback" not in result.output, (text, result.output)
        assert option in result.output or (option == "--target" and "target" in result.output), result.output
        value = parsed(text)
        if name == "steps" and command == "build" and not isinstance(value, tuple):
            value = (value,) if text else ()
        with pytest.raises(FastsvcError) as caught:
            call(**{**NEEDED[call], name: value})
        assert "gone" not in str(caught.value), "it is refused for something else"
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_mixtures_on_the_command_line(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    put(tmp_path / "a.wav")
    for text in (
        "1.9",
        "Ada:-1,Bert:2",
        "Ada:nan",
        "Ada:inf",
        "Ada:x",
        "Ada:0",
        "Ada:1,Ada:-1",
        "True",
        "-1",
        "9" * 5000,
    ):
        result = CliRunner().invoke(main, ["convert", "a.wav", "-m", str(folder), f"--spk={text}"])
        assert result.exit_code == 2 and result.stderr.startswith("error: ") and result.stderr.count("\n") == 1, text
    assert not (tmp_path / "converted").exists()
