"""Every argument of the public functions: what is of a wrong kind or out of range is one typed error, before any work,
and the command line refuses the same values."""

import inspect
import math
from pathlib import Path

import engines
import numpy as np
import pytest
import torch

import fastsvc
from fastsvc import arguments, build, training
from fastsvc.convert import run as batch
from fastsvc.data import choir, prepare, pseudo
from fastsvc.engine.request import Request
from fastsvc.errors import AudioError, ConfigError, SpeakerError
from fastsvc.evaluation import run as evaluation

NAN, INF = math.nan, math.inf
HUGE = 10**5000  # of more digits than Python writes
NO_WHOLE = ["1", 1.0, 1.5, True, NAN, None, [1], HUGE, -HUGE, np.float32(1), np.bool_(True), torch.tensor(1.5)]
NO_NUMBER = ["x", "1", True, NAN, INF, -INF, [1.0], HUGE, 1j, np.nan, b"1", {}]
NO_FLAG = [0, 1, "yes", NAN, []]
NO_PATH = [5, b"x", "", "a\0b", 1.5, [], True]
NO_WORD = ["x", 5, None, ["yin"], True, HUGE]


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    return fastsvc.load(engines.build_engine(tmp_path_factory.mktemp("engine")), device="cpu")


def without(values, *allowed):
    return [value for value in values if not any(value is one for one in allowed)]


CONVERT = {
    "rate_hz": [*NO_WHOLE, 0, 999, 1_000_001, -44100],
    "steps": [*without(NO_WHOLE, None), 0, -1, 1001],
    "transpose": [*NO_NUMBER, "Auto", 61, -60.5, None, np.array([1.0, 2.0])],
    "formant": [*NO_NUMBER, 12.5, -13, None],
    "seed": [*NO_WHOLE, -1, 2**64],
    "f0_method": without(NO_WORD, None),
    "f0_weights": NO_PATH,
    "f0_range": [
        5,
        "x",
        "50:1100",
        True,
        [],
        (50,),
        (50, 60, 70),
        (1100, 50),
        (50, 50),
        (0, 1100),
        (50, NAN),
        (-1, INF),
    ],
    "rate_out_hz": [*without(NO_WHOLE, None), 0, 999, 1_000_001],
    "normalise": NO_FLAG,
    "high_pass": [*NO_FLAG, None],
    "rms_mix_rate": [*NO_NUMBER, -0.01, 1.01, None],
    "progress": [5, "x", True],
}
WEIGHTS = [-1, -0.5, "1", NAN, INF, -INF, True, None, HUGE, [1]]
SPEAKERS = [1.9, 1.0, True, None, "", "x", "٣", "1.0", "1_0", "0x1", b"Ada", -1, 3, HUGE, "9" * 5000, [0], NAN, 1j, {}]
SPEAKERS += [np.float64(1), np.bool_(True), np.array([0, 1]), {"Ada": 0}, {"Ada": 1e308, "Bert": 1e308}, {1.5: 1.0}]
SPEAKERS += [{"Ada": 1.0, "Bert": weight} for weight in WEIGHTS]
AUDIO = [None, "x", 5, 0.5, True, [], [1, 2], [[0.1], [0.1, 0.2]], np.zeros(9, np.int16), np.zeros(9, complex)]
AUDIO += [np.array(["a"]), np.full(9, NAN), np.full(9, 1e300), np.zeros((0, 9)), np.zeros((2, 2, 2)), {}, object]
AUDIO += [torch.zeros(9, dtype=torch.bfloat16), torch.zeros(9).to_sparse(), torch.zeros(9, dtype=torch.int32)]


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
    for name, values in {"path": [*NO_PATH, None], "device": [*NO_WORD, "gpu", "cuda:0"]}.items():
        for value in values:
            with pytest.raises(ConfigError):
                fastsvc.load(**{"path": "gone.fsvc", "device": "cpu", name: value})
    for name in ("precision", "vocoder_backend"):
        for value in NO_WORD:
            with pytest.raises(ConfigError):
                fastsvc.engine.Engine.open("gone.fsvc", **{name: value})


PATHS = dict.fromkeys(("out", "config", "vocoder", "content", "speaker_vectors"), NO_PATH)
BUILD = {
    "checkpoint": [*NO_PATH, None],
    **PATHS,
    "steps": ["1,2", 5, (), (0,), (1001,), (1.5,), ("1",), (True,), (HUGE,)],
    "precision": [*NO_WORD, "fp8"],
    "target": [5, None, "gpu", "sm_75", "sm_9", ["sm_90"]],
    "force": NO_FLAG,
    "progress": [5, "x"],
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


REQUEST = {
    name: CONVERT[name]
    for name in (
        "steps",
        "transpose",
        "formant",
        "seed",
        "f0_method",
        "f0_weights",
        "f0_range",
        "rate_out_hz",
        "normalise",
        "high_pass",
        "rms_mix_rate",
    )
}
SETTINGS = {
    "rate_hz": CONVERT["rate_out_hz"],
    "subtype": ["8", 16, True],
    "keep_channels": NO_FLAG,
    "overwrite": NO_FLAG,
    "batch": [*NO_WHOLE, 0, -1],
}
PREPARE = {
    "dataset": [*NO_PATH, None],
    "out": [*NO_PATH, None],
    "jobs": [*NO_WHOLE, 0, 1025],
    "seed": CONVERT["seed"],
    "valid": [*NO_NUMBER, -0.1, 1.0],
    "test": [*NO_NUMBER, -0.1, 1.0],
    "max_seconds": [*NO_NUMBER, 0.5, 1e9],
    "peak": [*NO_NUMBER, 0.0, 1.1],
    "f0_source": NO_WORD,
    "progress": NO_FLAG,
}
CHOIR = {"out": PREPARE["out"], "minutes": [*NO_NUMBER, 0, -1], "seed": CONVERT["seed"], "jobs": [0, "2", 1.0, True]}
EVALUATE = {
    "out": PREPARE["out"],
    **dict.fromkeys(("teacher", "recogniser", "verifier", "recordings"), NO_PATH),
    "clips": [*NO_WHOLE, -1],
    "seed": CONVERT["seed"],
    "progress": NO_FLAG,
}


def test_batches_corpora_trainings_and_evaluations(tmp_path):
    def refused(call, table, **good):
        for name, values in table.items():
            for value in values:
                with pytest.raises(ConfigError) as caught:
                    call(**{**good, name: value})
                assert "gone" not in str(caught.value), "it is refused for something else"

    refused(Request, REQUEST, speaker=0)
    refused(batch.Settings, SETTINGS, request=Request(0))
    refused(prepare.prepare, PREPARE, dataset="gone", out=tmp_path / "never")
    refused(choir.fill, CHOIR, out=tmp_path / "never", singers=choir.roster(1, 0, False), minutes=1.0, seed=0)
    refused(choir.roster, {"count": [*NO_WHOLE, -1], "seed": CONVERT["seed"], "voices": NO_FLAG}, count=1, seed=0)
    refused(
        pseudo.add_pseudo_labels, {"clusters": [*NO_WHOLE, 1], "seed": CONVERT["seed"]}, corpus_dir="gone", clusters=2
    )
    refused(prepare.add_units, {"corpus_dir": NO_PATH, "progress": NO_FLAG}, corpus_dir="gone", encoder=None)
    kinds = {"kind": NO_WORD, "config_path": [*NO_PATH, None], "resume": NO_FLAG, "out": NO_PATH}
    refused(training.run, kinds, kind="student", config_path="gone.yaml")
    refused(evaluation.evaluate, EVALUATE, model="gone.fsvc", out=tmp_path / "never")
    refused(evaluation.evaluate_config, {"config": [*NO_PATH, None]}, config="gone", out=tmp_path / "never")
    assert not list(tmp_path.iterdir())
