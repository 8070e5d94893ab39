"""Streams of every family: RVC's voices, HuBERT as encoder, other vocoders, engines built before."""

from dataclasses import replace

import engines
import faiss_files
import numpy as np
import pytest
import rvc_engines
import streams
import test_hubert_engine
import vocoders

import fastsvc
from fastsvc.config import SourceFilterConfig
from fastsvc.engine import rvc_front
from fastsvc.engine.stream import reach

INDEX_USES = (0.0, 0.5), (1.0, 0.5), (1.0, 0.1)  # index_rate, protect
OPTIONS = {"block_ms": 80, "lookahead_ms": 80}


def same_for_any_cut(engine, speaker, rate_hz=24000, seconds=0.9, **options) -> np.ndarray:
    audio, options = streams.song(seconds, rate_hz), OPTIONS | options
    whole = streams.pushed(engine.stream(speaker, rate_hz, **options), audio, [len(audio)])
    again = streams.pushed(engine.stream(speaker, rate_hz, **options), audio, [1003, 17, 480])
    assert len(whole) == len(audio) and np.array_equal(whole, again) and np.isfinite(whole).all()
    assert np.abs(whole).max() > 1e-4
    return whole


@pytest.mark.slow
@pytest.mark.parametrize("name, options", [("v1_40k", {"f0_method": "yin", "transpose": 3})])
def test_voices_of_rvc(tmp_path, name, options):
    engine = fastsvc.load(rvc_engines.build_engine(tmp_path, name), device="cpu")
    assert engine.exact_lookahead_ms() is None
    zero = same_for_any_cut(engine, 0, unvoiced="zero", **options)
    filled = same_for_any_cut(engine, 0, unvoiced="interpolated", **options)
    assert np.abs(zero - filled).max() > 1e-3 * np.abs(zero).max()


@pytest.mark.slow
@pytest.mark.long
def test_the_index_and_its_protection_act_in_a_stream(tmp_path):
    engine = fastsvc.load(rvc_engines.build_engine(tmp_path, index=faiss_files.added(256)), device="cpu")
    options = {"f0_method": "yin", "seconds": 1.4, "unvoiced": "zero"}  # with a rest
    results = [same_for_any_cut(engine, 0, **options, index_rate=rate, protect=protect) for rate, protect in INDEX_USES]
    least = 1e-3 * np.abs(results[0]).max()
    for i, one in enumerate(results):
        assert all(np.abs(one - other).max() > least for other in results[:i])


@pytest.mark.slow
@pytest.mark.parametrize("rate_hz", [16000, 44100])
def test_a_stream_of_rvc_that_sees_all_is_one_pass(tmp_path, monkeypatch, rate_hz):
    """Where the window holds the whole recording, whose ends are silent, and offline margins are left out."""
    engine = fastsvc.load(rvc_engines.build_engine(tmp_path), device="cpu")
    audio = streams.song(0.8, rate_hz)
    audio[: rate_hz // 20] = audio[-rate_hz // 20 :] = 0
    monkeypatch.setattr(rvc_front, "MARGIN", 0)
    monkeypatch.setattr(reach, "PAST_S", 0.9)
    as_streams = {"high_pass": False, "rms_mix_rate": 1, "f0_fill": "hold", "resampler": "short", "f0_method": "yin"}
    want, _ = engine.convert(audio, rate_hz, 0, transpose=2, **as_streams)
    stream = engine.stream(0, rate_hz, transpose=2, block_ms=100, lookahead_ms=800, f0_method="yin")
    got = streams.pushed(stream, audio, [999])
    assert np.abs(got - want).max() < 1e-4 * np.abs(want).max()


@pytest.mark.slow
def test_hubert_hears_a_window(tmp_path):
    path = test_hubert_engine.compiled(tmp_path, "vec32l3", 32)
    engine = fastsvc.load(path, device="cpu")
    assert engine.exact_lookahead_ms(1) is None
    same_for_any_cut(engine, "Bert", seconds=1.5)


@pytest.mark.parametrize("kind", ["pc-nsf", "pulse", "source-filter"])
@pytest.mark.sampled(3)
def test_other_vocoders_end_where_one_pass_ends(tmp_path, kind):
    """Phases that depend on a frame's neighbours are carried too."""
    config = SourceFilterConfig(channels=8, blocks=1) if kind == "source-filter" else vocoders.SMALL[kind]
    acoustic = engines.ACOUSTIC
    changes = {"mel": config.mel, "denoiser": replace(acoustic.denoiser, mel_bins=config.mel.bins)}
    engine = streams.engine(tmp_path, vocoder=config, steps=(1,), **changes)
    audio, rate_hz = streams.song(1.5, config.mel.rate_hz), config.mel.rate_hz
    as_streams = {"normalise": False, "high_pass": False, "rms_mix_rate": 1, "f0_fill": "hold", "resampler": "short"}
    want, _ = engine.convert(audio, rate_hz, "Ada", **as_streams)
    stream = engine.stream("Ada", rate_hz, block_ms=60, lookahead_ms=engine.exact_lookahead_ms(1))
    got = streams.pushed(stream, audio, [1000])
    assert np.abs(got - want).max() < 1e-4 * np.abs(want).max()


def test_old_engines_use_the_hops_ratio(tmp_path):
    """Whatever their checkpoint says: "nearest" needs the recording's length."""
    old = streams.engine(tmp_path, unit_align="nearest", steps=(1,))
    assert old.config.features.unit_align == "nearest"
    (tmp_path / "new").mkdir()
    new = streams.engine(tmp_path / "new", unit_align="hops", steps=(1,))
    audio = streams.song(0.6, 24000)
    first, second = (streams.pushed(engine.stream("Ada", 24000), audio, [900]) for engine in (old, new))
    assert np.array_equal(first, second)
