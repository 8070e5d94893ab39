"""Where `fastsvc convert` puts results: a named file, standard output, names with the voice's in them."""

import io
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner
from command_line import run
from fake_engine import FakeEngine
from recordings import put, tone

from fastsvc.artifact import engine_folder
from fastsvc.cli import main
from fastsvc.commands import choose
from fastsvc.convert import standard_streams
from fastsvc.convert.report import DONE, ConversionReport, Entry
from fastsvc.engine import Engine


@pytest.fixture(autouse=True)
def fake(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(choose.MODEL_VARIABLE, raising=False)
    engine = FakeEngine()
    monkeypatch.setattr(Engine, "open", classmethod(lambda cls, path, **options: engine))
    manifest = SimpleNamespace(speakers=engine.speakers, speaker_base=0, speaker_f0_hz=(), default_speaker=None)
    monkeypatch.setattr(engine_folder, "Artifact", lambda path: SimpleNamespace(manifest=manifest))
    Path("fake.fsvc").mkdir()
    put(tmp_path / "a.wav", tone(0.1))
    return engine


def piped(*arguments, given=None, code=0):
    """The bytes on standard output, and the text on standard error."""
    result = CliRunner().invoke(main, ["convert", *arguments, "--spk", "anna"], input=given)
    assert result.exit_code == code, result.stderr
    return result.stdout_bytes, result.stderr


def audio_of(content):
    audio, rate_hz = soundfile.read(io.BytesIO(content) if isinstance(content, bytes) else content)
    assert rate_hz == 24000
    return audio


def names(folder="converted"):
    return sorted(path.name for path in Path(folder).glob("[!.]*"))


@pytest.mark.parametrize(
    "out, format", [("b.wav", "WAV"), ("new/b.flac", "FLAC"), ("B.MP3", "MP3"), ("new/b.ogg", "OGG")]
)
def test_one_result_has_the_name_and_format_of_out(out, format):
    said = run("convert", "a.wav", "-o", out, "--spk", "anna").stdout
    assert soundfile.info(out).format == format and out in said and "is written as" not in said
    assert "its results exist" not in said and "skipped 1" in run("convert", "a.wav", "-o", out, "--spk", "anna").stdout


def test_a_named_result_never_replaces_what_it_should_not(tmp_path):
    before = Path("a.wav").read_bytes()
    for out in ("a.wav", "./a.wav"):
        assert "the recording itself" in run("convert", "a.wav", "-o", out, "--overwrite", "--spk", 0, code=2).stderr
    put(tmp_path / "b.wav", tone(0.2))
    assert "b.wav exists" in run("convert", "a.wav", "-o", "b.wav", "--spk", 0, code=1).stderr
    assert Path("a.wav").read_bytes() == before and soundfile.info("b.wav").frames == 4800


def test_a_name_is_for_one_result(tmp_path):
    put(tmp_path / "in" / "c.wav")
    assert "there are 2 inputs" in run("convert", "a.wav", "in", "-o", "b.wav", "--spk", 0, code=2).stderr
    assert "in is a folder" in run("convert", "in", "-o", "b.wav", "--spk", 0, code=2).stderr
    asked = "convert", "a.wav", "-o", "b.wav", "--format", "flac", "--spk", 0
    assert "b.wav is to be wav by its name, and flac by --format" in run(*asked, code=2).stderr
    Path("old.wav").mkdir()  # a folder stays a folder, whatever its name
    run("convert", "in", "-o", "old.wav", "--format", "flac", "--spk", 0)
    assert names("old.wav") == ["c.flac"]


def test_from_pipe_to_pipe():
    content, said = piped("-", "-o", "-", given=Path("a.wav").read_bytes())
    assert np.abs(audio_of(content) + audio_of("a.wav") / 2).max() <= 2**-15
    assert "[1/1] - -> -: 0.10 s" in said and "converted 1 of 1" in said
    assert names(".") == ["a.wav", "fake.fsvc"]
    content, said = piped("a.wav", "-o", "-", "--format", "flac", "-q")
    assert content[:4] == b"fLaC" and said == ""
    put(Path("b.flac"), tone(0.1))
    assert piped("b.flac", "-o", "-", "--format", "same", "-q")[0][:4] == b"fLaC"
    assert piped("-", "-o", "-", "--format", "same", given=content)[0][:4] == b"RIFF"


def test_from_a_pipe_to_a_file_or_a_folder():
    given = Path("a.wav").read_bytes()
    piped("-", "-o", "b.flac", given=given)
    piped("-", given=given)
    assert soundfile.info("b.flac").frames == 2400 and names() == ["stdin.wav"]


def test_a_bad_pipe_is_named_and_nothing_comes_out(tmp_path):
    content, said = piped("-", "-o", "-", given=b"no recording " * 50, code=1)
    assert content == b"" and "failed: -: not an audio file" in said and str(standard_streams.NAME) not in said
    content, said = piped("-", "-o", "-", given=b"", code=1)
    assert content == b"" and "failed: -: the file is empty" in said


def test_pipes_are_for_one_recording(tmp_path, monkeypatch):
    assert "there are more inputs" in piped("-", "a.wav", "-o", "-", given=b"x", code=2)[1]
    put(tmp_path / "in" / "c.wav")
    assert "in is a folder" in piped("in", "-o", "-", code=2)[1]
    monkeypatch.setattr("fastsvc.screen.Steady.isatty", lambda self: True)
    assert "to the terminal" in piped("a.wav", "-o", "-", code=2)[1]


def test_results_named_by_voice(tmp_path):
    put(tmp_path / "in" / "b.c.wav")
    for spk in (0, "carla"):
        run("convert", "a.wav", "in", "--name-by", "voice", "--spk", spk)
    assert names() == ["a_anna.wav", "a_carla.wav", "b.c_anna.wav", "b.c_carla.wav"]
    run("convert", "a.wav", "--name-by", "voice", "--spk", "anna:0.7,bert:0.3", "-o", "mix", "--format", "flac")
    assert names("mix") == ["a_0.7 anna + 0.3 bert.flac"]
    run("convert", "a.wav", "--name-by", "voice", "--spk", 0, "-o", ".")  # beside the source, without a tag more
    assert "a_anna.wav" in names(".")


@pytest.mark.parametrize(
    "seconds, convert_s, text", [(3, 0.5, "6.0 ×"), (1, 4, "0.25 ×"), (700, 2, "350 ×"), (0, 0, "0.00 ×")]
)
def test_times_real_time_is_speed(seconds, convert_s, text, capsys):
    from fastsvc.commands.show import Show

    report = ConversionReport([Entry("a", "b", DONE, seconds=seconds, timings_s={"convert": convert_s})], 1)
    Show(1, 0).summary(report)
    assert f"of audio at {text} real time" in capsys.readouterr().out
    assert report.real_time_factor == (convert_s / seconds if seconds else 0)
