"""A window of the vocoder of which only a part is kept: each layer computes less, and the part stays what it was."""

import golden
import pytest
import torch
import vocoders

from fastsvc.engine.cpu.vocoder import Vocoder


@pytest.mark.parametrize("name", vocoders.SMALL)
@torch.inference_mode()
def test_kept_frames_are_those_of_the_whole_window(name):
    model = vocoders.generator(vocoders.SMALL[name])
    vocoder, hop = Vocoder(dict(model.state_dict()), model.config), model.config.mel.hop_samples
    frames = 2 * vocoder.halo_frames + 5
    inputs = vocoders.arguments(vocoders.given(model.config, 1, frames))
    exact = model.double()(*(value if value is None else value.double() for value in inputs))[0]
    for first, last in ((vocoder.halo_frames, vocoder.halo_frames + 5), (0, 3), (frames - 2, frames), (0, frames)):
        kept = vocoder.part(*inputs, (first, last))
        assert len(kept) == (last - first) * hop
        assert golden.relative_rms(kept, exact[first * hop : last * hop]) < 1e-6


@torch.inference_mode()
def test_what_lies_beyond_the_halo_is_not_read():
    model = vocoders.generator(vocoders.SMALL["openvpi"])
    vocoder = Vocoder(dict(model.state_dict()), model.config)
    halo, hop = vocoder.halo_frames, model.config.mel.hop_samples
    mel, source, _ = vocoders.arguments(vocoders.given(model.config, 1, 3 * halo))
    far_mel, far_source = mel.clone(), source.clone()
    for value, unit in ((far_mel, 1), (far_source, hop)):
        value[:, : unit * (halo // 2 - 1)] = torch.nan
        value[:, unit * (2 * halo + halo // 2 + 1) :] = torch.nan
    keep = halo + halo // 2, 2 * halo - halo // 2
    assert torch.equal(vocoder.part(far_mel, far_source, None, keep), vocoder.part(mel, source, None, keep))
