import pytest
import torch

from fastsvc.checkpoints import read
from fastsvc.config import RecogniserConfig, to_dict
from fastsvc.data.units import describe
from fastsvc.errors import CheckpointError
from fastsvc.features import content
from fastsvc.features.content import RecogniserEncoder
from fastsvc.model.recogniser import Recogniser
from fastsvc.training import checkpoint

PHONES = ("<blank>", "aa", "iy")


def encoder_of(**changes):
    config = RecogniserConfig(**({"phones": PHONES, "channels": 24, "layers": 5, "bottleneck": 6} | changes))
    return RecogniserEncoder(config, Recogniser(config).state_dict())


def audio_of(samples):
    return 0.1 * torch.randn(samples)


@pytest.mark.parametrize("mean_frames", [0, 40])
@pytest.mark.parametrize("block", [1, 37, 200])
def test_cutting_changes_nothing(monkeypatch, block, mean_frames):
    encoder = encoder_of(mean_frames=mean_frames)
    audio = audio_of(160 * 230 + 71)
    whole = encoder.encode(audio)
    if block == 1:
        audio = audio[: 160 * 40]
        whole = encoder.encode(audio)
    monkeypatch.setattr(content, "BLOCK_FRAMES", block)
    cut = encoder.encode(audio)
    assert whole.shape == cut.shape == (len(audio) // 160, 6)
    assert (whole - cut).abs().max() < 1e-5


def test_a_halo_too_short_would_be_noticed(monkeypatch):
    encoder = encoder_of()
    audio = audio_of(160 * 230)
    whole = encoder.encode(audio)
    encoder.model.trunk.halo_frames -= 8
    monkeypatch.setattr(content, "BLOCK_FRAMES", 37)
    assert (whole - encoder.encode(audio)).abs().max() > 1e-5


@pytest.mark.parametrize("samples, units", [(0, 1), (1, 1), (159, 1), (160, 1), (319, 1), (320, 2)])
def test_short_audio_still_has_a_unit(samples, units):
    result = encoder_of().encode(audio_of(samples))
    assert result.shape == (units, 6) and torch.isfinite(result).all()


def test_arrays_and_tensors_alike():
    encoder, audio = encoder_of(), audio_of(4000)
    assert torch.equal(encoder.encode(audio), encoder.encode(audio.numpy()))
    assert encoder.encode(audio.double()).dtype == torch.float32
    with pytest.raises(ValueError, match="samples"):
        encoder.encode(torch.zeros(2, 4000))


def test_opened_from_a_checkpoint_with_its_averaged_weights(tmp_path):
    encoder = encoder_of()
    online = {name: torch.zeros_like(value) for name, value in encoder.model.state_dict().items()}
    config = {"model": to_dict(encoder.config), "train": {}}
    common = {"step": 1, "config": config, "speakers": [], "speaker_f0_hz": [], "model": online}
    checkpoint.save(tmp_path / "r.pt", kind="recogniser", ema=encoder.model.state_dict(), **common)
    opened, audio = RecogniserEncoder.of(read(tmp_path / "r.pt")), audio_of(3000)
    assert torch.equal(opened.encode(audio), encoder.encode(audio))
    assert (opened.rate_hz, opened.hop_samples, opened.channels) == (16000, 160, 6)
    assert describe(opened)["hash"] == describe(encoder)["hash"] != describe(encoder_of())["hash"]
    with pytest.raises(CheckpointError):
        RecogniserEncoder.of(read(tmp_path / "missing.pt"))
