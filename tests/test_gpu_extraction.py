"""Feature extraction on an NVIDIA GPU: content encoders and pitch against the CPU's, in graphs, in every precision."""

import dataclasses

import engines
import golden
import huberts
import numpy as np
import pytest
import torch
from test_f0 import FORMANTS, HOP, PITCH, RATE, sing
from test_f0_networks import packaged

from fastsvc.config import HubertConfig, RecogniserConfig
from fastsvc.engine import extraction
from fastsvc.engine.cuda.encoders import cuda_encoder
from fastsvc.engine.cuda.hubert import CudaHubertEncoder
from fastsvc.engine.cuda.pitch import Yin
from fastsvc.features import content, f0, hubert
from fastsvc.model.hubert import Hubert
from fastsvc.model.recogniser import Recogniser
from fastsvc.training import hama

pytestmark = pytest.mark.gpu
BASE = HubertConfig(layers=3, projection=256)  # of the real width, so that tensor cores and all kernels are met
HEARING = RecogniserConfig(phones=("-", "a", "b"), mean_frames=40)
CONFORMER = RecogniserConfig(
    mel=hama.MEL,
    phones=("-", "a", "b"),
    architecture="conformer",
    **hama.SIZES,  # as the bundled voices have it
)
DTYPES = {"fp32": torch.float32, "fp16": torch.float16}


def audio_of(samples, level=0.1):
    return level * torch.randn(samples) + 0.02


def hubert_of(precision, config=BASE):
    return CudaHubertEncoder(config, huberts.tensors(config), DTYPES[precision], "cuda")


def recogniser_of(precision, config=HEARING):
    torch.manual_seed(0)
    return cuda_encoder("recogniser", config, Recogniser(config).state_dict(), DTYPES[precision], "cuda")


def conformer_of(precision):
    return recogniser_of(precision, CONFORMER)


@torch.no_grad()
def hubert_specified(audio, dtype, device="cpu", config=BASE):
    model = Hubert(config).eval()
    model.load_state_dict(huberts.tensors(config))
    return model.to(device, dtype)(audio[None].to(device, dtype))[0].cpu()


@pytest.mark.parametrize("config", [BASE, huberts.TINY], ids=["wide", "narrow"])
@pytest.mark.parametrize("samples", [0, 400, 8000, 16001, 82000, 160_319])
def test_hubert(samples, config):
    """float32 to rounding; float16 with at most twice the error of the plain module there, both against float64."""
    audio = audio_of(samples)
    want = hubert_specified(torch.nn.functional.pad(audio, (0, max(0, 400 - samples))), torch.float64, config=config)
    got = hubert_of("fp32", config).encode(audio)
    assert got.device.type == "cuda" and got.dtype == torch.float32
    assert golden.relative_rms(got.cpu(), want) < 2e-5
    half = hubert_of("fp16", config).encode(audio).cpu()
    assert golden.relative_rms(half, want) < 5e-3
    if samples >= 8000:
        plain = hubert_specified(audio, torch.float16, "cuda", config)
        assert golden.relative_rms(half, want) <= 2 * golden.relative_rms(plain, want)


@pytest.mark.parametrize("config", [HEARING, CONFORMER], ids=["conv", "conformer"])
@pytest.mark.parametrize("samples", [0, 160, 16001, 160 * 2500])
def test_recogniser(samples, config):
    audio = audio_of(samples)
    torch.manual_seed(0)
    plain = content.RecogniserEncoder(config, Recogniser(config).state_dict())
    want = plain.encode(audio)
    assert golden.relative_rms(recogniser_of("fp32", config).encode(audio).cpu(), want) < 2e-5
    got = recogniser_of("fp16", config).encode(audio)
    assert got.device.type == "cuda" and golden.relative_rms(got.cpu(), want) < 5e-3


@pytest.mark.parametrize("make", [hubert_of, recogniser_of, conformer_of])
def test_a_graph_gives_the_same_every_time(make):
    """Other lengths write over the same memory; what one recording was given stays its own. In either mode."""
    encoder, audio, longer = make("fp16"), audio_of(30_000), audio_of(90_000)
    with torch.inference_mode():
        first = encoder.encode(audio)
    kept, captured = first.cpu(), encoder.programs.graphs.captured
    encoder.encode(longer)
    encoder.encode(audio_of(29_000))
    assert torch.equal(encoder.encode(audio).cpu(), kept) and torch.equal(first.cpu(), kept)
    assert torch.equal(make("fp16").encode(audio).cpu(), kept)
    assert captured == 1 and encoder.programs.graphs.captured == 2


@pytest.mark.parametrize("precision, bound", [("fp32", 1e-4), ("fp16", 1e-2)])
def test_hubert_in_windows(precision, bound, monkeypatch):
    for name, value in {"WHOLE": 300, "KEEP": 200, "CONTEXT": 60, "FADE": 20}.items():
        monkeypatch.setattr(hubert, name, value)
    audio = audio_of(320 * 700) * torch.linspace(0, 2, 320 * 700)
    want = hubert.HubertEncoder(BASE, huberts.tensors(BASE)).encode(audio)
    assert golden.relative_rms(hubert_of(precision).encode(audio).cpu(), want) < bound


def test_a_quiet_recording_in_half_precision():
    audio = audio_of(16_000, 1e-5)
    want = hubert_specified(audio, torch.float64)
    assert golden.relative_rms(hubert_of("fp16").encode(audio).cpu(), want) < 5e-3


def config_of():
    mel = dataclasses.replace(engines.ACOUSTIC.mel, rate_hz=RATE, hop_samples=HOP)
    return dataclasses.replace(engines.ACOUSTIC, mel=mel)


def near(got, want):
    """Within a cent, and voiced alike on nearly all frames."""
    both = got[1] & want[1]
    off = 1200 * (got[0][both] / want[0][both]).log2().abs()
    assert (got[1] == want[1]).float().mean() > 0.99 and (off >= 1).sum() <= 0.01 * len(off)


@pytest.mark.parametrize("signal", [*PITCH, "noise", "silence"])
@pytest.mark.parametrize("frames", [1, 64, 250])
def test_yin(signal, frames):
    rng = np.random.default_rng(0)
    others = {"noise": rng.normal(size=RATE * 3) * 0.1, "silence": np.zeros(RATE * 3)}
    audio = sing(PITCH[signal], FORMANTS["aa"]) if signal in PITCH else others[signal].astype(np.float32)
    audio = torch.from_numpy(audio[: frames * HOP].copy())
    yin = Yin(config_of(), "cuda")
    want = extraction.melody(audio, frames, config_of())
    for got in (extraction.melody(audio, frames, config_of(), device="cuda", yin=yin) for _ in range(2)):
        near(got, want)
        torch.testing.assert_close(got[2], want[2], rtol=1e-5, atol=1e-7)
    near(extraction.melody(audio, frames, config_of(), device="cuda"), want)  # without graphs
    assert yin.programs.graphs.captured == 1


def test_yin_of_a_long_recording():
    """More frames than are captured, and than one tree has."""
    audio = torch.from_numpy(np.tile(sing(PITCH["vibrato"], FORMANTS["aa"]), 31))
    frames = len(audio) // HOP
    audio = audio[: frames * HOP]
    assert frames > 8192
    near(
        extraction.melody(audio, frames, config_of(), device="cuda", yin=Yin(config_of(), "cuda")),
        extraction.melody(audio, frames, config_of()),
    )


@pytest.mark.parametrize("method", ["fcpe", "crepe-tiny", "crepe"])
def test_networks(method):
    packaged(method)
    audio = torch.from_numpy(sing(PITCH["vibrato"][:16000], FORMANTS["aa"], rate_hz=16000))
    want = f0.extract(audio, 16000, 160, 100, method=method)
    got = f0.extract(audio.cuda(), 16000, 160, 100, method=method)
    assert got[0].is_cuda
    near(tuple(part.cpu() for part in got), want)


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_features_stay_on_the_gpu(precision):
    """What the sampler is told: units on the device, the rest on the CPU, as without a GPU."""
    pytest.importorskip("soxr", reason="soxr resamples recordings")
    config, audio = config_of(), sing(PITCH["vibrato"], FORMANTS["aa"])
    torch.manual_seed(0)
    plain = content.RecogniserEncoder(HEARING, Recogniser(HEARING).state_dict())
    want = extraction.features(audio, RATE, config, plain, None)
    got = extraction.features(
        audio, RATE, config, recogniser_of(precision), None, device="cuda", yin=Yin(config, "cuda")
    )
    assert got.units.is_cuda and not got.f0_hz.is_cuda and not got.unit_indices.is_cuda
    assert golden.relative_rms(got.units.cpu(), want.units) < (1e-4 if precision == "fp32" else 5e-3)
    assert torch.equal(got.unit_indices, want.unit_indices)
    near((got.f0_hz, got.voiced), (want.f0_hz, want.voiced))
