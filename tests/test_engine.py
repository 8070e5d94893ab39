"""The opened engine: lengths, rates, speakers, levels, and clear errors for everything else."""

import json

import engines
import golden
import numpy as np
import pytest
import torch

import fastsvc
from fastsvc.engine import extraction
from fastsvc.engine.request import Request
from fastsvc.engine.speakers import Speakers
from fastsvc.errors import AudioError, ConfigError, EngineError, SpeakerError

MATTERS = 1e-2  # what an input moves the audio by at least (tests/test_engines.py); two ways agree to 1e-5


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    torch.manual_seed(0)
    return engines.build_engine(tmp_path_factory.mktemp("engine"))


@pytest.fixture(scope="module")
def engine(folder):
    return fastsvc.load(folder, device="cpu")


def off(got, want) -> float:
    return golden.relative_rms(torch.from_numpy(got), torch.from_numpy(want))


def tone(samples, rate_hz, f0_hz=220.0):
    t = np.arange(samples) / rate_hz
    return (0.3 * np.sin(2 * np.pi * f0_hz * t) + 0.1 * np.sin(4 * np.pi * f0_hz * t)).astype(np.float32)


@pytest.mark.parametrize("rate_hz", [8000, 22050, 24000, 44100, 96000])
@pytest.mark.parametrize("samples", [1, 2, 127, 6001])
def test_length_is_kept_to_the_sample(engine, rate_hz, samples):
    audio, rate = engine.convert(tone(samples, rate_hz), rate_hz, "Ada")
    assert audio.shape == (samples,) and rate == rate_hz and audio.dtype == np.float32
    assert np.isfinite(audio).all()


def test_empty_silent_stereo_and_tensors(engine):
    assert engine.convert(np.zeros(0, np.float32), 24000, 0)[0].shape == (0,)
    with pytest.raises(AudioError, match="holds no samples"):
        engine.extract(np.zeros(0, np.float32), 24000, Request(0))
    silent, _ = engine.convert(np.zeros(3000, np.float32), 24000, 0)
    assert silent.shape == (3000,) and np.isfinite(silent).all()
    left = tone(3000, 24000)
    want, _ = engine.convert(left, 24000, 0)
    assert off(silent, want) > MATTERS
    for same in (np.stack([left, left]), torch.from_numpy(left), left.astype(np.float64)):
        np.testing.assert_allclose(engine.convert(same, 24000, 0)[0], want, atol=1e-6)


def test_rate_out(engine):
    audio, rate = engine.convert(tone(4411, 44100), 44100, "Bert", rate_out_hz=16000)
    assert rate == 16000 and audio.shape == (1600,)


def test_seed_speaker_steps_and_transposition_matter(engine):
    audio = tone(6000, 24000)
    base, _ = engine.convert(audio, 24000, "Ada")
    np.testing.assert_array_equal(engine.convert(audio, 24000, "Ada")[0], base)
    for change in ({"seed": 1}, {"steps": 2}, {"transpose": 5}):
        assert off(engine.convert(audio, 24000, "Ada", **change)[0], base) > MATTERS, change
    for speaker in ("Bert", "Cleo", {"Ada": 1, "Bert": 1}):
        assert off(engine.convert(audio, 24000, speaker)[0], base) > MATTERS, speaker


def test_auto_transposition_goes_to_the_speakers_median(engine):
    audio = tone(24000, 24000, f0_hz=222.0)
    engine.convert(audio, 24000, "Ada", transpose="auto")
    assert engine.transposed == -12
    engine.convert(audio, 24000, {"Ada": 1, "Bert": 1}, transpose="auto")
    assert engine.transposed == -6
    engine.convert(np.zeros(2400, np.float32), 24000, "Ada", transpose="auto")
    assert engine.transposed == 0


def test_level_normalisation_is_undone(engine):
    audio = tone(6000, 24000)
    own = {"rms_mix_rate": 1.0}  # the model's own level
    loud, _ = engine.convert(audio, 24000, 0, normalise=True, **own)
    quiet, _ = engine.convert(audio / 8, 24000, 0, normalise=True, **own)
    assert off(quiet * 8, loud) < 1e-5
    assert off(8 * engine.convert(audio / 8, 24000, 0, normalise=False, **own)[0], loud) > MATTERS
    assert extraction.levelled(audio, 0.95, 24000)[0].max() == pytest.approx(0.95, rel=1e-3)
    assert extraction.levelled(np.zeros(5, np.float32), 0.95, 24000)[1] == 1.0


def test_progress_rises_to_one(engine):
    seen = []
    engine.convert(tone(48000, 24000), 24000, 0, progress=seen.append)
    assert seen == sorted(seen) and seen[-1] == pytest.approx(1.0) and len(seen) >= 3
    assert set(engine.timings) == {"features", "mel", "vocoder"}


def test_warm_up_and_facts(engine):
    engine.warm_up(0.1)
    assert engine.speakers == engines.SPEAKERS and engine.steps == (1, 2) and engine.rate_hz == 24000


@pytest.mark.parametrize(
    "call, error, part",
    [
        ({"audio": np.full(100, np.nan, np.float32)}, AudioError, "not finite"),
        ({"audio": np.zeros((2, 3, 4), np.float32)}, AudioError, "shape"),
        ({"audio": np.zeros((100, 65), np.float32)}, AudioError, "more than 64 channels"),
        ({"audio": np.zeros(100, np.int64)}, AudioError, "of type int64"),
        ({"audio": "a.wav"}, AudioError, "omit rate_hz"),
        ({"speaker": "Adda"}, SpeakerError, "Ada"),
        ({"speaker": 3}, SpeakerError, "from 0 to 2"),
        ({"speaker": {"Ada": 0}}, SpeakerError, "weights"),
        ({"speaker": "Ada:1,Bert:x"}, SpeakerError, "not a mixture"),
        ({"speaker": None}, SpeakerError, "0 Ada, 1 Bert, 2 Cleo"),
        ({"steps": 3}, EngineError, "1, 2"),
        ({"transpose": "up"}, ConfigError, "semitones"),
        ({"transpose": float("nan")}, ConfigError, "semitones"),
        ({"f0_method": "ear"}, ConfigError, "ear"),
        ({"rate_hz": 0}, ConfigError, "sample rate"),
        ({"rate_hz": 24000.5}, ConfigError, "sample rate"),
    ],
)
def test_bad_calls(engine, call, error, part):
    call = {"audio": tone(600, 24000), "rate_hz": 24000, "speaker": 0, **call}
    with pytest.raises(error, match=part):
        engine.convert(call.pop("audio"), call.pop("rate_hz"), call.pop("speaker"), **call)


def test_bad_features(engine):
    good = {"units": torch.zeros(4, 6), "f0_hz": torch.zeros(9), "volume": torch.zeros(9), "speaker": 0}
    assert engine.synthesise(**good)[1].shape == (9, 80)
    for change in ({"units": torch.zeros(4, 5)}, {"volume": torch.zeros(8)}, {"f0_hz": torch.zeros(0)}):
        with pytest.raises(ConfigError):
            engine.synthesise(**{**good, **change})


def test_speaker_table():
    table = Speakers(["Ann", "ann", "7", "Dora"], base=1, f0_hz=[100, 200, 0, 400])
    assert [table.row(s) for s in ("Ann", "ann", "dora", "7", 1, "2", 4)] == [0, 1, 3, 2, 0, 1, 3]
    assert table.weights({"Ann": 1, 4: 3}) == {0: 0.25, 3: 0.75}
    assert table.median_f0_hz({0: 0.5, 3: 0.5}) == pytest.approx(200)
    assert table.median_f0_hz({2: 1.0}) is None
    for bad in ("ANN", 0, 5, True, None, 1.5j):
        with pytest.raises(SpeakerError):
            table.row(bad)


def test_without_parts(tmp_path):
    path = engines.build_engine(tmp_path, content=None)
    with pytest.raises(EngineError, match="--content"):
        fastsvc.load(path).convert(tone(600, 24000), 24000, 0)
    path = engines.build_engine(tmp_path, vocoder=None, content=None, force=True)
    engine = fastsvc.load(path)
    engine.warm_up(0.1)
    assert engine.synthesise(torch.zeros(1, 6), torch.zeros(3), torch.zeros(3), 0)[0] is None
    with pytest.raises(EngineError, match="--vocoder"):
        engine.convert(tone(600, 24000), 24000, 0)


def test_no_such_device(folder):
    with pytest.raises(EngineError, match="device"):
        fastsvc.load(folder, device="cuda")


def test_manifest_whose_config_is_not_that_of_the_weights(folder, tmp_path):
    import shutil

    copy = tmp_path / "copy.fsvc"
    shutil.copytree(folder, copy)
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest["acoustic"]["denoiser"]["layers"] = 4
    (copy / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(EngineError, match="conv.weight"):
        fastsvc.load(copy)
    manifest["acoustic"]["denoiser"]["layers"] = "many"
    (copy / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(EngineError, match="damaged"):
        fastsvc.load(copy)


def test_inspecting_an_engine_needs_no_torch(folder):
    import subprocess
    import sys

    code = f"import sys; from fastsvc.commands.inspect import describe; print(describe({str(folder)!r}));" + (
        "assert 'torch' not in sys.modules"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr
    assert "Cleo (median 330 Hz)" in result.stdout and "all as the manifest says" in result.stdout


def test_doctor_names_every_backend_and_why_it_does_not_run():
    from fastsvc.commands.doctor import report

    text = report()
    for name in ("cpu", "cuda", "tensorrt", "instructions", "driver"):
        assert any(line.startswith(name) for line in text.splitlines())
    if not torch.cuda.is_available():
        assert "cuda          does not run: " in text


def test_modes_mix(engine):
    """Calls inside and outside inference mode share the denoiser's buffers."""
    level = engine.sampler.schedules[1][0]
    net = engine.sampler.denoiser
    engine.convert(tone(600, 24000), 24000, 0)
    with torch.no_grad():
        assert net(torch.zeros(500, 80), level, net.prepare(torch.zeros(500, 8))).shape == (500, 80)
    engine.convert(tone(600, 24000), 24000, 0)
