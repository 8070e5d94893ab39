"""--noise-scale: the deviation of what samplers draw, in every family; 1 changes no bit, 0 ignores the seed."""

import numpy as np
import pytest
import streams
import torch
from golden import relative
from test_engine_blocks import features, lowered_plan, sampler_of, tiny
from test_rvc_lowered import SMALL, random
from test_rvc_lowered import features as rvc_features
from test_rvc_lowered import sampler as rvc_sampler

from fastsvc.config import RvcConfig
from fastsvc.engine.cpu.sampler import SeededNoise, noise_from
from fastsvc.engine.request import Request
from fastsvc.model.noise import gaussian


def draws(steps, frames, seed=3, bins=80):
    return torch.stack([gaussian(seed, step, 0, frames, bins) for step in range(steps)])


def test_what_is_drawn():
    whole = gaussian(3, 2, 5, 7, 9)
    assert torch.equal(SeededNoise(3, 9)(2, 5, 12), whole)
    assert torch.equal(SeededNoise(3, 9, scale=0.25)(2, 5, 12), 0.25 * whole)
    assert torch.equal(SeededNoise(3, 9, scale=0.0)(2, 5, 12), torch.zeros(7, 9))
    assert abs(SeededNoise(1, 80, scale=0.3)(0, 0, 2000).std() - 0.3) < 0.01


@pytest.mark.parametrize("steps", [1, 2])
def test_mels_of_scaled_draws(steps):
    """Start and renoising alike: the result is that of the scaled draws, however it is cut."""
    sampler, heard = sampler_of(lowered_plan(tiny())), features(70)
    voice, given = sampler.condition.speaker({0: 1.0}), draws(steps, 70)
    for scale in (1.0, 0.5, 0.0):
        own = SeededNoise(3, 80, scale=scale)
        want = sampler(heard, voice, steps, noise_from(scale * given))
        assert torch.equal(sampler(heard, voice, steps, own), want)
        assert relative(sampler(heard, voice, steps, own, block=40), want) < 1e-5
    one, other = (sampler(heard, voice, steps, SeededNoise(seed, 80, scale=0.0)) for seed in (1, 2))
    assert torch.equal(one, other)
    assert relative(one, sampler(heard, voice, steps, SeededNoise(1, 80))) > 1e-3


def test_latents_of_rvc():
    """The factor is on RVC's own 0.66666: the latent before the flow lies about the mean by that much less."""
    config = RvcConfig(**SMALL)
    form, heard = rvc_sampler(random(config)), rvc_features(40, config)
    voice, given = form.condition.speaker({1: 1.0}), draws(1, 40, bins=config.mel.bins)
    for scale in (1.0, 0.5, 0.0):
        got = form(heard, voice, 1, SeededNoise(3, config.mel.bins, scale=scale))
        assert torch.equal(got, form(heard, voice, 1, noise_from(scale * given)))
    prior = form.encoding(heard)(0, 40)
    mean, full, half = (form.drawn(prior, scale * given[0], config.noise_scale) for scale in (0.0, 1.0, 0.5))
    torch.testing.assert_close(half - mean, 0.5 * (full - mean), rtol=1e-5, atol=1e-5)
    assert torch.equal(mean, prior.chunk(2, dim=-1)[0])


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    return streams.engine(tmp_path_factory.mktemp("noise"), steps=(1, 2))


def test_one_is_what_it_was_and_half_is_between(engine):
    audio = streams.song(0.5, 24000)
    plain, _ = engine.convert(audio, 24000, "Ada", seed=4)
    one, half, none = (engine.convert(audio, 24000, "Ada", seed=4, noise_scale=scale)[0] for scale in (1, 0.5, 0))
    assert np.array_equal(one, plain)
    assert not np.array_equal(half, plain) and not np.array_equal(half, none)


def test_at_zero_the_seed_does_not_matter_to_the_mel(engine):
    given = torch.randn(30, 6), torch.full((30,), 220.0), torch.full((30,), 0.1), "Ada"
    mels = [engine.synthesise(*given, 2, seed=seed, noise_scale=0.0)[1] for seed in (1, 2)]
    assert torch.equal(*mels)
    assert not torch.equal(engine.synthesise(*given, 2, seed=1)[1], engine.synthesise(*given, 2, seed=2)[1])


def test_recordings_together_get_what_each_gets_alone(engine):
    request = Request("Bert", seed=5, noise_scale=0.5)
    recordings = [engine.extract(streams.song(seconds, 24000), 24000, request) for seconds in (0.3, 0.5)]
    together = engine.synthesise_many(recordings, request)
    for one, audio in zip(recordings, together, strict=True):
        assert np.array_equal(engine.synthesise_many([one], request)[0], audio)
    full = engine.synthesise_many(recordings, Request("Bert", seed=5))
    assert not np.array_equal(full[0], together[0])


@pytest.mark.parametrize("scale", [0.5, 0.0])
def test_streams_are_one_pass(engine, scale):
    audio, options = streams.song(1.2, 24000), {"steps": 2, "seed": 3, "noise_scale": scale}
    as_streams = {"normalise": False, "high_pass": False, "rms_mix_rate": 1, "f0_fill": "hold", "resampler": "short"}
    want, _ = engine.convert(audio, 24000, "Bert", **options, **as_streams)
    stream = engine.stream("Bert", 24000, lookahead_ms=engine.exact_lookahead_ms(2), **options)
    assert np.abs(streams.pushed(stream, audio, [1000]) - want).max() < 1e-4 * np.abs(want).max()
    full, _ = engine.convert(audio, 24000, "Bert", **options | {"noise_scale": 1.0}, **as_streams)
    assert np.abs(full - want).max() > 1e-3 * np.abs(want).max()
