"""The eras of CoMoSVC's code: guessed from what a trained network answers, settled by what is said, and their maths."""

import dataclasses

import formats
import pytest
import torch

from fastsvc.checkpoints import read
from fastsvc.checkpoints.readers import eras
from fastsvc.config import AcousticConfig, ConditionConfig, DenoiserConfig, EdmConfig, FeatureConfig
from fastsvc.errors import CheckpointError
from fastsvc.model import edm
from fastsvc.model.acoustic import AcousticModel

SMALL = AcousticConfig(
    features=FeatureConfig(unit_channels=8),
    condition=ConditionConfig(unit_channels=8, channels=16),
    denoiser=DenoiserConfig(channels=32, layers=2, cond_channels=16),
)


def crop(size: int = 16, frames: int = 12):
    """Features and log10 mels as of recordings: silence at the floor of −5, loud frames between −3 and 0.5."""
    volume = torch.rand(size, frames) * (torch.rand(size, frames) > 0.4) * 0.3
    tilt = torch.linspace(0.5, -2, 80)
    mel = torch.log10(volume[..., None] * 10**tilt + 1e-5) + 0.2 * torch.randn(size, frames, 80)
    return 0.2 * torch.randn(size, frames, 8), 100 + 300 * torch.rand(size, frames), volume, mel.clamp(min=-5)


@pytest.fixture(scope="module", params=["raw", "normalised"])
def trained(request):
    """(era, tensors) of a network trained as CoMoSVC trains its teacher, on raw or on normalised mels."""
    torch.manual_seed(0)
    config = dataclasses.replace(SMALL, norm=eras.RAW if request.param == "raw" else eras.NORMALISED)
    model = AcousticModel(config)
    optimiser = torch.optim.Adam(model.parameters(), 3e-3)
    for _ in range(200):
        units, f0_hz, volume, mel = crop()
        x0 = model.normalise(mel)
        sigma = (torch.randn(len(x0)) * 1.2 - 1.2).exp()
        sigma[:4] = config.edm.sigma_max * torch.rand(4)
        weight = (sigma**2 + 0.25) / (sigma * 0.5) ** 2
        noisy = x0 + sigma[:, None, None] * torch.randn_like(x0)
        off = model.denoise(noisy, sigma, model.condition(units, f0_hz, volume)) - x0
        loss = (weight[:, None, None] * off**2).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return request.param, model.state_dict()


@pytest.mark.slow
@pytest.mark.sampled(2)
def test_the_probe_knows_trained_networks(trained):
    name, tensors = trained
    guess = eras.probe(SMALL, tensors)
    assert guess.era == name and guess.confidence in ("sure", "likely"), guess
    assert eras.probe(SMALL, tensors, without_pitch_extractor=True).era == ("plain" if name == "raw" else "normalised")
    config, note = eras.settle(SMALL, tensors, None, False)
    assert config.norm == (eras.RAW if name == "raw" else eras.NORMALISED) and config.edm.skip_offset
    assert name in note and guess.confidence in note and "--era" in note


def test_what_is_said_overrules_the_probe(trained):
    _, tensors = trained
    for said in eras.ERAS:
        config, note = eras.settle(SMALL, tensors, said, False)
        assert config.edm.out_offset == config.edm.skip_offset == (said != "plain")
        assert config.norm == (eras.NORMALISED if said == "normalised" else eras.RAW)
        assert note.startswith(f"era {said}, as given")
    with pytest.raises(CheckpointError, match="plain, raw, normalised"):
        eras.settle(SMALL, tensors, "baroque", False)


def test_an_unsure_probe_says_so():
    torch.manual_seed(0)
    tensors = {name: torch.zeros(value.shape) for name, value in AcousticModel(SMALL).state_dict().items()}
    config, note = eras.settle(SMALL, tensors, None, False)
    assert config.norm == eras.NORMALISED and "unsure" in note


def test_plain_edm():
    """c_skip = s²/(σ²+s²), c_out = σs/√(σ²+s²): Karras et al., table 1."""
    sigma = torch.tensor([0.002, 0.5, 80.0], dtype=torch.float64)
    skip, out, _, _ = edm.coefficients(EdmConfig(skip_offset=False, out_offset=False), sigma)
    torch.testing.assert_close(skip, 0.25 / (sigma**2 + 0.25))
    torch.testing.assert_close(out, sigma * 0.5 / (sigma**2 + 0.25).sqrt())


def test_through_the_reader(tmp_path):
    path = formats.comosvc(tmp_path)
    assert read(path, era="raw").config.norm == eras.RAW
    assert not read(path, era="plain").config.edm.out_offset
    assert "era" in read(path).notes[0]
