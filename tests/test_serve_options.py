"""Options of requests to `fastsvc serve`, checked against the manifest before anything is decoded."""

import sys

import pytest

pytest.importorskip("fastapi")

from fastsvc.artifact.bundled import VOICES
from fastsvc.errors import ConfigError, FastsvcError
from fastsvc.serve import trackers
from fastsvc.serve.jobs.options import DEFAULTS, OptionError, checked
from fastsvc.serve.settings import ServeSettings
from fastsvc.serve.voices import Voice, Voices, checked_name


@pytest.fixture(scope="module")
def voice():
    return Voice.read("voices", "Voices", VOICES, "bundled")


def test_defaults_are_those_of_the_command(voice):
    assert checked({"speaker": "slt"}, voice) == {**DEFAULTS, "speaker": "slt"}
    assert checked({"speaker": 3, "steps": None, "seed": None}, voice)["seed"] == 0


@pytest.mark.parametrize(
    "options, field",
    [
        ({}, "speaker"),
        ({"speaker": "nobody"}, "speaker"),
        ({"speaker": 99}, "speaker"),
        ({"speaker": {"slt": -1}}, "speaker"),
        ({"speaker": {"slt": 0}}, "speaker"),
        ({"speaker": ["slt"]}, "speaker"),
        ({"speaker": {str(number): 1 for number in range(65)}}, "speaker"),
        ({"steps": 3}, "steps"),
        ({"steps": True}, "steps"),
        ({"transpose": 61}, "transpose"),
        ({"transpose": "high"}, "transpose"),
        ({"formant": 1}, "formant"),
        ({"seed": -1}, "seed"),
        ({"seed": 1.5}, "seed"),
        ({"f0": "nothing"}, "f0"),
        ({"f0_range": [500, 100]}, "f0_range"),
        ({"index_rate": 0.5}, "index_rate"),
        ({"protect": 0.2}, "protect"),
        ({"format": "exe"}, "format"),
        ({"format": "mp3", "bits": "24"}, "bits"),
        ({"format": "mp3", "rate": 12345}, "rate"),
        ({"rate": 10}, "rate"),
        ({"channels": "both"}, "channels"),
        ({"normalise": "yes"}, "normalise"),
        ({"f0_weights": "/etc/passwd"}, "f0_weights"),
    ],
)
def test_a_wrong_option_is_named(voice, options, field):
    with pytest.raises(OptionError) as raised:
        checked({"speaker": "slt", **options} if options else {}, voice)
    assert raised.value.field == field
    assert raised.value.remedy


def test_engines_have_distinct_ids_and_a_damaged_one_is_listed_with_its_error(tmp_path):
    (tmp_path / "bad").mkdir()
    (tmp_path / "a" / "voices.fsvc").parent.mkdir()
    (tmp_path / "a" / "voices.fsvc").symlink_to(VOICES)
    voices = Voices(ServeSettings(home=tmp_path, engines=(tmp_path / "bad", tmp_path / "a" / "voices.fsvc")))
    assert [voice.id for voice in voices] == ["bad", "voices", "voices-2"]
    assert voices.get("bad").error is not None
    assert voices.default().id == "voices"


@pytest.mark.parametrize("name", ["", " \n", "x" * 101, "a\u202eb", 5])
def test_names_of_voices(name):
    with pytest.raises(ConfigError):
        checked_name(name)


def test_settings_refuse_what_is_unsafe():
    for values in ({"host": "0.0.0.0"}, {"host": "::", "token": "short"}, {"max_bytes": 0}, {"keep_s": float("nan")}):  # noqa: S104
        with pytest.raises(ConfigError):
            ServeSettings(**values)
    assert "a" * 16 not in repr(ServeSettings(host="0.0.0.0", token="a" * 16))  # noqa: S104


def test_trackers_that_are_offered_are_those_that_work(monkeypatch, tmp_path):
    from fastsvc.features import f0

    def works(method):
        try:
            f0.require(method)
            return True
        except FastsvcError:
            return False

    monkeypatch.delenv("FASTSVC_RMVPE", raising=False)
    assert trackers.usable() == [method for method in f0.METHODS if works(method)]
    assert "rmvpe" not in trackers.usable()
    (tmp_path / "rmvpe.pt").touch()
    monkeypatch.setenv("FASTSVC_RMVPE", str(tmp_path / "rmvpe.pt"))
    monkeypatch.setitem(sys.modules, "librosa", None)
    assert trackers.usable() == [method for method in f0.METHODS if works(method)]
    assert "rmvpe" in trackers.usable()
    assert "pyin" not in trackers.usable()
