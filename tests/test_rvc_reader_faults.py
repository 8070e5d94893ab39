"""What is said of RVC's voices with faults: each names its tensor or its value, and none costs memory."""

import math
import tracemalloc

import pytest
import torch
from rvc_files import VOICES, content, edited, sized

from fastsvc.checkpoints import ReadOptions, read
from fastsvc.checkpoints.readers import rvc
from fastsvc.errors import CheckpointError


def refused(path, **options) -> str:
    with pytest.raises(CheckpointError) as caught:
        read(path, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_faults_of_tensors_are_all_named(tmp_path):
    def spoil(whole):
        weight = whole["weight"]
        weight["flow.flows.9.pre.weight"] = weight.pop("flow.flows.0.pre.weight")
        weight["enc_p.proj.bias"] = torch.zeros(3)
        weight["dec.cond.weight"] = torch.zeros(2, 2, 1)
        del weight["dec.conv_pre.bias"]

    text = refused(edited(tmp_path / "a.pth", change=spoil))
    for part in (
        "missing: flow.flows.0.pre.weight",
        "unexpected: flow.flows.9.pre.weight",
        "missing: dec.conv_pre.bias",
    ):
        assert part in text
    assert "enc_p.proj.bias has shape 3 instead of 48" in text and "dec.cond.weight has shape 2×2×1" in text


@pytest.mark.parametrize(
    "change, part",
    [
        (lambda w: w.pop("dec.ups.0.weight_g"), "missing: dec.ups.0.weight_g"),
        (lambda w: w.update({"dec.ups.0.weight_g": torch.ones(16, 1, 1)}), "dec.ups.0.weight_g has shape"),
        (lambda w: w.update({"dec.ups.0.weight_g": torch.ones(32, 1, 1, dtype=torch.complex64)}), "is torch.complex64"),
        (lambda w: w.update({"dec.ups.0.weight": torch.ones(32, 16, 16)}), "are one weight"),
        (lambda w: w.update({"dec.ups.0.weight_g": torch.ones(()), "dec.ups.0.weight_v": torch.ones(())}), "has shape"),
        (lambda w: w.update({"emb_g.weight": torch.ones(16)}), "emb_g.weight has shape"),
        (lambda w: w.update({"emb_g.weight": torch.full((109, 16), math.nan)}), "not finite"),
        (lambda w: w.update({"emb_g.weight": torch.full((109, 16), 3e38)}), "not finite"),
        (lambda w: w.update({"emb_g.weight": torch.ones(109, 16).int()}), "int32"),
        (lambda w: w.update({"emb_g.weight": torch.ones(109, 16).to_sparse()}), "not a plain array"),
        (lambda w: w.update({"emb_g.weight": torch.zeros(1).expand(2**20, 2**20)}), "more than the file holds"),
        (lambda w: w.update({"emb_g.weight": torch.zeros(70_000, 16)}), "speakers is 70000"),
        (lambda w: w.update({3: torch.zeros(1)}), "not a tensor"),
        (lambda w: w.pop("enc_p.emb_pitch.weight"), "missing: enc_p.emb_pitch.weight"),
    ],
)
def test_each_fault_names_its_tensor(tmp_path, change, part):
    def spoil(whole):
        change(whole["weight"])
        if torch.is_tensor(whole["weight"].get("emb_g.weight")) and "finite" in part:
            whole["weight"]["dec.cond.weight"] = torch.full((32, 16, 1), 10.0)

    assert part in refused(edited(tmp_path / "a.pth", change=spoil))


@pytest.mark.parametrize(
    "values, part",
    [
        ({"version": "v3"}, "version 'v3'"),
        ({"version": 2}, "version 2"),
        ({"version": ["v2"]}, "version ['v2']"),
        ({"f0": 7}, "f0 is 7"),
        ({"f0": [1]}, "f0 is [1]"),
        ({"f0": 0}, "unexpected: enc_p.emb_pitch.weight"),
        ({"version": "v1"}, "enc_p.emb_phone.weight has shape"),
        ({"config": None}, "its config is None"),
        ({"change": sized(9, "1" * 10**6)}, "unknown resblock '1"),
        ({"config": {"data": 1}}, "not a list of 18 sizes"),
        ({"config": [1] * 17}, "17 values"),
        ({"weight": {"enc_p.emb_phone.weight": "x"}}, "is not a tensor"),
    ],
)
def test_faults_of_values(tmp_path, values, part):
    text = refused(edited(tmp_path / "a.pth", **values))
    assert part in text and len(text) < 1000


ABSURD = [-1, 0, 2**40, 10**300, "x", None, True, 1.5, [], {}, torch.zeros(2)]


def test_absurd_sizes():
    """Refused without memory for them, by the size's name where it is one that the file alone can have wrong."""
    whole, path = content() | {"sr": None}, VOICES["v2_40k"]
    tracemalloc.start()
    try:
        for place in (2, 3, 4, 5, 6, 7, 10, 11, 12, 13, 14, 16, 17):
            for value in ABSURD:
                changed = dict(whole)
                sized(place, value)(changed)
                with pytest.raises(CheckpointError):
                    rvc.read(changed, path, ReadOptions())
        assert tracemalloc.get_traced_memory()[1] < 100 * 2**20
    finally:
        tracemalloc.stop()


def test_a_product_larger_than_the_file(tmp_path):
    """The generator's table of speakers is a product of two small tensors."""

    def spoil(whole):
        sized(13, 512)(whole)
        whole["weight"]["emb_g.weight"] = torch.zeros(40_000, 16)

    assert "40000 speakers with 512 initial_channels are too many" in refused(edited(tmp_path / "a.pth", change=spoil))


def test_lists_inside_the_list(tmp_path):
    loop: list = []
    loop.append(loop)
    for place, value in ((11, [[1] * 5000] * 3), (12, [2] * 5000), (10, [[3]]), (11, [["1"]]), (9, [1]), (9, "3")):
        refused(edited(tmp_path / "a.pth", change=sized(place, value)))
    assert "nests deeper" in refused(edited(tmp_path / "a.pth", change=sized(12, loop)))


def test_options_that_do_not_apply(tmp_path):
    path = VOICES["v2_40k"]
    (tmp_path / "c.yaml").write_text("a: 1")
    assert "its own configuration" in refused(path, config=tmp_path / "c.yaml")
    assert "--era does not apply" in refused(path, era="plain")
    with pytest.raises(CheckpointError, match="holds a voice of RVC, but a vocoder is needed"):
        read(path).require(("vocoder",), "a vocoder")
    assert read(path, inspect_only=True).config == read(path).config
