"""A long recording gives what one pass over it would give, and takes memory in proportion to what it must hold."""

import engines
import golden
import numpy as np
import pytest
import torch

import fastsvc
from fastsvc.engine import extraction
from fastsvc.engine.cpu import sampler as cpu_sampler

FRAMES = 3 * cpu_sampler.MEL_BLOCK // 2  # 16 s: two blocks of mel, several of audio


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    return fastsvc.load(engines.build_engine(tmp_path_factory.mktemp("long")))


@pytest.mark.slow
@pytest.mark.parametrize("steps", [1, 2])
@pytest.mark.sampled(2)
def test_in_blocks_as_in_one_pass(engine, steps, monkeypatch):
    time_s = torch.arange(FRAMES) / engine.config.mel.frame_rate_hz
    f0_hz = 200 * 2 ** torch.sin(time_s) * ((time_s % 3) > 0.4)
    told = torch.randn(FRAMES // 4, engine.config.condition.unit_channels), f0_hz, 0.1 * torch.rand(FRAMES)
    seen = []
    monkeypatch.setattr(
        cpu_sampler, "blocks", lambda *a, original=cpu_sampler.blocks: seen.append(original(*a)) or seen[-1]
    )
    audio, mel = engine.synthesise(*told, "Ada", steps, seed=3)
    assert len(seen) == 2 and all(len(cut) > 1 for cut in seen)
    monkeypatch.setattr(cpu_sampler, "MEL_BLOCK", FRAMES)
    monkeypatch.setattr(cpu_sampler, "VOCODER_BLOCK", FRAMES)
    whole_audio, whole_mel = engine.synthesise(*told, "Ada", steps, seed=3)
    assert [len(cut) for cut in seen[2:]] == [1, 1]
    assert golden.relative(mel, whole_mel) < 1e-5
    assert golden.relative(audio, whole_audio) < 1e-5


def test_an_excerpt_keeps_its_place(engine):
    """Frames 2000 … 2600 of a long mel are those of a pass that starts 40 frames earlier, with the noise of there."""
    told = cpu_sampler.Features(
        torch.randn(FRAMES, 6),
        torch.arange(FRAMES),
        torch.full((FRAMES,), 220.0),
        torch.ones(FRAMES).bool(),
        torch.rand(FRAMES),
    )
    voice = engine.sampler.condition.speaker({0: 1.0})
    whole = engine.sampler(told, voice, 1, cpu_sampler.SeededNoise(5, 80))
    first, last, halo = 2000, 2600, 40
    part = slice(first - halo, last + halo)
    cut = cpu_sampler.Features(
        told.units[part], torch.arange(680), told.f0_hz[part], told.voiced[part], told.volume[part]
    )
    draw = cpu_sampler.SeededNoise(5, 80)
    alone = engine.sampler(cut, voice, 1, lambda step, a, b: draw(step, a + first - halo, b + first - halo))
    assert golden.relative(alone[halo:-halo], whole[first:last]) < 1e-5


def test_neither_input_nor_units_are_touched_or_shared(engine):
    """Saving copies must not mean writing into what the caller gave, nor choke on what NumPy allows."""
    audio = np.random.default_rng(0).standard_normal(9000).astype(np.float32) * 0.1
    audio.flags.writeable = False
    for given, rate_hz in ((audio, 24000), (audio[::-1], 24000), (audio, 16000), (audio[::2], 44100)):
        before = given.copy()
        made, _ = engine.convert(given, rate_hz, "Ada", normalise=True)
        assert made.shape == given.shape and np.array_equal(given, before)
        assert not np.shares_memory(made, audio)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_not_finite_is_found_anywhere(bad):
    for place in (0, 700, 999):
        audio = np.zeros(1000, np.float32)
        audio[place] = bad
        with pytest.raises(fastsvc.errors.AudioError, match="not finite"):
            extraction.mono(audio, 24000)
