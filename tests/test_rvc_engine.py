"""Engines with a voice of RVC: from recording to recording, its options, and upstream's numbers through its parts."""

import numpy as np
import pytest
import rvc_engines
import rvc_golden
import torch
from golden import relative
from test_engine import tone

import fastsvc
from fastsvc.config import RvcConfig
from fastsvc.engine import synthesis
from fastsvc.engine.cpu import sampler as cpu_sampler
from fastsvc.engine.request import Request
from fastsvc.errors import EngineError
from fastsvc.model import source, vocoders

BOUND, MATTERS = 1e-5, 1e-2


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return rvc_engines.build_engine(tmp_path_factory.mktemp("rvc"))


@pytest.fixture(scope="module")
def engine(folder):
    return fastsvc.load(folder, device="cpu")


def convert(engine, audio, speaker=0, **options):
    return engine.convert(audio, 16000, speaker, f0_method="yin", **options)[0]


@pytest.mark.parametrize("case", ["v1_40k/T3", "v1_40k/T47"])
def test_upstreams_draws_give_upstreams_audio(engine, case):
    """The engine's own parts, as it holds them after building, saving and loading."""
    golden = rvc_golden.case(case)
    row = {int(golden["sid"]): 1.0}
    prior = engine.sampler.encoder(golden["units"][0], golden["pitch"][0])
    z_p = engine.sampler.drawn(prior, golden["noise_z"][0], engine.sampler.schedules[1][0])
    z = engine.sampler.flow(z_p, engine.sampler.condition.speaker(row))
    config, generator = engine.synthesiser.config, engine.synthesiser.vocoder
    phase, start = source.frame_phase(golden["pitchf"], config), torch.zeros(1, dtype=torch.float64)
    sines = source.harmonics(golden["pitchf"], phase, start, golden["noise_source"], config)
    audio = generator(z[None], generator.source(sines.float()), engine.synthesiser.speaker(row)[None, None])
    assert relative(z, golden["z"][0]) < BOUND and relative(audio, golden["audio"]) < BOUND


@pytest.mark.parametrize("rate_hz", [16000, 44100])
@pytest.mark.parametrize("samples", [1, 500, 6001])
def test_length_is_kept_to_the_sample(engine, rate_hz, samples):
    audio, rate = engine.convert(tone(samples, rate_hz), rate_hz, 0, f0_method="yin")
    assert audio.shape == (samples,) and rate == rate_hz and np.isfinite(audio).all()


def test_the_same_seed_gives_the_same_bits(engine):
    audio = tone(8000, 16000)
    first, again, other = (convert(engine, audio, seed=seed) for seed in (3, 3, 4))
    assert (first == again).all() and np.abs(first - other).max() > MATTERS * np.abs(first).max()


def test_every_channel_of_a_recording_can_be_converted_alone(engine):
    """As convert --channels keep does: a call a channel."""
    left, right = tone(5000, 16000), tone(5000, 16000, 330.0)
    both = [convert(engine, channel) for channel in (left, right)]
    assert np.abs(both[0] - both[1]).max() > MATTERS
    np.testing.assert_allclose(convert(engine, np.stack([left, left])), both[0], atol=1e-5)


def test_mixtures_of_speakers(engine):
    """A mixture is exact: that of two copies of one speaker is the speaker; weights count by their share."""
    audio = tone(6000, 16000)
    alone, other = convert(engine, audio, 0), convert(engine, audio, 2)
    half, same = convert(engine, audio, {0: 1, 2: 1}), convert(engine, audio, {0: 2, 2: 2})
    np.testing.assert_allclose(half, same, atol=1e-6)
    for voice in (alone, other):
        assert np.abs(half - voice).max() > MATTERS * np.abs(voice).max()
    table, vectors = engine.sampler.condition, engine.synthesiser
    for part in (table, vectors):
        mixed, rows = part.speaker({0: 0.5, 2: 0.5}), [part.speaker({row: 1.0}) for row in (0, 2)]
        torch.testing.assert_close(mixed, (rows[0] + rows[1]) / 2)


def test_unvoiced_frames_sound_as_requested(engine):
    audio = np.random.default_rng(0).standard_normal(8000).astype(np.float32) * 0.05
    audio[:4000] += tone(4000, 16000)
    zero, filled = (convert(engine, audio, unvoiced=word) for word in ("zero", "interpolated"))
    assert (convert(engine, audio) == zero).all()  # nearly all voices were trained on zeros
    assert np.abs(zero - filled).max() > MATTERS * np.abs(zero).max()


def test_several_recordings_together(engine):
    request = Request(0, f0_method="yin")
    recordings = [engine.extract(tone(samples, 16000), 16000, request) for samples in (4000, 300, 9000)]
    together = engine.synthesise_many(recordings, request)
    for recording, audio in zip(recordings, together):
        (alone,) = engine.synthesise_many([recording], request)
        assert (audio == alone).all() and len(audio) == (recording.frames - 200) * 400


@pytest.mark.parametrize("block", [1, 7, 64])
def test_cutting_changes_nothing(engine, monkeypatch, block):
    request = Request(0, f0_method="yin")
    recording = engine.extract(tone(12000, 16000), 16000, request)
    (whole,) = engine.synthesise_many([recording], request)
    monkeypatch.setattr(cpu_sampler, "VOCODER_BLOCK", block)
    monkeypatch.setattr("fastsvc.engine.cpu.rvc.sampler.FLOW_BLOCK", block)
    (cut,) = engine.synthesise_many([recording], request)
    assert np.abs(cut - whole).max() < 1e-5 * np.abs(whole).max()


def test_the_margin_is_cut_where_the_vocoder_does_not_read_it(engine):
    """What the vocoder gets is the recording and its halo; the audio is as if it had got everything."""
    config, margin = engine.synthesiser.config, 100
    latent, f0_hz = torch.randn(margin + 30 + margin, config.mel.bins), torch.zeros(margin + 30 + margin)
    inner, melody, beyond = synthesis.without_margin(latent, f0_hz, margin, config)
    halo = vocoders.halo_frames(config)
    assert len(inner) == len(melody) == 30 + 2 * halo and beyond == halo * 400
    voice = engine.synthesiser.speaker({0: 1.0})
    deterministic = f0_hz + 200, torch.zeros(1, len(f0_hz) * 400, 1)
    generator = engine.synthesiser.vocoder
    source_of = generator.source(deterministic[1])
    whole = generator(latent[None], source_of, voice[None, None])[0]
    part = generator(inner[None], source_of[:, : len(inner) * 400], voice[None, None])[0]
    own = slice(margin * 400, (margin + 30) * 400)
    assert relative(part[beyond : len(part) - beyond], whole[own]) < BOUND
    for margin in (0, 3):  # shorter than the halo: nothing is cut before
        inner, melody, beyond = synthesis.without_margin(latent, f0_hz, margin, config)
        assert len(inner) == len(melody) == len(latent) and beyond == margin * 400


def test_features_of_ones_own(engine):
    """Engine.synthesise: units, pitch with zeros or filled, draws of one's own."""
    units, f0_hz = torch.randn(20, 256), torch.full((41,), 220.0)
    voiced = torch.arange(41) > 10
    volume, noise = torch.zeros(41), torch.randn(1, 41, 16)
    audio, latent = engine.synthesise(units, f0_hz, volume, 1, voiced=voiced, noise=noise)
    zeros, same = engine.synthesise(units, f0_hz * voiced, volume, 1, noise=noise)
    assert audio.shape == (41 * 400,) and latent.shape == (41, 16)
    assert (audio == zeros).all() and (latent == same).all()
    everywhere, _ = engine.synthesise(units, f0_hz, volume, 1, noise=noise)
    assert relative(everywhere, audio) > MATTERS


def test_what_such_an_engine_is(engine, folder):
    assert isinstance(engine.config, RvcConfig) and engine.steps == (1,) and engine.default_steps == 1
    assert engine.speakers[0] == "v1_40k" and len(engine.speakers) == 3
    assert engine.manifest.default_speaker == 0 and engine.manifest.vocoder.unvoiced_f0 == "zero"
    assert engine.precision == "fp32" and not engine.shares_batches and engine.warm_up(0.1) == 0
    stages = engine.sampler.timed_stages(*_small_features(engine))
    assert {name: stage().shape for name, stage in stages.items()} == {"encoder": (5, 32), "flow": (5, 16)}
    with pytest.raises(EngineError, match="2 steps are not built in, 1 are"):
        engine.convert(tone(800, 16000), 16000, 0, steps=2)
    with pytest.raises(EngineError, match="no key-shift embedding"):
        engine.convert(tone(800, 16000), 16000, 0, formant=1)


def _small_features(engine):
    frames = torch.arange(5)
    features = cpu_sampler.Features(torch.randn(5, 256), frames, torch.full((5,), 200.0), frames > 1, torch.zeros(5))
    return features, engine.sampler.condition.speaker({0: 1.0}), 1, cpu_sampler.SeededNoise(0, 16)
