"""The GPU's content encoders in half precision, on a CPU: against the specification, and when it is taken."""

import dataclasses

import engines
import golden
import huberts
import interpreted
import numpy as np
import pytest
import torch
from cuda_encoders import HEARING, ODD, audio_of, hubert_of, hubert_plain, recogniser_of, recogniser_plain

from bench import counts
from fastsvc.artifact import bundled
from fastsvc.engine import extraction
from fastsvc.engine.cuda import selfcheck
from fastsvc.engine.cuda.encoders import cuda_encoder
from fastsvc.engine.cuda.recogniser import CudaRecogniserEncoder
from fastsvc.engine.engine import Engine
from fastsvc.features import content, hubert


@pytest.mark.parametrize("config", [huberts.TINY, ODD])
@pytest.mark.parametrize("samples", [3000, 30001])
def test_hubert_in_half_precision(config, samples):
    """At most twice the error of the plain module in float16, both against float64."""
    audio, model = audio_of(samples), hubert_plain(config)
    got = hubert_of(config, torch.float16).encode(audio)
    half = model.half()(audio.half()[None])[0]
    want = hubert_plain(config).double()(audio.double()[None])[0]
    assert 0 < golden.relative_rms(got, want) <= 2 * golden.relative_rms(half, want)
    assert (got - want).abs().max() <= 2 * (half - want).abs().max()
    assert golden.relative_rms(got, want) < 5e-3


@pytest.mark.parametrize("level, offset", [(1e-5, 0.0), (1e-2, 0.7), (1.0, 0.0)])
def test_half_precision_hears_the_quiet_and_the_offset(level, offset):
    """The plain module in float16 loses both: what is below 6e-8 is nothing, and 0.7 leaves 3 digits."""
    audio = audio_of(12000, level, offset)
    want = hubert_plain().double()(audio.double()[None])[0]
    assert golden.relative_rms(hubert_of(dtype=torch.float16).encode(audio), want) < 5e-3


@pytest.mark.parametrize("kernel", [1, 3, 5])
def test_recogniser_in_half_precision(kernel):
    config = dataclasses.replace(HEARING, kernel=kernel, mean_frames=20)
    plain, audio = recogniser_plain(config), audio_of(16001)
    mel = content.log_mel(audio[None], config.mel)
    want = plain.model.double()(mel.double())[0][0]
    half = recogniser_plain(config).model.half()(mel.half())[0][0]
    got = recogniser_of(config, torch.float16).encode(audio)
    assert 0 < golden.relative_rms(got, want) <= 2 * golden.relative_rms(half, want)
    assert (got - want).abs().max() <= 2 * (half - want).abs().max()


def test_the_bundled_recogniser_in_half_precision():
    """Trained weights, on something like a voice: its units lie in −1 … 1."""
    engine = Engine.open(bundled.VOICES, "cpu")
    time_s = torch.arange(16000) / 16000
    audio = sum(torch.sin(2 * torch.pi * 220 * k * time_s + k) / k for k in range(1, 20)) * 0.1 * (1 + time_s)
    audio = audio + 0.003 * torch.randn(16000)
    tensors = engine.encoder.model.state_dict()
    want = engine.encoder.encode(audio)
    got = cuda_encoder("recogniser", engine.encoder.config, tensors, torch.float16, "cpu").encode(audio)
    assert (got - want).abs().max() < 2e-2 and golden.relative_rms(got, want) < 3e-3


@pytest.fixture
def gpu(monkeypatch, tmp_path):
    """The GPU's engine, interpreted."""
    pytest.importorskip("triton")
    interpreted.prepare(monkeypatch)
    return interpreted.engine


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.is_available(), reason="the interpreter is not used where there is a GPU")
def test_precision_follows_the_engine(gpu, tmp_path, monkeypatch):
    path = engines.build_engine(tmp_path, steps=(1,), precision="fp32", target="cpu")
    audio = 0.1 * np.random.default_rng(0).standard_normal(24000).astype(np.float32)
    cpu = Engine.open(path, "cpu")
    want = extraction.features(audio, 24000, cpu.config, cpu.encoder, None)
    for precision, dtype, bound in (("fp32", torch.float32, 1e-5), ("fp16", torch.float16, 1e-2)):
        engine = gpu(path, precision)
        assert isinstance(engine.encoder, CudaRecogniserEncoder) and engine.encoder.weights.dtype == dtype
        got = extraction.features(audio, 24000, engine.config, engine.encoder, None, yin=engine.yin)
        assert golden.relative(got.units, want.units) < bound
        assert len(engine.yin.programs.by_shape) == 1
        for name in ("unit_indices", "voiced", "volume"):
            assert torch.equal(getattr(got, name), getattr(want, name))
        torch.testing.assert_close(got.f0_hz, want.f0_hz, rtol=1e-5, atol=0)
    monkeypatch.setattr(selfcheck, "check", lambda *_: None)  # the interpreter knows no bfloat16
    assert gpu(path, "bf16").encoder.weights.dtype == torch.float16


@pytest.mark.parametrize("make", [hubert_of, recogniser_of])
def test_the_floor_follows_the_precision(make):
    """The same operations whatever the encoder's form; weights of half the width."""
    plain = hubert.HubertEncoder(huberts.TINY, huberts.tensors()) if make is hubert_of else recogniser_plain()
    wide, narrow = counts.content(plain, 1.0), counts.content(make(dtype=torch.float16), 1.0, 2)
    assert wide.flops == narrow.flops > 0 and wide.bytes - narrow.bytes > 1000
