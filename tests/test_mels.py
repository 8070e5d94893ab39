"""Acoustic model and vocoder: mels of another logarithm are scaled, of another recipe refused, gaps filled in."""

import dataclasses
import math

import engines
import golden
import openvpi
import pytest
import torch

from fastsvc import build, load
from fastsvc.build.passes.mels import mel_for_both
from fastsvc.checkpoints import read
from fastsvc.config import MelConfig
from fastsvc.errors import CheckpointError

SMALL = golden.FOLDER / "comosvc_small" / "student.pt"
NATURAL = dataclasses.replace(engines.VOCODER, family="openvpi", mel=MelConfig(log_base="e"))


@pytest.mark.slow
@pytest.mark.parametrize("base, factor", [("10", math.log(10)), ("e", 1 / math.log(10))])
@pytest.mark.sampled(2)
def test_mels_are_brought_to_the_vocoders_logarithm(tmp_path, base, factor):
    """The audio is that of the scaled mel; the mel that comes back is the acoustic model's own."""
    other = {"10": "e", "e": "10"}[base]
    config = dataclasses.replace(engines.ACOUSTIC, mel=MelConfig(log_base=base))
    student = engines.native(tmp_path / "student.pt", "student", config)
    vocoder = engines.native(
        tmp_path / "v.pt", "vocoder", dataclasses.replace(engines.VOCODER, mel=MelConfig(log_base=other))
    )
    mixed = load(build.compile(student, tmp_path / "a.fsvc", vocoder=vocoder, steps=(1,), progress=None))
    alone = load(build.compile(student, tmp_path / "b.fsvc", steps=(1,), progress=None))
    features = torch.randn(20, 6), 100 + 200 * torch.rand(20), torch.rand(20)
    audio, mel = mixed.synthesise(*features, 0, seed=4)
    assert torch.equal(mel, alone.synthesise(*features, 0, seed=4)[1])
    assert mixed.config.mel.log_base == base
    plain = mixed.synthesiser.__class__(read(vocoder).tensors, read(vocoder).config)
    assert golden.relative(audio, plain(factor * mel, features[1], 4)) < 2e-5  # measured: 3e-6
    assert golden.relative(audio, plain(mel, features[1], 4)) > 0.1


def test_comosvc_with_openvpis_vocoder(tmp_path):
    """The recipe is the vocoder's wherever CoMoSVC states none, except for the logarithm."""
    mel = dataclasses.replace(NATURAL.mel, fft_samples=1024, window_samples=1024, low_hz=40.0, high_hz=11000.0)
    path = openvpi.small(tmp_path / "voc", dataclasses.replace(NATURAL, mel=mel))
    engine = load(build.compile(SMALL, tmp_path / "a.fsvc", vocoder=path.parent, steps=(1,), progress=None))
    assert engine.config.mel == dataclasses.replace(mel, log_base="10")
    assert engine.synthesiser.config.mel == mel and engine.synthesiser.scale == pytest.approx(math.log(10))


@pytest.mark.parametrize(
    "changes, part",
    [
        ({"rate_hz": 22050, "high_hz": 11000.0}, "rate_hz 24000 and 22050"),
        ({"bins": 100}, "bins 80 and 100"),
        ({"low_hz": 40.0}, "low_hz 30.0 and 40.0"),
        ({"high_hz": 11000.0}, "high_hz 12000.0 and 11000.0"),
        ({"fft_samples": 1024}, "fft_samples 512 and 1024"),
        ({"window_samples": 256}, "window_samples 512 and 256"),
    ],
)
def test_another_recipe_is_an_error_that_prints_both(tmp_path, changes, part):
    vocoder = read(
        openvpi.small(tmp_path / "voc", dataclasses.replace(NATURAL, mel=dataclasses.replace(NATURAL.mel, **changes)))
    )
    native = read(engines.native(tmp_path / "student.pt", "student", engines.ACOUSTIC))
    with pytest.raises(CheckpointError, match=part) as caught:
        mel_for_both(native, vocoder)
    text = str(caught.value)
    assert "(acoustic model: rate_hz 24000, hop_samples 128, fft_samples 512, window_samples 512, bins 80" in text
    assert "log_base e, no clip)" in text
    stated = set(changes) & {"rate_hz", "hop_samples", "bins"}
    if stated:
        with pytest.raises(CheckpointError, match="bins 80, log_base 10, no fft_samples, window_samples, low_hz"):
            mel_for_both(read(SMALL), vocoder)
    else:
        assert mel_for_both(read(SMALL), vocoder).mel == dataclasses.replace(vocoder.config.mel, log_base="10")
