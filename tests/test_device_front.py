"""From samples to features, and from audio to the output, as a GPU does it, beside the processor's own way."""

import types

import engines
import numpy as np
import pytest
import test_hum
import torch
from golden import relative_rms
from test_polyphase import RECORDINGS

from fastsvc.audio import envelope, highpass, io, polyphase
from fastsvc.audio.peaks import PeakLimit
from fastsvc.audio.resample import resample, resampled_length
from fastsvc.build.passes import measure
from fastsvc.engine import conversion
from fastsvc.engine.conversion import OutputSpec
from fastsvc.engine.cuda import filters, front, joining
from fastsvc.engine.cuda.front import DeviceFront
from fastsvc.engine.cuda.joining import DeviceJoin
from fastsvc.engine.cuda.pitch import Yin
from fastsvc.engine.engine import Engine
from fastsvc.engine.level import LoudnessProfile
from fastsvc.engine.request import Request
from fastsvc.errors import ConfigError, EngineError
from fastsvc.features import hum

CPU = torch.device("cpu")
# Of units and audio of random weights, which hear the last 10 % below the half-rate as well as the rest: there soxr's
# slope and the device's differ by up to 1.6 % of full scale (tests/test_polyphase.py).
UNITS, AUDIO, VOLUME = 3e-2, 5e-3, 2e-3
CLICK = 0.15, 0.08  # the same of the shortest, whose ends are as strong there as anywhere


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """Two engines of one folder, the second with the front of a GPU."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measure, "SECONDS_OF_AUDIO", {"denoiser": 0.1, "vocoder": 0.01})
        folder = engines.build_engine(tmp_path_factory.mktemp("engine"), precision="fp32", target="cpu")
    plain, device = Engine.open(folder, "cpu"), Engine.open(folder, "cpu")
    device.device_front = DeviceFront(device.config, device.encoder, Yin(device.config, "cpu"), "cpu")
    return plain, device


@pytest.fixture(scope="module")
def song():
    """The beginning of a recording, at 44.1 kHz."""
    audio, rate_hz = io.read(next(path for path in RECORDINGS if path.name == "uma.flac"))
    assert rate_hz == 44100
    return np.ascontiguousarray(audio[0, 30000:60000])


@pytest.mark.parametrize("rate_hz", [16000, 22050, 44100, 1500])
@pytest.mark.parametrize("samples", [1, 2, 50, 3000, 30_000])
def test_filters_and_levels(rate_hz, samples):
    """What lies behind the valid samples is not read."""
    audio = np.random.default_rng(samples).normal(0.3, 0.1, samples).astype(np.float32)
    capacity, count = 30_100, torch.tensor(samples)
    there = torch.full((capacity,), 7.0)
    there[:samples] = torch.from_numpy(audio)
    want = highpass.high_passed(audio, rate_hz)
    got = filters.HighPass(rate_hz, capacity, CPU)(there, count)[:samples]
    np.testing.assert_allclose(got.numpy(), want, atol=1e-6)
    there.zero_()[:samples] = torch.from_numpy(want)
    for blocks_hz in (100, 400):
        blocks = filters.Blocks(rate_hz, capacity, CPU, blocks_hz)
        powers, valid = blocks.powers(there, count).numpy(), envelope.blocks(samples, rate_hz, blocks_hz)
        np.testing.assert_allclose(powers[:valid], envelope.powers(want, rate_hz, blocks_hz), rtol=1e-9, atol=1e-18)
        assert int(blocks.valid(count)) == valid and not powers[valid:].any()
    blocks = filters.Blocks(rate_hz, capacity, CPU)
    peaks, expected = blocks.peaks(there), envelope.peaks(want, rate_hz)
    np.testing.assert_array_equal(peaks.numpy()[: len(expected)], expected.astype(np.float32))
    lasting = filters.sustained(peaks, blocks.valid(count)).numpy()[: len(expected)]
    np.testing.assert_array_equal(lasting, envelope.sustained(expected).astype(np.float32))
    frames = -(-samples // 128)
    band, level_db = filters.LowBand(rate_hz, 128, 240, CPU)(
        torch.nn.functional.pad(there, (0, 240 * 128 - capacity), value=3.0), torch.tensor(frames * 128)
    )
    low = hum.low_band(np.pad(want, (0, frames * 128 - samples)), rate_hz, 128, frames)
    np.testing.assert_allclose(band.numpy()[: len(low.audio)], low.audio, atol=1e-6)
    np.testing.assert_allclose(level_db.numpy()[:frames], low.level_db, atol=1e-4)


@pytest.mark.parametrize("samples", [1, 2, 300, 9001])
@pytest.mark.parametrize("rate_hz", [44100, 24000, 16000, 48000, 11025])
def test_features_are_the_processors(pair, song, rate_hz, samples):
    for changes in ({}, {"high_pass": False, "normalise": True, "rms_mix_rate": 1.0, "transpose": 2}):
        request = Request("Ada", **changes)
        want, got = (one.extract(song[:samples], rate_hz, request) for one in pair)
        near(got, want, *(CLICK if samples <= 300 else (UNITS, VOLUME)))
        assert got.output_spec[:3] == want.output_spec[:3] and got.notes == want.notes
        assert got.output_spec.gain == pytest.approx(want.output_spec.gain, rel=1e-5)
        assert (got.output_spec.level is None) == (want.output_spec.level is None)
        if want.output_spec.level is not None:
            np.testing.assert_allclose(
                got.output_spec.level.powers, want.output_spec.level.powers, rtol=1e-4, atol=1e-9
            )


def near(got, want, bound, volume=2e-3):
    ours, theirs = got.features, want.features
    assert torch.equal(ours.voiced, theirs.voiced) and torch.equal(ours.unit_indices, theirs.unit_indices)
    torch.testing.assert_close(ours.f0_hz, theirs.f0_hz, rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(ours.volume, theirs.volume, rtol=volume, atol=1e-4)
    assert relative_rms(ours.units, theirs.units) < bound


def test_silence_and_full_scale(pair):
    for audio in (np.zeros(5000, np.float32), np.sign(np.sin(np.arange(5000) / 40)).astype(np.float32)):
        want, got = (one.extract(audio, 48000, Request("Ada")) for one in pair)
        near(got, want, UNITS)
        assert got.output_spec.gain == pytest.approx(want.output_spec.gain, rel=1e-5)


def test_conversions(pair, song):
    plain, device = pair
    for options in ({}, {"transpose": "auto"}, {"rate_out_hz": 16000, "transpose": -3}):
        (want, rate_hz), (got, same) = (one.convert(song[:9000], 44100, "Bert", **options) for one in pair)
        assert rate_hz == same and len(got) == len(want) and plain.transposed == device.transposed
        assert relative_rms(torch.from_numpy(got), torch.from_numpy(want)) < AUDIO
        assert plain.notes == device.notes


def test_hum_is_found_after_its_features_were_used(pair, monkeypatch):
    """Then mel and audio are computed again; without hum they are not."""
    plain, device = pair
    runs, sampler = [], type(device.sampler).many
    monkeypatch.setattr(type(device.sampler), "many", lambda self, *args: runs.append(self) or sampler(self, *args))
    clean = test_hum.voice() * test_hum.during(test_hum.SUNG)
    for lines, again in ((0, False), (test_hum.lines(50, 100, 150), True)):
        audio = (clean + lines).astype(np.float32)[: 3 * test_hum.RATE]
        recordings = [conversion.begun(one, audio, "", test_hum.RATE, Request("Ada")) for one in pair]
        assert (recordings[1].regated() is not None) == again and recordings[0].regated() is None
        near(recordings[1].settled(), recordings[0].settled(), UNITS)
        runs.clear()
        made = [torch.from_numpy(one.convert(audio, test_hum.RATE, "Ada")[0]) for one in pair]
        assert runs.count(device.sampler) == 1 + again and runs.count(plain.sampler) == 1
        assert relative_rms(*made) < AUDIO


def test_longer_recordings_are_the_same(pair, song, monkeypatch):
    _, device = pair
    want = device.extract(song[:9001], 44100, Request("Ada"))
    kept = len(device.device_front.programs.by_shape)
    monkeypatch.setattr(front, "LONGEST", 8)
    near(device.extract(song[:9001], 44100, Request("Ada")), want, 1e-5)
    assert len(device.device_front.programs.by_shape) == kept


def test_what_the_front_leaves_to_the_processor(pair, song):
    takes = pair[1].device_front.takes
    assert takes(1, 44100, Request("Ada")) and takes(front.MOST_SAMPLES, 24000, Request("Ada"))
    assert not takes(front.MOST_SAMPLES + 1, 24000, Request("Ada")) and not takes(1000, 24001, Request("Ada"))
    assert not takes(1, 192000, Request("Ada"))  # of which nothing is left
    for options in ({"resampler": "short"}, {"f0_fill": "hold"}):
        assert not takes(1000, 44100, Request("Ada", **options))
        want, got = (one.extract(song[:1000], 44100, Request("Ada", **options)) for one in pair)
        assert torch.equal(want.features.units, got.features.units)


def test_where_is_chosen_by_the_environment(monkeypatch):
    for word, expected in (("", True), ("device", True), ("soxr", False)):
        monkeypatch.setenv(polyphase.VARIABLE, word)
        assert polyphase.on_device() == expected
    monkeypatch.setenv(polyphase.VARIABLE, "cuda")
    with pytest.raises(ConfigError, match="FASTSVC_RESAMPLE"):
        polyphase.on_device()


LEVELS = ["none", "even", "loud", "soft", "peak"]


@pytest.mark.parametrize("rate_hz, out_hz, samples", [(44100, 44100, 9001), (24000, 16000, 7000), (48000, 48000, 1)])
@pytest.mark.parametrize("level", LEVELS)
def test_outputs_are_the_processors(rate_hz, out_hz, samples, level, song):
    made = resample(song, 44100, 24000)[: resampled_length(samples, rate_hz, 24000) + 77]  # frames reach past the end
    source = resample(song * (0.05 if level == "soft" else 1.0), 44100, rate_hz)[:samples]
    if level == "loud":  # a square wave, as loud as no voice is without peaks above full scale
        source = 0.9 * np.sign(np.sin(np.arange(samples) / 30 + 0.1)).astype(np.float32)
    if level in ("even", "loud", "soft"):
        profile = LoudnessProfile.of(source, rate_hz, 0.0)
    else:
        profile = PeakLimit() if level == "peak" else None
    spec, join = OutputSpec(samples, rate_hz, out_hz, 1.7, profile), DeviceJoin(24000, CPU)
    assert join.takes(spec)
    want = conversion.finished_audio(made.copy(), 24000, spec)
    for given in (made, torch.from_numpy(made)):
        got = join(given, spec)
        assert got.shape == want.shape and got.dtype == np.float32
        # An abrupt beginning is heard by both filters' slopes.
        assert np.abs(got - want).max() <= 2e-2 * max(np.abs(want).max(), 1e-3)
        assert np.square(got - want).sum() <= 3e-3**2 * np.square(want).sum()
    if level == "loud" and samples > 1:
        assert 0.9 < np.abs(got).max() < 0.99  # peaks were rounded off


def test_outputs_of_silence_and_of_damaged_weights():
    join, profile = DeviceJoin(24000, CPU), LoudnessProfile.of(np.ones(3000, np.float32), 24000, 0.0)
    spec = OutputSpec(3000, 24000, 24000, 1.0, profile)
    assert not join(np.zeros(3000, np.float32), spec).any()
    for value in (np.nan, np.inf):
        audio = np.zeros(3000, np.float32)
        audio[1000] = value
        with pytest.raises(EngineError, match="NaN or infinite"):
            join(audio, spec)
    assert not join.takes(spec._replace(quality="short")) and not join.takes(spec._replace(rate_out_hz=24001))
    assert not join.takes(spec._replace(samples=joining.MOST_SAMPLES + 1))


def test_an_output_of_no_samples(pair):
    """One sample at a lower rate: nothing is left of it, which is no fault."""
    for engine in pair:
        audio, rate_hz = engine.convert(np.full(1, 0.3, np.float32), 22050, "Ada", rate_out_hz=8000)
        assert (len(audio), rate_hz) == (0, 8000)


def test_graphs_of_many_rates_are_bounded(pair, song, monkeypatch):
    device = pair[1]
    device.device_front.programs.release()
    for rate_hz in (16000, 22050):
        device.extract(song[:3000], rate_hz, Request("Ada"))
    assert len(device.device_front.programs.by_shape) == 2
    monkeypatch.setattr(front, "MOST_HELD", 1000)
    for rate_hz in (16000, 32000):  # one that is there, and one that is not
        device.extract(song[:3000], rate_hz, Request("Ada"))
    assert [shape.rate_hz for shape in device.device_front.programs.by_shape] == [32000]


def test_a_graph_of_a_length_serves_all_its_recordings(pair, song, monkeypatch):
    """Over a stand-in of torch.cuda, with a second stream for the pitch."""
    pytest.importorskip("triton")
    from ptx.stand_in_cuda import Graph, OnTheCpu, install

    plain, replays = pair[0], []
    install(monkeypatch, types.SimpleNamespace(compile_kernels=None), 90)
    monkeypatch.setattr(Graph, "replay", lambda self: replays.append(self) or self.run())
    engine = types.SimpleNamespace(manifest=plain.manifest, config=plain.config, table=plain.table, device=CPU)
    with OnTheCpu():
        made = DeviceFront(plain.config, plain.encoder, Yin(plain.config, "cuda"), "cuda")
        for samples in (9001, 8500, 9001):
            got = made.begin(engine, song[:samples], "", 44100, Request("Ada"))
            near(got.settled(), plain.extract(song[:samples], 44100, Request("Ada")), UNITS)
    assert made.side is not None and made.programs.graphs.captured == made.yin.programs.graphs.captured == 1
    assert len(replays) == 6 and len(set(map(id, replays))) == 2
