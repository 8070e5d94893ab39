"""The options of RVC's voices: what they are where a request is silent, and where they do not apply."""

from pathlib import Path

import pytest
from command_line import run
from fake_engine import FakeEngine, settings
from recordings import put
from rvc_front import Index, RvcEngine

from fastsvc.commands import choose
from fastsvc.config import RvcConfig
from fastsvc.convert.request_hash import request_hash
from fastsvc.engine import Request, rvc_options
from fastsvc.engine.rvc_options import RvcOptions
from fastsvc.errors import CheckpointError, EngineError

INDEXED = RvcOptions(0.75, 0.33, "exact", "zero")
PITCHLESS = RvcConfig(pitch=False)


@pytest.fixture(autouse=True)
def bare(tmp_path, monkeypatch):
    """No weights of pitch networks, no engine beside."""
    monkeypatch.chdir(tmp_path)
    for variable in (choose.MODEL_VARIABLE, "FASTSVC_RMVPE"):
        monkeypatch.delenv(variable, raising=False)
    installed(monkeypatch)


def installed(monkeypatch, *methods):
    """Of the networks only those of ``methods`` are installed; rmvpe is a file that is named."""
    from fastsvc.errors import ConfigError, MissingPackageError
    from fastsvc.features.f0 import pitch_weights

    def find(method, weights=None):
        if method == "rmvpe" and not weights and "rmvpe" not in methods:
            raise ConfigError("f0 method 'rmvpe' needs its weights file", "name it")
        if method == "rmvpe" and weights and not Path(weights).exists():
            raise CheckpointError(f"{weights}: no such file of rmvpe's weights", "download it")
        if method == "fcpe" and "fcpe" not in methods:
            raise MissingPackageError("torchfcpe", "f0 method 'fcpe'")

    monkeypatch.setattr(pitch_weights, "find", find)


@pytest.mark.parametrize(
    "engine, asked, expected",
    [
        (RvcEngine(index=Index()), {}, INDEXED),
        (RvcEngine(), {}, RvcOptions(0.0, 0.5, "exact", "zero")),
        (RvcEngine(), {"index_rate": 0, "protect": 0.5}, RvcOptions(0.0, 0.5, "exact", "zero")),
        (RvcEngine(index=Index(), unvoiced="interpolated"), {}, RvcOptions(0.75, 0.5, "exact", "interpolated")),
        (RvcEngine(index=Index(), unvoiced="interpolated"), {"unvoiced": "zero"}, INDEXED),
        (RvcEngine(index=Index()), {"index_rate": 0.0, "protect": 0.1}, RvcOptions(0.0, 0.5, "exact", "zero")),
        (RvcEngine(PITCHLESS, Index()), {"index_rate": 1.0}, RvcOptions(1.0, 0.5, "exact", "zero")),
        (FakeEngine(), {}, None),
    ],
)
def test_what_an_engine_does(engine, asked, expected):
    assert rvc_options.of(engine, Request(0, **asked)) == expected


@pytest.mark.parametrize(
    "engine, asked, words",
    [
        (FakeEngine(), {"index_rate": 0.5}, r"is not a voice of RVC, so --index-rate does not apply to it \(omit it\)"),
        (
            FakeEngine(),
            {"protect": 0.5, "index_search": "exact", "unvoiced": "zero"},
            r"so --protect, --index-search and --unvoiced do not apply to it \(omit them\)",
        ),
        (
            RvcEngine(),
            {"index_rate": 0.5, "protect": 0.3},
            "so --index-rate and --protect do not apply to it .omit them, or build the engine again with --index FILE",
        ),
        (RvcEngine(), {"index_search": "nprobe"}, "holds no index, so --index-search"),
        (
            RvcEngine(PITCHLESS, Index()),
            {"protect": 0.3, "transpose": 2},
            "without pitch, so --protect and --transpose",
        ),
        (RvcEngine(PITCHLESS), {"transpose": "auto"}, "without pitch, so --transpose"),
        (RvcEngine(PITCHLESS), {"f0_method": "yin", "unvoiced": "zero"}, "without pitch, so --unvoiced and --f0 do"),
        (RvcEngine(), {"normalise": True}, "which takes recordings as they are, so --normalise does not"),
    ],
)
def test_where_they_do_not_apply(engine, asked, words):
    with pytest.raises(EngineError, match=words):
        Request(0, **asked).check(engine)


@pytest.mark.parametrize(
    "here, weights, method",
    [(("rmvpe", "fcpe"), None, "rmvpe"), (("fcpe",), None, "fcpe"), ((), None, "yin"), (("fcpe",), "w.pt", "rmvpe")],
)
def test_the_pitch_tracker(here, weights, method, monkeypatch):
    installed(monkeypatch, *here)
    Path("w.pt").touch()
    assert rvc_options.f0_method(RvcEngine(), Request(0, f0_weights=weights)) == method
    assert rvc_options.f0_method(RvcEngine(), Request(0, f0_method="pyin", f0_weights=weights)) == "pyin"
    assert rvc_options.f0_method(RvcEngine(PITCHLESS), Request(0)) is None
    assert rvc_options.f0_method(FakeEngine(), Request(0)) == FakeEngine.config.features.f0_method


def test_named_weights_that_are_missing_are_no_reason_for_another_tracker():
    with pytest.raises(CheckpointError, match="gone.pt"):
        rvc_options.f0_method(RvcEngine(), Request(0, f0_weights="gone.pt"))


def test_a_result_is_known_by_the_options_that_act(monkeypatch):
    def hashed(engine=None, **asked):
        return request_hash(engine or RvcEngine(index=Index()), settings(**asked), "wav")

    same = [{}, {"index_rate": 0.75}, {"protect": 0.33}, {"index_search": "exact"}, {"unvoiced": "zero"}]
    assert len({hashed(**asked) for asked in same}) == 1
    other = [{"index_rate": 0.5}, {"protect": 0.2}, {"index_search": "nprobe"}, {"unvoiced": "interpolated"}]
    assert len({hashed(**asked) for asked in [{}, *other]}) == 5
    assert hashed(index_rate=0.0) == hashed(index_rate=0.0, protect=0.1, index_search="nprobe")
    before = hashed()
    installed(monkeypatch, "fcpe")
    assert hashed() != before, "another tracker gives another result"


@pytest.fixture
def voice(monkeypatch):
    """`fastsvc convert` opens this engine."""
    from fastsvc.engine import Engine

    engine = RvcEngine(index=Index(), names=("Voice", "speaker 1", "speaker 2"))
    engine.table.default = 0
    engine.check_request = lambda request: request.check(engine)
    monkeypatch.setattr(Engine, "open", classmethod(lambda cls, path, **options: engine))
    Path("rvc.fsvc").mkdir()
    put(Path("a.wav"))
    return engine


def test_the_command_line_says_what_was_chosen(voice, monkeypatch):
    installed(monkeypatch, "fcpe")
    asked = ["--index-rate", 0.5, "--protect", 0.2, "--index-search", "nprobe"]
    result = run("convert", "a.wav", *asked)
    assert "speaker: Voice (the engine's default; 2 others by --spk)\npitch: fcpe\n" in result.stdout
    assert "note:" not in result.stdout
    ((*_, heard),) = voice.calls
    assert heard["f0_method"] == "fcpe"  # as the report says, too
    assert heard.items() >= {"index_rate": 0.5, "protect": 0.2, "index_search": "nprobe", "unvoiced": None}.items()
    assert "skipped 1 whose results exist" in run("convert", "a.wav", *asked).stdout
    assert "made with other options" in run("convert", "a.wav", "--index-rate", 0.25, code=1).stderr


def test_yin_comes_with_a_note(voice):
    result = run("convert", "a.wav", "--spk", 2)
    assert "speaker: speaker 2\n" in result.stdout and "pitch: yin\n" in result.stdout
    assert "note: RVC's voices were trained with the pitch of rmvpe" in result.stdout
    assert "note:" not in run("convert", "a.wav", "--spk", 2, "--f0", "yin", "--overwrite").stdout


def test_the_command_line_refuses_before_any_recording(voice):
    voice.index = None
    result = run("convert", "a.wav", "--index-rate", 0.5, code=2)
    assert result.stderr == (
        "error: rvc.fsvc holds no index, so --index-rate does not apply to it"
        " (omit it, or build the engine again with --index FILE)\n"
    )
    assert "gone.pt" in run("convert", "a.wav", "--f0-weights", "gone.pt", code=2).stderr
    assert not voice.calls


def test_tables_of_mels_are_refused_before_their_work(tmp_path):
    from fastsvc.evaluation.run import evaluate

    voice = RvcEngine(RvcConfig())
    voice.path = tmp_path / "voice.fsvc"
    with pytest.raises(EngineError, match="makes no mels to compare"):
        evaluate(voice, tmp_path / "tables", clips=1, progress=False)
    assert not (tmp_path / "tables").exists()
