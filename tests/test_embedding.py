"""What programs hand to an engine, and get: arrays as other libraries make them, files, mixtures, bundled voices."""

import inspect
import os
import re
from pathlib import Path

import engines
import numpy as np
import pytest
import soundfile
import torch
from command_line import run
from recordings import put, tone

import fastsvc
from fastsvc.artifact import bundled
from fastsvc.engine import Engine
from fastsvc.engine.inputs import as_floats
from fastsvc.engine.speakers import Speakers
from fastsvc.errors import AudioError, EngineError, OutputError, SpeakerError

RATE = 24000


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    return fastsvc.load(engines.build_engine(tmp_path_factory.mktemp("engine")), device="cpu")


@pytest.mark.parametrize("kind, scale", [(np.int16, 2**15), (np.int32, 2**31), (np.float64, 1)])
def test_samples_of_every_type_are_full_scale_one(kind, scale):
    values = np.array([-1.0, -0.5, 0.0, 0.25, 0.5])
    for audio in ((values * scale).astype(kind), torch.from_numpy((values * scale).astype(kind))):
        floats = as_floats(audio)
        assert floats.dtype == np.float32 and floats.tolist() == values.tolist()


def test_samples_of_eight_bits_have_silence_in_the_middle():
    assert as_floats(np.array([0, 128, 192], np.uint8)).tolist() == [-1.0, 0.0, 0.5]
    for kind in (np.int8, np.uint16, np.int64, np.bool_, complex):
        with pytest.raises(AudioError, match="is of type"):
            as_floats(np.zeros(9, kind))


@pytest.mark.parametrize(
    "shape, channels", [((2, 100), 2), ((100, 2), 2), ((100, 1), 1), ((64, 3), 64), ((65, 64), 64), ((1, 0), 1)]
)
def test_channels_are_the_shorter_side(shape, channels):
    audio = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    floats = as_floats(audio)
    assert len(floats) == channels
    assert np.array_equal(floats, audio if len(audio) == channels else audio.T)


def test_an_array_of_soundfile_gives_the_same_as_ours(engine):
    audio = tone(0.2, RATE, channels=2)
    expected, _ = engine.convert(audio, RATE, "Ada")
    assert np.array_equal(engine.convert(audio.T, RATE, "Ada")[0], expected)


def test_a_file_by_its_path(engine, tmp_path):
    path = put(tmp_path / "a.wav", tone(0.2, 44100), 44100)
    audio, rate_hz = soundfile.read(path, dtype="int16")
    expected, _ = engine.convert(audio, rate_hz, "Bert")
    for name in (path, str(path)):
        result, rate_hz = engine.convert(name, speaker="Bert")
        assert rate_hz == 44100 and np.array_equal(result, expected)
    written = engine.convert_file(path, tmp_path / "new" / "b.flac", "Bert", bits="24")
    assert written == tmp_path / "new" / "b.flac"
    stored, rate_hz = soundfile.read(written)
    assert rate_hz == 44100 and np.abs(stored - expected).max() < 2**-22
    with pytest.raises(AudioError, match="no such file"):
        engine.convert(tmp_path / "none.wav", speaker="Bert")


def test_a_result_replaces_nothing_unasked(engine, tmp_path):
    path = put(tmp_path / "a.wav", tone(0.1, RATE))
    before, other = path.read_bytes(), put(tmp_path / "b.wav", tone(0.1, RATE))
    os.symlink(path, tmp_path / "link.wav")
    for out in (path, tmp_path / "link.wav"):
        with pytest.raises(OutputError, match="the recording itself"):
            engine.convert_file(path, out, "Ada", overwrite=True)
    with pytest.raises(OutputError, match="overwrite=True"):
        engine.convert_file(path, other, "Ada")
    with pytest.raises(OutputError, match=r"use one of \.wav, \.flac"):
        engine.convert_file(path, tmp_path / "c.txt", "Ada")
    assert path.read_bytes() == before == other.read_bytes()
    engine.convert_file(path, other, "Ada", overwrite=True)
    assert path.read_bytes() == before != other.read_bytes()
    slow = engine.convert_file(path, tmp_path / "c.mp3", "Ada", rate_out_hz=48000)
    assert soundfile.info(slow).samplerate == 48000


def test_a_mixture_is_written_as_on_the_command_line():
    table = Speakers(("anna", "bert", "x:y"), base=5)
    assert table.weights("anna:3, 6:1") == table.weights({"anna": 3, 6: 1}) == {0: 0.75, 1: 0.25}
    assert table.weights("anna:1,anna:1") == {0: 1.0} and table.weights("x:y") == {2: 1.0}
    assert table.name("anna:0.7,bert:0.3") == "0.7 anna + 0.3 bert"
    for bad in ("anna:-1,bert:2", "anna:x", "anna:0", ":", "carl:1"):
        with pytest.raises(SpeakerError):
            table.weights(bad)


def test_without_a_speaker_the_only_one_or_the_default_counts():
    assert Speakers(("one",)).weights(None) == {0: 1.0} and Speakers(("a", "b"), default=1).weights(None) == {1: 1.0}
    with pytest.raises(SpeakerError, match="no voice is chosen"):
        Speakers(("a", "b")).weights(None)


def test_bundled_voices_by_name(tmp_path, monkeypatch):
    opened = []
    monkeypatch.setattr(Engine, "open", classmethod(lambda cls, path, device, precision: opened.append(str(path))))
    monkeypatch.setattr(bundled, "FOLDER", tmp_path / "demo")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(EngineError, match="no engine is bundled"):
        fastsvc.load()
    for name in ("b", "a"):
        (tmp_path / "demo" / f"{name}.fsvc").mkdir(parents=True)
    for name in (None, "b", "c", "a.fsvc"):
        fastsvc.load(name)
    (tmp_path / "b").mkdir()
    fastsvc.load("b")
    (tmp_path / "demo" / "voices.fsvc").mkdir()
    assert bundled.names() == ["voices", "a", "b"], "the default is first"
    assert opened == [str(bundled.FOLDER / "a.fsvc"), str(bundled.FOLDER / "b.fsvc"), "c", "a.fsvc", "b"]


def test_the_package_has_voices():
    assert bundled.names() and bundled.engine_path(None).is_dir()
    assert "slt" in run("inspect", "voices").stdout


def test_the_page_of_the_api_runs_as_it_stands(engine, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    put(tmp_path / "song.wav", tone(0.2, 44100, channels=2), 44100)
    page = (Path(__file__).parent.parent / "docs" / "api.md").read_text(encoding="utf-8")
    page = page.replace('"slt"', '"Ada"').replace("slt:0.7,rms:0.3", "Ada:0.7,Bert:0.3")
    monkeypatch.setattr(fastsvc, "load", lambda: engine)
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    program = "\n".join(blocks)
    exec(compile(program, "docs/api.md", "exec"), {})  # noqa: S102
    said = capsys.readouterr().out
    assert len(blocks) == 5 and "nothing.wav: no such file" in said and str(engines.SPEAKERS) in said
    for name, format in (("converted.flac", "FLAC"), ("slt.wav", "WAV"), ("songs/slt.mp3", "MP3")):
        info = soundfile.info(tmp_path / name)
        assert info.format == format and info.samplerate == 44100 and info.channels == 1


def test_the_page_of_the_api_names_every_option_and_its_default():
    page = (Path(__file__).parent.parent / "docs" / "api.md").read_text(encoding="utf-8")
    for name, parameter in inspect.signature(Engine.convert).parameters.items():
        known = parameter.kind != parameter.KEYWORD_ONLY or name in ("f0_fill", "resampler")  # docs/live.md has those
        assert known or f"`{name}" in page, name
        if f"`{name}=" in page:
            shown = repr(parameter.default).replace("'", '"')
            assert f"`{name}={shown}`" in page, name
