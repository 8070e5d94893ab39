"""Voices trained for live: an engine whose networks have a short future, in streams and on devices."""

from dataclasses import replace

import engines
import numpy as np
import pytest
import streams

from fastsvc import build
from fastsvc.config import SourceFilterConfig
from fastsvc.engine import Engine, backends
from fastsvc.engine.stream.sound import KeptSound
from fastsvc.errors import ConfigError, EngineError

AS_STREAMS = {"normalise": False, "high_pass": False, "rms_mix_rate": 1, "f0_fill": "hold", "resampler": "short"}
VOCODER = SourceFilterConfig(channels=16, blocks=2, bands=24, future_frames=0)
BLOCK = {"block_ms": 30, "seed": 3}


def checkpoints(folder) -> dict:
    features = replace(engines.ACOUSTIC.features, unit_align="hops", f0_future_frames=1)
    denoiser = replace(engines.ACOUSTIC.denoiser, layers=5, dilation_cycle=4, future_frames=2)
    acoustic = replace(engines.ACOUSTIC, mel=VOCODER.mel, features=features, denoiser=denoiser)
    content = replace(engines.CONTENT, layers=5, future_frames=2)
    return {
        "checkpoint": engines.native(folder / "student.pt", "student", acoustic),
        "vocoder": engines.native(folder / "vocoder.pt", "vocoder", VOCODER),
        "content": engines.native(folder / "recogniser.pt", "recogniser", content),
    }


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    folder = tmp_path_factory.mktemp("live_voices")
    options = {"steps": (1, 2), "progress": None, "vocoder_backend": "torch"}
    path = build.compile(out=folder / "live.fsvc", **checkpoints(folder), **options)
    return Engine.open(path, device="cpu")


@pytest.mark.parametrize("rate_hz, steps", [(24000, 1), (44100, 2)])
def test_with_a_short_lookahead_it_is_one_pass(engine, rate_hz, steps):
    lookahead_ms = engine.exact_lookahead_ms(steps)
    assert lookahead_ms == pytest.approx((3 + 2 * steps + 2) * 256 / 24)
    audio = streams.song(1.5, rate_hz)
    want, _ = engine.convert(audio, rate_hz, "Bert", steps=steps, transpose=-2, seed=3, **AS_STREAMS)
    options = BLOCK | {"lookahead_ms": lookahead_ms, "steps": steps, "transpose": -2}
    stream = engine.stream("Bert", rate_hz, **options)
    assert isinstance(stream.maker.sound, KeptSound)
    got = streams.pushed(stream, audio, [1000])
    assert np.abs(got - want).max() < 1e-4 * np.abs(want).max()
    assert np.array_equal(got, streams.pushed(engine.stream("Bert", rate_hz, **options), audio, [1, 5000, 77]))
    options["lookahead_ms"] = 0
    less = streams.pushed(engine.stream("Bert", rate_hz, **options), audio, [1000])
    assert np.abs(less - want).max() > 1e-3 * np.abs(want).max()


def test_what_comes_later_changes_nothing_before(engine):
    audio, place = streams.song(1.2, 24000), 20000
    changed = audio.copy()
    changed[place:] = 0.3 * np.random.default_rng(0).standard_normal(len(audio) - place)
    first, second = (streams.pushed(engine.stream("Ada", 24000, **BLOCK), x, [777]) for x in (audio, changed))
    latency = engine.stream("Ada", 24000, **BLOCK).latency
    before = place - round(latency.stream_ms * 24) - 1
    assert np.array_equal(first[:before], second[:before]) and not np.array_equal(first[:place], second[:place])


def test_a_change_of_voice_keeps_what_is_final(engine):
    """The vocoder's rows and answers included: earlier output stays, and both halves are those of streams alone."""
    audio, half = streams.song(1.2, 24000), 12000
    stream = engine.stream("Ada", 24000, **BLOCK)
    first = stream.push(audio[:half])
    stream.set(speaker="Bert", transpose=3)
    whole = np.concatenate([first, stream.push(audio[half:]), stream.flush()])
    plain = streams.pushed(engine.stream("Ada", 24000, **BLOCK), audio, [half])
    other = streams.pushed(engine.stream("Bert", 24000, transpose=3, **BLOCK), audio, [half])
    assert np.array_equal(whole[: len(first)], plain[: len(first)])
    assert np.abs(whole - plain)[half + 2400 :].max() > 1e-2 and len(whole) == len(audio)
    late = slice(half + 9600, len(audio))
    assert np.corrcoef(whole[late], other[late])[0, 1] > np.corrcoef(whole[late], plain[late])[0, 1]


def test_gpus_refuse_in_one_line(engine, tmp_path):
    from fastsvc.artifact.engine_folder import Artifact
    from fastsvc.engine.parts import Model

    with pytest.raises(EngineError, match="voices for live conversion do not run on a GPU yet"):
        backends.BACKENDS["cuda"](Model.of(Artifact(engine.path)))
    with pytest.raises(ConfigError, match="has no GPU kernels yet"):
        build.compile(out=tmp_path / "gpu.fsvc", target="sm_90", progress=None, **checkpoints(tmp_path))
