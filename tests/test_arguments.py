"""Every argument of the engine and of the compiler: what is of a wrong kind or out of range is one typed error, before
any work."""

import inspect
from pathlib import Path

import engines
import numpy as np
import pytest
import torch
from wrong_values import CONVERT, HUGE, INF, NAN, NO_FLAG, NO_NUMBER, NO_PATH, NO_WHOLE, NO_WORD, without

import fastsvc
from fastsvc import arguments, build
from fastsvc.engine.request import Request
from fastsvc.errors import AudioError, ConfigError, SpeakerError


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    return fastsvc.load(engines.build_engine(tmp_path_factory.mktemp("engine")), device="cpu")


WEIGHTS = [-1, -0.5, "1", NAN, INF, -INF, True, None, HUGE, [1]]
SPEAKERS = [1.9, 1.0, True, None, "", "x", "٣", "1.0", "1_0", "0x1", b"Ada", -1, 3, HUGE, "9" * 5000, [0], NAN, 1j, {}]
SPEAKERS += [np.float64(1), np.bool_(True), np.array([0, 1]), {"Ada": 0}, {"Ada": 1e308, "Bert": 1e308}, {1.5: 1.0}]
SPEAKERS += [{"Ada": 1.0, "Bert": weight} for weight in WEIGHTS]
AUDIO = [None, "x", 5, 0.5, True, [], [1, 2], [[0.1], [0.1, 0.2]], np.zeros(9, np.int64), np.zeros(9, complex)]
AUDIO += [np.array(["a"]), np.full(9, NAN), np.full(9, 1e300), np.zeros((0, 9)), np.zeros((2, 2, 2)), {}, object]
AUDIO += [torch.zeros(9, dtype=torch.bfloat16), torch.zeros(9).to_sparse(), torch.zeros(9, dtype=torch.int64)]


def told(value) -> str:
    return arguments.shown(value)


def cases(table):
    return [
        pytest.param(name, value, id=f"{name}-{told(value)}"[:60]) for name, values in table.items() for value in values
    ]


@pytest.mark.parametrize("name, value", cases(CONVERT))
def test_convert_and_hear(engine, name, value):
    call = {"audio": np.zeros(600, np.float32), "rate_hz": 24000, "speaker": 0, name: value}
    with pytest.raises(ConfigError) as caught:
        engine.convert(**call)
    assert caught.value.remedy and len(str(caught.value)) < 300
    if name != "progress":
        with pytest.raises(ConfigError) as again:
            engine.extract(call.pop("audio"), call.pop("rate_hz"), Request(**call))
        assert str(again.value) == str(caught.value)


@pytest.mark.parametrize("speaker", SPEAKERS, ids=told)
def test_speakers(engine, speaker):
    with pytest.raises(SpeakerError) as caught:
        engine.convert(np.zeros(600, np.float32), 24000, speaker)
    assert len(str(caught.value)) < 300
    with pytest.raises(SpeakerError):
        engine.synthesise(torch.zeros(2, 6), torch.zeros(5), torch.zeros(5), speaker)


@pytest.mark.parametrize("audio", AUDIO, ids=told)
@pytest.mark.filterwarnings("error")
def test_audio(engine, audio):
    if isinstance(audio, list) and not audio:
        assert engine.convert(audio, 24000, 0)[0].shape == (0,)  # nothing in, nothing out
        return
    with pytest.raises(AudioError):
        engine.convert(audio, 24000, 0)


FEATURES = {
    "units": ["x", None, 5.0, torch.full((4, 6), NAN), torch.zeros(4, 5), torch.zeros(0, 6), [[1.0], [1.0, 2.0]]],
    "f0_hz": ["x", None, 5.0, [NAN] * 9, [INF] * 9, torch.zeros(8), torch.zeros(9, 1), ["a"] * 9],
    "volume": ["x", None, [NAN] * 9, torch.zeros(8)],
    "voiced": ["x", torch.zeros(8)],
    "noise": ["x", 5, torch.zeros(1, 9, 79), torch.zeros(2, 8, 80), torch.zeros(1, 9, 80), torch.full((2, 9, 80), NAN)],
    "mel": [torch.zeros(9, 80)],  # it makes mels from noise
    "steps": CONVERT["steps"],
    "seed": CONVERT["seed"],
    "formant": CONVERT["formant"],
}


@pytest.mark.parametrize("name, value", cases(FEATURES))
def test_synthesise(engine, name, value):
    call = {"units": torch.zeros(4, 6), "f0_hz": torch.zeros(9), "volume": torch.zeros(9), "speaker": 0, "steps": 2}
    with pytest.raises(ConfigError):
        engine.synthesise(**{**call, name: value})


@pytest.mark.parametrize(
    "name, value",
    cases(
        {
            "seconds": [*NO_NUMBER, -1],
            "groups": ["some", 5, [5], [[0]], [["x"]], [[]], [[1.5]]],
            "steps": [5, "12", [1.0]],
        }
    ),
)
def test_warm_up(engine, name, value):
    with pytest.raises(ConfigError):
        engine.warm_up(**{"seconds": 0.01, name: value})


def test_what_numpy_calls_numbers_is_taken(engine):
    audio = np.zeros(600, np.float32)
    numpy = {"steps": np.int64(1), "transpose": np.float32(2), "formant": np.int32(0), "seed": np.uint64(2**64 - 1)}
    made, rate_hz = engine.convert(audio, np.int32(24000), np.int64(1), **numpy, normalise=np.bool_(False))
    same, _ = engine.convert(audio, 24000, 1, steps=1, transpose=2, seed=2**64 - 1, normalise=False)
    assert type(rate_hz) is int and np.array_equal(made, same)
    assert engine.table.weights({"Ada": np.float32(1), np.int8(1): 3}) == {0: 0.25, 1: 0.75}


def test_loading():
    for name, values in {
        "path": NO_PATH,
        "device": [*NO_WORD, "gpu", "cuda:", "cuda:x", "cuda:-1", "cuda:1 ", "mps"],
    }.items():
        for value in values:
            with pytest.raises(ConfigError):
                fastsvc.load(**{"path": "gone.fsvc", "device": "cpu", name: value})
    for name in ("precision", "vocoder_backend"):
        for value in NO_WORD:
            with pytest.raises(ConfigError):
                fastsvc.engine.Engine.open("gone.fsvc", **{name: value})


PATHS = dict.fromkeys(("out", "config", "vocoder", "content", "speaker_vectors", "index"), NO_PATH)
BUILD = {
    "checkpoint": [*NO_PATH, None],
    **PATHS,
    "steps": ["1,2", 5, (), (0,), (1001,), (1.5,), ("1",), (True,), (HUGE,)],
    "precision": [*NO_WORD, "fp8"],
    "store": [*NO_WORD, "int4"],
    "target": [5, None, "gpu", "sm_75", "sm_9", ["sm_90"]],
    "force": NO_FLAG,
    "progress": [5, "x"],
    "on_read": [5, "x", True],
    "era": [5, "x", []],
    "sampler": NO_WORD,
    "depth": [*without(NO_WHOLE, None), 0, 1],
    "speaker_f0": [5, [], True],
    "vocoder_backend": NO_WORD,
}


def test_compile(engine):
    given = engine.path.parent / "student.pt"
    assert set(BUILD) == set(inspect.signature(build.compile).parameters)
    for name, values in BUILD.items():
        for value in values:
            with pytest.raises(ConfigError):
                build.compile(**{"checkpoint": given, "out": "never.fsvc", "progress": None, name: value})
    assert not Path("never.fsvc").exists()
