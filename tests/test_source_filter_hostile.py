"""Damaged and hostile checkpoints of the source-filter vocoder: refused in one line, before memory is taken."""

import engines
import pytest
import torch

from fastsvc.checkpoints import read
from fastsvc.config import SourceFilterConfig
from fastsvc.errors import CheckpointError

SMALL = SourceFilterConfig(channels=16, blocks=2, bands=24)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return engines.native(tmp_path_factory.mktemp("vocoder") / "filters.pt", "vocoder", SMALL)


SIZES = {
    "channels": (0, 2**40, -1),
    "blocks": (513, 0),
    "kernel": (4, 257),
    "bands": (1, 2**20),
    "gain_points": (3, 0),
    "transform_samples": (2**20, 768, 1500),
    "expansion": (17,),
    "family": ("source-filter",),
    "colour": (3,),
}


@pytest.mark.parametrize("key, value", [(key, value) for key, values in SIZES.items() for value in values])
def test_sizes_are_refused_before_anything_is_made_of_them(checkpoint, tmp_path, key, value):
    assert "filters.pt" in refused(tmp_path, checkpoint, lambda plain: plain["config"]["model"].update({key: value}))


@pytest.mark.parametrize("key, value", [("fft_samples", 2**16), ("bins", 1024), ("hop_samples", 255)])
def test_a_mel_whose_tables_would_take_gigabytes(checkpoint, tmp_path, key, value):
    wrong = {"window_samples": 2**10, key: value}
    assert key in refused(tmp_path, checkpoint, lambda plain: plain["config"]["model"]["mel"].update(wrong))


def test_more_blocks_than_there_are(checkpoint, tmp_path):
    text = refused(tmp_path, checkpoint, lambda plain: plain["config"]["model"].update(blocks=500))
    assert text.endswith("config has 500 layers, the file 24 tensors (copy or train the checkpoint again)")


def test_damaged_tensors(checkpoint, tmp_path):
    def drop(plain):
        del plain["model"]["leave.weight"]

    def reshape(plain):
        plain["model"]["blocks.1.scale"] = torch.ones(15)

    def spoil(plain):
        plain["model"]["enter.bias"][3] = float("nan")

    def add(plain):
        plain["model"]["spread"] = torch.ones(80, 769)

    for change, words in (
        (drop, "missing: leave.weight"),
        (reshape, "blocks.1.scale has shape 15 instead of 16"),
        (spoil, "enter.bias"),
        (add, "unexpected: spread"),
    ):
        assert words in refused(tmp_path, checkpoint, change)


def refused(folder, checkpoint, change) -> str:
    """The one line with which reading a changed checkpoint ends, having taken next to no memory."""
    import tracemalloc

    plain = torch.load(checkpoint, weights_only=True)
    change(plain)
    torch.save(plain, folder / "filters.pt")
    tracemalloc.start()
    try:
        with pytest.raises(CheckpointError) as caught:
            read(folder / "filters.pt")
        assert tracemalloc.get_traced_memory()[1] < 20 * 2**20
    finally:
        tracemalloc.stop()
    assert "\n" not in str(caught.value)
    return str(caught.value)
