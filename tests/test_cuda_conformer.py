"""The GPU's form of the recogniser's conformer on a CPU: against the specification, at all lengths and in half."""

import dataclasses

import golden
import pytest
import torch
from cuda_encoders import audio_of, poison

from fastsvc.config import MelConfig, RecogniserConfig
from fastsvc.engine.cuda.conformer import CudaConformerEncoder
from fastsvc.engine.cuda.encoders import cuda_encoder
from fastsvc.features import content
from fastsvc.model.recogniser import Recogniser

MEL = MelConfig(
    rate_hz=16000, hop_samples=160, fft_samples=512, window_samples=400, bins=20, low_hz=0.0, high_hz=8000.0
)
HEARING = RecogniserConfig(
    mel=MEL,
    phones=("-", "a"),
    architecture="conformer",
    channels=24,
    layers=3,
    kernel=7,
    attention_frames=5,
    bottleneck=6,
)


def tensors(config: RecogniserConfig) -> dict:
    torch.manual_seed(0)
    return {name: value + 0.1 * torch.randn_like(value) for name, value in Recogniser(config).state_dict().items()}


def both(config: RecogniserConfig = HEARING, dtype=torch.float32):
    state = tensors(config)
    return cuda_encoder("recogniser", config, state, dtype, "cpu"), content.RecogniserEncoder(config, state)


@pytest.mark.parametrize("frames", [1, 2, 3, 31, 32, 33, 100, 255])
@pytest.mark.parametrize("kernel, heads", [(7, 4), (1, 1), (31, 3)])
def test_as_specified_whatever_other_recordings_left(frames, kernel, heads):
    encoder, plain = both(dataclasses.replace(HEARING, kernel=kernel, heads=heads))
    assert isinstance(encoder, CudaConformerEncoder)
    audio = audio_of(frames * 160 + 37)
    encoder.encode(audio_of(frames * 160 + 37))
    poison(encoder)
    got, want = encoder.encode(audio), plain.encode(audio)
    assert got.shape == (frames, 6) and golden.relative(got, want) < 2e-5
    assert golden.relative(plain.encode(audio_of(frames * 160 + 37)), want) > 1e-2  # audio moves it by far more


def test_long_recordings_in_blocks(monkeypatch):
    monkeypatch.setattr(content, "BLOCK_FRAMES", 64)
    encoder, plain = both()
    audio = audio_of(300 * 160)
    want = plain.model(content.log_mel(audio[None], MEL))[0][0]
    assert golden.relative(encoder.encode(audio), want) < 2e-5 > golden.relative(plain.encode(audio), want)


@pytest.mark.parametrize("samples", [160, 16001, 40000])
def test_in_half_precision(samples):
    """At most twice the error of the plain module in float16, both against float64."""
    (encoder, plain), audio = both(dtype=torch.float16), audio_of(samples)
    mel = content.log_mel(audio[None], MEL)
    want = plain.model.double()(mel.double())[0][0]
    half = both()[1].model.half()(mel.half())[0][0]
    got = encoder.encode(audio)
    assert 0 < golden.relative_rms(got, want) <= 2 * golden.relative_rms(half, want)
    assert (got - want).abs().max() <= 2 * (half - want).abs().max()
