"""RVC's latent: batches of unequal length, short and long inputs, the flow's reach, mixed speakers, the live form."""

from dataclasses import replace

import pytest
import rvc_golden
import torch
from golden import relative

from fastsvc.config.rvc import RvcConfig
from fastsvc.errors import SpeakerError
from fastsvc.model.rvc import RvcModel, live


@pytest.fixture(scope="module")
def model():
    return rvc_golden.voice(rvc_golden.read("v2_40k/v2_40k.pth")).acoustic.double()


@pytest.fixture(scope="module")
def golden():
    return rvc_golden.case("v2_40k/T57")


def arguments(golden, frames):
    """units, coarse pitch, noise of the first frames of a case."""
    return [golden["units"][:, :frames].double(), golden["pitch"][:, :frames], golden["noise_z"][:, :frames].double()]


@pytest.mark.parametrize("lengths", [(57, 57), (57, 30, 1), (8, 3)])
def test_padding(model, golden, lengths):
    """Each item of a padded batch is what it is alone, whatever lies in the padding; its padding comes out as 0."""
    longest, rows = max(lengths), torch.tensor([3, 1, 2])[: len(lengths)]
    speakers = model.speaker(rows)
    batch = [part.expand(len(lengths), -1, *part.shape[2:]).clone() for part in arguments(golden, longest)]
    valid = torch.arange(longest) < torch.tensor(lengths)[:, None]
    for part, filler in zip(batch, (1e3, 200, 1e3)):
        part[~valid] = filler
    units, coarse, noise = batch
    z = model.latent(units, coarse, speakers, noise, valid)
    unmasked = model.latent(units, coarse, speakers, noise)
    for i, length in enumerate(lengths):
        units, coarse, noise = arguments(golden, length)
        alone = model.latent(units, coarse, speakers[i : i + 1], noise)
        assert alone.dtype == torch.float64
        assert relative(z[i : i + 1, :length], alone) < 1e-12
        assert not z[i, length:].any()
        assert length == longest or relative(unmasked[i : i + 1, :length], alone) > 1e-3, "the mask is needed"


def test_one_frame(model, golden):
    """A single frame has no neighbours: attention gives its own value and that of distance 0."""
    units, coarse, _ = arguments(golden, 1)
    attention = model.enc_p.encoder.attn_layers[0]
    x = model.enc_p.embedded(units, coarse).transpose(1, 2)
    own = attention.conv_v(x) + attention.emb_rel_v[0, model.config.window].repeat(attention.heads)[None, :, None]
    assert relative(attention(x), attention.conv_o(own)) < 1e-12


def test_the_flow_is_local(model, golden):
    """Any stretch of z is exact from z_p with flow_halo_frames more on each side, and not from one less."""
    z_p, speaker, halo = golden["z_p"].double(), model.speaker(golden["sid"][None]), model.config.flow_halo_frames
    z_p = torch.cat([z_p, z_p.flip(1)], dim=1)
    whole = model.flow_backwards(z_p, speaker)
    assert halo == 24
    for reach, exact in ((halo, True), (halo - 1, False)):
        part = model.flow_backwards(z_p[:, 50 - reach : 60 + reach], speaker)[:, reach:-reach]
        assert (relative(part, whole[:, 50:60]) < 1e-13) == exact


def test_long_inputs_fit():
    """Attention holds T² numbers a head, not T² vectors: a minute is 0.3 GB a tensor in the real sizes."""
    config, frames = replace(RvcConfig(), hidden=32, filter_channels=32, layers=1, couplings=1, flow_layers=1), 400
    model, made = RvcModel(config), []

    def keep(tensor):
        made.append(tensor.numel())
        return tensor

    units, coarse = torch.zeros(1, frames, config.unit_channels), torch.ones(1, frames, dtype=torch.int64)
    with torch.autograd.graph.saved_tensors_hooks(keep, keep):  # they see what the computation goes through
        model.prior(units, coarse)
    assert max(made) == config.heads * frames**2


def test_speakers(model):
    table = model.emb_g.weight
    weights = torch.zeros(2, len(table), dtype=torch.float64)
    weights[0, 4], weights[1, [1, 2]] = 1.0, torch.tensor([0.25, 0.75], dtype=torch.float64)
    assert torch.equal(model.speaker(weights)[0], model.speaker(torch.tensor([4]))[0])
    assert torch.allclose(model.speaker(weights)[1], 0.25 * table[1] + 0.75 * table[2])
    for outside in (-1, len(table)):
        with pytest.raises(SpeakerError, match="outside 0 … 108"):
            model.speaker(torch.tensor([outside]))


def test_live_frames_are_those_of_the_whole_window(model, golden):
    """What is left out before the flow changes nothing, as its halo is kept; at the start there is nothing to keep."""
    units, coarse, noise = arguments(golden, 57)
    speaker = model.speaker(golden["sid"][None])
    whole = model.latent(units, coarse, speaker, noise)
    for window in (live.Window(40, 15), live.Window(57 - 12, 12), live.Window(10, 25), live.Window(0, 57)):
        first = window.first(model)
        assert first == max(window.head - 24, 0)
        part = live.latent(model, window, units, coarse, speaker, noise[:, first:])
        assert part.shape == (1, window.frames, model.config.mel.bins)
        assert relative(part, whole[:, window.head : window.head + window.frames]) < 1e-12


def test_stretching_is_float32s():
    """Positions rounded as in float32 differ from float64's by more than the golden bound, for a sine at 1 kHz."""
    sine = torch.sin(torch.arange(6000, dtype=torch.float64) * 0.157)[None, :, None]
    got = live.stretched(sine, 6800)
    assert got.dtype == torch.float64
    assert torch.equal(got.float(), live.stretched(sine.float(), 6800))
    fine = torch.nn.functional.interpolate(sine.transpose(1, 2), size=6800, mode="linear").transpose(1, 2)
    assert 1e-5 < relative(got, fine) < 1e-3
    assert live.stretched(sine, 6000) is sine
