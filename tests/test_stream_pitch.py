"""YIN's candidates that a stream keeps: the pitch is that of a window tracked anew."""

from dataclasses import replace
from types import SimpleNamespace

import engines
import pytest
import streams
import torch

from fastsvc.config import MelConfig
from fastsvc.engine.request import Request
from fastsvc.engine.stream.pitch import CachedYin, WindowPitch, pitch_of


def engine(**features):
    config = replace(engines.ACOUSTIC, features=replace(engines.ACOUSTIC.features, f0_method="yin", **features))
    return SimpleNamespace(config=config, table=SimpleNamespace())


@pytest.mark.parametrize("block, ahead", [(2, 6), (4, 0), (9, 15)])
@torch.inference_mode()
def test_kept_candidates_change_no_bit(block, ahead):
    """Also after a change of gain, before which the block was tracked with the old one."""
    request = Request("Ada", f0_range=(60.0, 1500.0))
    parts = engine(), request
    window, kept = WindowPitch(*parts), pitch_of(*parts)
    assert isinstance(kept, CachedYin)
    hop, audio = kept.mel.hop_samples, torch.from_numpy(streams.song(0.6, kept.mel.rate_hz))
    frames = len(audio) // hop
    turn = frames // 2 // block * block
    for first in range(0, frames - block - ahead, block):
        gain, begin = 1.0 if first < turn else 0.02, max(0, first - window.past)
        part = audio[begin * hop : (first + block + ahead) * hop]
        if first == turn:
            kept.find(part, begin, first, 1.0)
        got, want = (one.find(gain * part, begin, first, gain) for one in (kept, window))
        kept.settle()
        assert torch.equal(got[1], want[1]) and torch.equal(got[0][got[1]], want[0][want[1]]), f"block from {first}"
        assert len(got[0]) == block + ahead
    assert len(kept.kept.f0_hz) <= window.past + block + ahead


def test_trackers_without_candidates_see_windows():
    request = Request("Ada")
    assert type(pitch_of(engine(), replace(request, f0_method="pm"))) is WindowPitch
    assert type(pitch_of(engine(f0_style="comosvc"), request)) is WindowPitch
    odd = engine()
    odd.config = replace(odd.config, mel=MelConfig(rate_hz=22050, hop_samples=221, fft_samples=1024, high_hz=11000.0))
    assert type(pitch_of(odd, request)) is WindowPitch
