"""The recogniser's conformer: units of a cut recording, of a batch of unequal lengths, of hardly any audio."""

import pytest
import torch

from fastsvc.config import MelConfig, RecogniserConfig
from fastsvc.errors import ConfigError
from fastsvc.features import content
from fastsvc.model import local_conformer
from fastsvc.model.recogniser import Recogniser

MEL = MelConfig(
    rate_hz=16000, hop_samples=160, fft_samples=512, window_samples=400, bins=20, low_hz=0.0, high_hz=8000.0
)
SIZES = {"architecture": "conformer", "channels": 24, "layers": 2, "kernel": 5, "attention_frames": 3, "bottleneck": 6}
CONFIG = RecogniserConfig(mel=MEL, phones=("<blank>", "a", "b"), **SIZES)


def network(config: RecogniserConfig = CONFIG) -> Recogniser:
    torch.manual_seed(0)
    model = Recogniser(config).eval()
    for parameter in model.parameters():  # biases too, so that padding that is read is seen
        parameter.data += 0.3 * torch.randn_like(parameter)
    return model


def mels(*frames: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(1, count, MEL.bins, generator=generator) - 2 for count in frames]


@torch.no_grad()
def test_a_unit_depends_on_the_halo_and_on_no_more():
    model, (mel,) = network(), mels(120)
    reach, middle = model.halo_frames, 60
    assert reach == model.future_frames and reach % 2 == 0
    for side in (-1, 1):
        far, near = mel.clone(), mel.clone()
        far[:, middle + side * (reach + 1)] += 5
        assert torch.equal(model(far)[0][:, middle], model(mel)[0][:, middle])
        near[:, middle + side * (reach - 4)] += 5
        assert not torch.equal(model(near)[0][:, middle], model(mel)[0][:, middle])


@torch.no_grad()
@pytest.mark.parametrize("frames", [1, 2, 3, 63, 200, 257])
def test_cut_recordings_have_the_units_of_whole_ones(frames, monkeypatch):
    monkeypatch.setattr(content, "BLOCK_FRAMES", 64)
    model = network()
    encoder = content.RecogniserEncoder(CONFIG, model.state_dict())
    (mel,) = mels(frames)
    whole = model(mel)[0]
    assert whole.shape == (1, frames, 6)
    assert torch.allclose(encoder._units(mel), whole, atol=1e-5)
    if frames > 64:  # what a cut at an odd frame would give is far from it
        assert float((model(mel[:, 31:])[0][:, 32:] - whole[:, 63:]).abs().max()) > 1e-2


@torch.no_grad()
def test_each_recording_of_a_batch_has_the_units_that_it_has_alone():
    model, alone = network(), mels(1, 17, 40, 33)
    batch, valid = torch.full((4, 40, MEL.bins), 9.0), torch.zeros(4, 40)
    for row, mel in enumerate(alone):
        batch[row, : mel.shape[1]], valid[row, : mel.shape[1]] = mel[0], 1
    units = model(batch, valid)[0]
    for row, mel in enumerate(alone):
        assert torch.allclose(units[row, : mel.shape[1]], model(mel)[0][0], atol=1e-5)
    assert bool(torch.isfinite(units).all())


@torch.no_grad()
@pytest.mark.parametrize("piece", [1, 7, 64])
def test_attention_by_pieces_is_attention(piece, monkeypatch):
    model, (mel,), valid = network(), mels(131), torch.ones(1, 131)
    valid[:, 100:] = 0
    whole = model(mel, valid)[0]
    monkeypatch.setattr(local_conformer, "PIECE", piece)
    assert torch.allclose(model(mel, valid)[0], whole, atol=1e-5)


def test_frozen_blocks_get_no_gradient_and_the_rest_does():
    model, (mel,) = network(), mels(20)
    model.trunk.frozen = True
    model(mel)[1].sum().backward()
    frozen = [name for name, one in model.named_parameters() if one.grad is None]
    assert {name.split(".")[1] for name in frozen} == {"scale", "shift", "stem", "blocks"}
    model.trunk.frozen = False
    model(mel)[1].sum().backward()
    assert all(one.grad is not None for one in model.parameters())


@pytest.mark.parametrize(
    "wrong, said",
    [
        ({"heads": 5}, "multiple of heads"),
        ({"attention_frames": 0}, "attention_frames"),
        ({"mean_frames": 4}, "mean_frames"),
        ({"future_frames": 2}, "future_frames"),
        ({"architecture": "lstm"}, "use conv, conformer or gru"),
    ],
)
def test_configurations_that_fit_no_network_are_named(wrong, said):
    with pytest.raises(ConfigError, match=said):
        RecogniserConfig(mel=MEL, phones=("<blank>", "a"), **(SIZES | wrong))


def test_a_stream_cuts_where_the_network_s_steps_lie():
    """Its windows begin at even units, and a window that lacks nothing has the recording's own units."""
    from fastsvc.engine.stream import reach, units

    torch.manual_seed(2)
    encoder = content.RecogniserEncoder(CONFIG, network().state_dict())
    windows = units.units_of(encoder)
    assert reach.units(encoder) is None and type(windows) is units.WindowUnits
    assert [windows.begin(first) for first in (0, 50, 101, 102, 155)] == [0, 0, 0, 2, 54]
    audio = 0.1 * torch.randn(300 * 160)
    whole = encoder.encode(audio)

    class Heard:
        def samples(self, first, last):
            return audio[first:last].numpy()

    found, place = windows.find(Heard(), 175, 300 * 160, 1.0)
    assert place % 2 == 0 and torch.allclose(found[60:], whole[place + 60 :], atol=1e-4)


def test_what_changes_units_without_a_tensor_changes_the_encoder_s_hash():
    from dataclasses import replace

    from fastsvc.data.units import describe
    from fastsvc.model.encoder_hash import KnownEncoder

    state = network().state_dict()
    hashes = {
        KnownEncoder(replace(CONFIG, **other), state).exact for other in ({}, {"attention_frames": 4}, {"heads": 2})
    }
    assert len(hashes) == 3 and describe(content.RecogniserEncoder(CONFIG, state))["hash"] in hashes
    assert KnownEncoder(CONFIG, state).gave(describe(content.RecogniserEncoder(CONFIG, state))["hash"])
