"""The command line: quick help, choices that are printed, exit codes, one-line errors."""

import json
import subprocess
import sys
from pathlib import Path

import click
import pytest
import torch
from command_line import run
from engines import SPEAKERS, build_engine
from golden import relative_rms
from recordings import put, tone

from fastsvc import __version__, load
from fastsvc.artifact import bundled
from fastsvc.audio import io
from fastsvc.cli import main
from fastsvc.commands import choose
from fastsvc.commands.common import Semitones, WholeList, WholeNumber
from fastsvc.engine.speakers import Speakers
from fastsvc.errors import EngineError, SpeakerError


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return build_engine(tmp_path_factory.mktemp("engine"))


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(choose.MODEL_VARIABLE, raising=False)


def test_help_and_version_need_no_heavy_package():
    script = (
        "import sys\nfrom fastsvc.cli import main\n"
        "try: main(sys.argv[1:])\nexcept SystemExit as stop: assert not stop.code\n"
        "heavy = {'torch', 'numpy', 'librosa', 'scipy', 'soundfile', 'yaml', 'tqdm'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    for arguments in (
        ["--help"],
        ["convert", "--help"],
        ["stream", "--help"],
        ["serve", "--help"],
        ["train", "--help"],
        ["--version"],
    ):
        done = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
    assert __version__ in done.stdout


def test_every_command_has_help_with_defaults():
    learning = {"choir", "prepare", "train", "evaluate"}
    assert set(main.commands) == {"convert", "serve", "stream", "live", "build", "inspect", "doctor"} | learning
    for name in main.commands:
        text = run(name, "--help").output
        assert "--quiet" in text and "--verbose" in text
        assert text.split("Examples:\n")[1].count(f"  fastsvc {name}") == 2  # each on a line of its own, unwrapped
    text = " ".join(run("build", "--help").output.split())
    assert "[default: (1,2,4 for students" in text and "[default: auto]" in text
    assert "converted]" in run("convert", "--help").output


def test_as_a_module():
    done = subprocess.run([sys.executable, "-m", "fastsvc", "--version"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and done.stdout == f"fastsvc, version {__version__}\n"


def test_convert_a_folder_with_a_real_engine(model, tmp_path):
    put(tmp_path / "in" / "a.wav", tone(0.3, 44100)[:, :10007], 44100)
    put(tmp_path / "in" / "deep" / "b.flac", tone(0.2, 8000, 2), 8000)
    text = run("convert", "in", "--spk", "bert", "-m", model, "-o", "out", "--report", "r.json").stdout
    assert f"engine: {model} (-m)" in text and "speaker: Bert" in text and "converted 2 of 2 files" in text
    assert [io.probe(f"out/{name}.wav").samples for name in ("a", "deep/b")] == [10007, 1600]
    report = json.loads(Path("r.json").read_text())
    assert report["totals"]["converted"] == 2 and report["settings"]["speaker"] == "bert"
    assert {entry["speaker"] for entry in report["files"]} == {"Bert"}
    wanted = load(model).convert(tone(0.3, 44100)[:, :10007], 44100, "Bert")[0] * report["files"][0]["gain"]
    written = io.read("out/a.wav")[0][0]
    assert relative_rms(torch.from_numpy(written), torch.from_numpy(wanted)) < 1e-3  # 16 bits: 1e-4
    assert report["versions"]["fastsvc"] == __version__ and "torch" in report["versions"] and "cpu" in report["machine"]
    again = run("convert", "in", "--spk", "1", "-m", model, "-o", "out")
    assert "skipped 2 whose results exist" in again.stdout
    before = Path("out/a.wav").read_bytes()
    run("convert", "in/a.wav", "--spk", "Bert:1", "-m", model, "-o", "out", "--overwrite")
    assert Path("out/a.wav").read_bytes() == before  # the same seed: the same bytes


def test_options_reach_the_result(model, tmp_path):
    put(tmp_path / "a.wav", tone(0.2, channels=2))
    options = ["--spk", 0, "-m", model, "--channels", "keep", "--format", "flac", "--bits", "24", "--rate", 48000]
    text = run("convert", "a.wav", *options, "--transpose", "auto", "--steps", 2, "--f0", "yin", "-v").stdout
    info = io.probe("converted/a.flac")
    assert (info.rate_hz, info.channels, info.samples, info.subtype) == (48000, 2, 9600, "PCM_24")
    assert "semitones" in text


def test_an_f0_method_that_cannot_run_stops_before_the_first_file(model, tmp_path, monkeypatch):
    monkeypatch.delenv("FASTSVC_RMVPE", raising=False)
    put(tmp_path / "a.wav", tone(0.1))
    options = ["--spk", 0, "-m", model, "--f0", "rmvpe"]
    assert "github.com/yxlllc/RMVPE" in run("convert", "a.wav", *options, code=2).stderr
    (tmp_path / "text.pt").write_text("no weights")
    assert "gone.pt: no such file" in run("convert", "a.wav", *options, "--f0-weights", "gone.pt", code=2).stderr
    assert "failed: a.wav: text.pt" in run("convert", "a.wav", *options, "--f0-weights", "text.pt", code=1).stderr


def test_quiet_prints_nothing_when_all_is_well(model, tmp_path):
    put(tmp_path / "a.wav", tone(0.1))
    assert run("convert", "a.wav", "--spk", "Ada", "-m", model, "-q").output == ""


@pytest.mark.parametrize(
    "arguments, expected",
    [
        (["--spk", "Cleopatra"], "did you mean 'Cleo'"),
        (["--spk", "3"], "no speaker '3'"),
        ([], "choose one with --spk ID or NAME: 0 Ada, 1 Bert, 2 Cleo"),
        (["--spk", "Ada:1,Bob:1"], "no speaker 'Bob'"),
        (["--spk", "Ada", "--steps", "7"], "or build the engine again with --steps 7"),
        (["--spk", "Ada", "--format", "mp3", "--rate", "96000"], "use --rate 48000"),
        (["--spk", "Ada", "--format", "mp3", "--bits", "24"], "mp3 cannot be written with '24' bits"),
        (["--spk", "Ada", "--transpose", "up"], "neither a number nor auto"),
        (["--spk", "Ada", "--rate", "7"], "not within 1000"),
        (["--spk", "Ada", "--device", "tpu"], "'tpu' is not a device"),
        (["--spk", "Ada", "-o", "a.wav"], "a.wav is the recording itself"),
        (["--spk", "Ada", "-o", "a.wav/deeper"], "no files can be written there"),
        (["--spk", "Ada", "nowhere"], "nowhere: no such file or folder"),
        (["--spk", "Ada", "-o", "."], None),
    ],
)
def test_usage_errors_say_what_to_do_and_exit_2(model, tmp_path, arguments, expected):
    put(tmp_path / "a.wav", tone(0.1))
    if expected is None:  # into the same folder is fine for a named file: it gets another name
        run("convert", "a.wav", "-m", model, *arguments)
        assert Path("a_Ada.wav").is_file()
        return
    result = run("convert", "a.wav", "-m", model, *arguments, code=2)
    assert expected in result.stderr and "Traceback" not in result.stderr
    assert not Path("converted/a.wav").exists()


def test_a_folder_as_its_own_output(model, tmp_path):
    put(tmp_path / "in" / "a.wav")
    assert "both input and output" in run("convert", "in", "--spk", 0, "-m", model, "-o", "in", code=2).stderr


def test_verbose_shows_the_traceback_of_an_error():
    assert "Traceback" not in run("convert", "nowhere", code=2).stderr
    assert "Traceback" in run("convert", "nowhere", "-v", code=2).stderr


def test_the_choice_of_the_model(tmp_path, monkeypatch):
    monkeypatch.setattr(bundled, "VOICES", tmp_path / "none")
    with pytest.raises(EngineError, match="no engine is named"):
        choose.choose_model(None)
    monkeypatch.setattr(bundled, "VOICES", tmp_path / "demo")
    (tmp_path / "demo").mkdir()
    assert choose.choose_model(None) == (tmp_path / "demo", "the bundled demo voices")
    (tmp_path / "a.fsvc").mkdir()
    assert choose.choose_model(None) == (Path("a.fsvc"), "the only one in this folder")
    (tmp_path / "b.fsvc").mkdir()
    with pytest.raises(EngineError, match=r"several engines.*a\.fsvc, b\.fsvc.*-m"):
        choose.choose_model(None)
    monkeypatch.setenv(choose.MODEL_VARIABLE, "b.fsvc")
    assert choose.choose_model(None) == (Path("b.fsvc"), "$FASTSVC_MODEL")
    assert choose.choose_model("a.fsvc") == (Path("a.fsvc"), "-m")
    monkeypatch.setenv(choose.MODEL_VARIABLE, "gone.fsvc")
    with pytest.raises(EngineError, match=r"gone\.fsvc: no such engine \(from \$FASTSVC_MODEL\)"):
        choose.choose_model(None)


def test_speakers():
    table = Speakers(("anna", "a:b", "7"), base=1)
    assert choose.choose_speaker(table, "a:b") == "a:b"
    assert table.weights(choose.choose_speaker(table, "anna:3,2:1")) == {0: 0.75, 1: 0.25}
    assert table.weights(choose.choose_speaker(table, "7")) == {2: 1.0}  # a name that is no id
    assert choose.choose_speaker(Speakers(("only",)), None) == "only"
    for bad in ("anna:x", "anna:-1,7:2", "anna:0", ":"):
        with pytest.raises(SpeakerError):
            choose.choose_speaker(table, bad)
    with pytest.raises(SpeakerError, match="and 5 more"):
        choose.choose_speaker(Speakers([f"s{i}" for i in range(25)]), None)


def test_option_types():
    assert WholeList().convert("4,1,2,2", None, None) == (1, 2, 4)
    assert Semitones().convert("-2.5", None, None) == -2.5 and Semitones().convert("auto", None, None) == "auto"
    assert WholeNumber("hz", ("same",), 1000, 2000).convert("1500", None, None) == 1500
    for kind, text in ((WholeList(), "1,x"), (WholeList(), "0"), (Semitones(), "61"), (Semitones(), "nan")):
        with pytest.raises(click.BadParameter):
            kind.convert(text, None, None)


def test_build_inspect_and_doctor(model, tmp_path):
    source = model.parent
    parts = ["--vocoder", source / "vocoder.pt", "--content", source / "recogniser.pt"]
    text = run("build", source / "student.pt", "-o", "x.fsvc", *parts, "--steps", "1").stdout
    assert "built x.fsvc" in text
    assert "exists" in run("build", source / "student.pt", "-o", "x.fsvc", *parts, code=2).stderr
    assert "gone.pt" in run("build", "gone.pt", code=2).stderr
    for name in SPEAKERS:
        assert name in run("inspect", "x.fsvc").stdout
    assert "student" in run("inspect", source / "student.pt").stdout
    assert "torch" in run("doctor").stdout.lower()


def test_training_commands_pass_on_what_is_wrong(tmp_path):
    assert "gone.yaml" in run("train", "student", "-c", "gone.yaml", code=2).stderr
    assert "'painter' is not one of" in run("train", "painter", "-c", "x.yaml", code=2).stderr
    (tmp_path / "nothing").mkdir()
    assert "error:" in run("prepare", "nothing", "-o", "corpus", code=2).stderr
    assert "error:" in run("choir", "out", "--singers", 0, "--no-voices", code=2).stderr
    Path("x.yaml").write_text("mel: {bins: 0}\nfeatures: {}\n")
    assert "bins" in run("prepare", "nothing", "-o", "corpus", "--config", "x.yaml", code=2).stderr
    assert "no such engine" in run("evaluate", "-m", "gone.fsvc", code=2).stderr


def test_prepare_names_what_it_could_not_use(tmp_path):
    for i in range(3):
        put(tmp_path / "singers" / "anna" / f"{i}.wav", tone(1.0))
    (tmp_path / "singers" / "anna" / "bad.wav").write_text("no")
    result = run("prepare", "singers", "-o", "corpus", "--jobs", 1, code=1)
    assert "bad.wav" in result.stderr and "corpus: " in result.stdout
    assert json.loads(Path("corpus/corpus.json").read_text())["singers"] == ["anna"]
