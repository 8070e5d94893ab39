"""What a conversion is asked for, as one value; and what a result is known by."""

import dataclasses
import inspect
from dataclasses import replace

import fake_engine
import numpy as np
import pytest

from fastsvc.convert.request_hash import request_hash
from fastsvc.convert.settings import ConversionSettings
from fastsvc.engine import Engine, Request
from fastsvc.errors import ConfigError, EngineError, SpeakerError

HEARD = {"f0_method": "rmvpe", "f0_weights": "of/no.pt", "f0_range": (60, 1400), "transpose": -2, "normalise": False}
SUNG = {"speaker": {"anna": 0.75, "bert": 0.25}, "steps": 2, "formant": 0.5, "seed": 9}
WRITTEN = {"name": "n", "rate_hz": 8000, "subtype": "24", "keep_channels": True, "overwrite": True, "batch": 3}
ASKED = {
    "every": {**HEARD, **SUNG, **WRITTEN, "high_pass": False, "rms_mix_rate": 0.5},
    "none": {},
    "auto": {"speaker": 2, "transpose": "auto", "normalise": True},
}
# As results were listed before there was a Request: they count as done.
KNOWN = {
    ("none", "wav"): "eeeb1b9bf31669117ccb640c2e3cfddc",
    ("every", "wav"): "f8ecc47c5c6512fc3aa9bf3753a452dc",
    ("auto", "wav"): "9eefbb871a7335aa27e975c7e7de40ea",
    ("none", "mp3"): "322cea3595ccdb32223fb2c55580cf52",
    ("every", "mp3"): "44b662b06473e14bbdcb070c22e33227",
    ("auto", "mp3"): "21e23a76bf062a14697d5acfdc727363",
}


@pytest.mark.parametrize("asked, format", KNOWN)
def test_results_of_old_are_known(asked, format):
    assert request_hash(fake_engine.FakeEngine(), fake_engine.settings(**ASKED[asked]), format) == KNOWN[asked, format]


def test_it_is_what_convert_takes():
    """Each name, and what it is where it is left away."""
    taken = inspect.signature(Engine.convert).parameters
    ours = {field.name: field.default for field in dataclasses.fields(Request)}
    rest = {"self", "audio", "rate_hz", "progress"}
    assert taken.keys() - rest == ours.keys()
    assert all(taken[name].default == ours[name] for name in ours if name != "speaker")


def test_numbers_become_pythons_own():
    one = Request(0, steps=np.int64(2), transpose=np.float32(1.5), seed=np.uint8(3), normalise=np.bool_(True))
    assert one == Request(0, steps=2, transpose=1.5, seed=3, normalise=True)
    assert [type(value) for value in (one.steps, one.transpose, one.seed, one.normalise)] == [int, float, int, bool]
    assert Request(0, f0_range=[60, 1400]).f0_range == (60.0, 1400.0)


@pytest.mark.parametrize(
    "asked, error, words",
    [
        (Request("dora"), SpeakerError, "there is no speaker"),
        (Request("anna", steps=3), EngineError, "3 steps are not built in, 1, 2 are"),
        (Request("anna", formant=1), EngineError, "formants stay"),
        (Request("anna", f0_range=(60, 7000)), ConfigError, "tracked to 6000 Hz"),
        (Request("anna", transpose="auto"), EngineError, "does not hold the median pitch of this speaker"),
    ],
)
def test_what_one_engine_cannot(asked, error, words):
    engine = fake_engine.FakeEngine()
    engine.table.f0_hz = ()
    engine.config = replace(engine.config, condition=replace(engine.config.condition, key_shift=False))
    with pytest.raises(error, match=words):
        asked.check(engine)
    Request("anna", steps=2, transpose=3, f0_range=(60, 1400)).check(engine)


def test_a_batch_takes_one_and_has_its_rate():
    with pytest.raises(ConfigError, match="give a fastsvc.engine.Request"):
        ConversionSettings("anna")
    with pytest.raises(ConfigError, match="give the rate of its results as rate_hz"):
        ConversionSettings(Request("anna", rate_out_hz=8000))
    told = ConversionSettings(Request("anna", seed=4), rate_hz=8000).to_dict()
    assert told["speaker"] == "anna" and told["seed"] == 4 and told["rate_hz"] == 8000 and "request" not in told


def test_the_models_own_choices_count(tmp_path):
    """Asked for or left to the model: one result. Another weights file: another result."""
    engine, asked = fake_engine.FakeEngine(), fake_engine.settings
    own = engine.config.features.f0_method
    assert request_hash(engine, asked(), "wav") == request_hash(engine, asked(steps=1, f0_method=own), "wav")
    weights = tmp_path / "w.pt"
    made = []
    for content in (b"a", b"ab"):
        weights.write_bytes(content)
        made.append(request_hash(engine, asked(f0_weights=str(weights)), "wav"))
    assert made[0] != made[1]
