"""A whole conversion against the parts of the specification: no input is lost, late, doubled or mixed up."""

import math

import engines
import numpy as np
import pytest
import torch
from golden import relative, relative_rms

import fastsvc
from fastsvc.audio.loudness import frame_rms
from fastsvc.audio.mel import log_mel
from fastsvc.audio.resample import resample
from fastsvc.checkpoints import read
from fastsvc.features import f0
from fastsvc.model import noise, source
from fastsvc.model.modules import module

SEED = 2**40 + 7
BOUND = 2e-5  # measured: 1e-6 at 24 kHz


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("engine")
    engines.build_engine(folder)
    return folder


@pytest.fixture(scope="module")
def engine(folder):
    return fastsvc.load(folder / "engine.fsvc", device="cpu")


def plain(folder, name: str):
    checkpoint = read(folder / f"{name}.pt")
    model = module(checkpoint.kind, checkpoint.config).eval().requires_grad_(False)
    model.load_state_dict(checkpoint.tensors)
    return model


def recording(samples: int, rate_hz: int) -> np.ndarray:
    """A glide that swells, noisy at first, so that no two frames are alike."""
    time_s = np.arange(samples) / rate_hz
    phase = 2 * np.pi * (180 * time_s + 60 * time_s**2)
    audio = (0.1 + 0.5 * time_s / time_s[-1]) * (np.sin(phase) + 0.5 * np.sin(2 * phase + 1))
    audio[: samples // 8] = 0.01 * np.random.default_rng(0).standard_normal(samples // 8)
    return audio.astype(np.float32)


def specified(folder, audio, rate_hz: int, weights: tuple, steps: int, semitones: float) -> tuple:
    """(audio at the model's rate, mel), of a mixture of the speakers."""
    config, rate = engines.ACOUSTIC, engines.ACOUSTIC.mel.rate_hz
    hop = config.mel.hop_samples
    at_mel, at_16k = (torch.from_numpy(resample(audio, rate_hz, to_hz)) for to_hz in (rate, 16000))
    frames = math.ceil(len(at_mel) / hop)
    at_mel = torch.nn.functional.pad(at_mel, (0, frames * hop - len(at_mel)))
    f0_hz, voiced = f0.extract(at_mel, rate, hop, frames, method="yin", low_hz=50.0, high_hz=1100.0)
    assert 0 < voiced.sum() < frames  # both kinds of frames are met
    f0_hz = f0_hz * 2 ** (semitones / 12)
    volume = frame_rms(at_mel[None], hop)[0]
    units, _ = plain(folder, "recogniser")(log_mel(at_16k[None], engines.CONTENT.mel))
    units = torch.nn.functional.interpolate(units.mT, size=frames, mode="nearest").mT
    student, vocoder = plain(folder, "student"), plain(folder, "vocoder")
    cond = student.condition(units, f0_hz[None], volume[None], torch.tensor([weights]), voiced=voiced[None])
    mel = student.sample(cond, steps, lambda step: noise.gaussian(SEED, step, 0, frames, config.mel.bins)[None])
    return vocoder(mel, vocoder.source(source.seeded((f0_hz * voiced)[None], engines.VOCODER, SEED)))[0], mel[0]


CASES = {
    "as it is": ("bert", (0.0, 1.0, 0.0), 24000, {}, 1, 0.0),
    "mixed, moved, in two steps": ({"Bert": 3, "Cleo": 1}, (0.0, 0.75, 0.25), 24000, {"transpose": -3.5}, 2, -3.5),
    "at another rate": (2, (0.0, 0.0, 1.0), 44100, {"transpose": 7}, 2, 7.0),
}


@pytest.mark.parametrize("case", CASES)
@torch.inference_mode()
def test_a_conversion_is_its_parts_one_after_another(folder, engine, case):
    speaker, weights, rate_hz, options, steps, semitones = CASES[case]
    audio = recording(3 * rate_hz // 4 + 77, rate_hz)
    want, _ = specified(folder, audio, rate_hz, weights, steps, semitones)
    want = resample(want[: math.ceil(len(audio) * 24000 / rate_hz)].numpy(), 24000, rate_hz)[: len(audio)]
    exact = {"high_pass": False, "rms_mix_rate": 1.0}
    got, got_hz = engine.convert(audio, rate_hz, speaker, steps=steps, seed=SEED, **exact, **options)
    assert got_hz == rate_hz and got.shape == audio.shape == want.shape
    for name, measure in (("largest", relative), ("RMS", relative_rms)):
        off = measure(torch.from_numpy(got), torch.from_numpy(want))
        assert off < BOUND, f"{name}: {off:.1e}"
