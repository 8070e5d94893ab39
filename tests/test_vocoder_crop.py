"""A window of the vocoder of which only a part is kept: each stage computes less, and the part stays what it was."""

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
    whole = vocoder(*inputs)[0]
    for first, last in ((vocoder.halo_frames, vocoder.halo_frames + 5), (0, 3), (frames - 2, frames), (0, frames)):
        kept = vocoder(*inputs, keep=(first, last))[0]
        assert len(kept) == (last - first) * hop
        assert (kept - whole[first * hop : last * hop]).abs().max() < 2e-6 * whole.abs().max()
    assert vocoder.reaches[-1] < vocoder.reaches[0] < vocoder.halo_frames
