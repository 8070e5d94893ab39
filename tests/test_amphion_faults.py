"""Amphion's DiffComoSVC: every fault of its checkpoint, settings and the files beside is named."""

import json

import amphion_files as made
import numpy as np
import pytest
import torch

from fastsvc.checkpoints import read
from fastsvc.checkpoints.files import json5_file
from fastsvc.commands import inspect
from fastsvc.errors import CheckpointError

LAYER = "1.decoder.denoise_fn_ema.neural_network.residual_blocks.2."
ATTENTION = "1.encoder.conformer_encoder.attn_layers.1."


@pytest.mark.parametrize(
    "change, parts",
    [
        (
            lambda m: m.update({LAYER + "gau.wrong.weight": m.pop(LAYER + "gau.conv.weight")}),
            [f"missing: {LAYER}gau.conv.weight", f"unexpected: {LAYER}gau.wrong.weight"],
        ),
        (lambda m: m.pop(ATTENTION + "emb_rel_k"), [f"missing: {ATTENTION}emb_rel_k"]),
        (lambda m: m.pop("0.singer_encoder.nn.weight"), ["missing: 0.singer_encoder.nn.weight"]),
        (
            lambda m: m.update(
                {"0.whisper_encoder.nn.weight": torch.zeros(48, 25), LAYER + "out_proj.bias": torch.ones(3)}
            ),
            [
                "0.whisper_encoder.nn.weight has shape 48×25 instead of 48×24",
                f"{LAYER}out_proj.bias has shape 3 instead",
            ],
        ),
        (lambda m: m.update({"1.decoder.ssim.window": torch.zeros(1)}), ["unexpected: 1.decoder.ssim.window"]),
        (lambda m: m.update({"0.mert_encoder.nn.bias": torch.zeros(48)}), ["unexpected: 0.mert_encoder.nn.bias"]),
        (lambda m: m.update({LAYER + "out_proj.bias": torch.full((64,), torch.nan)}), ["out_proj.bias", "not finite"]),
        (
            lambda m: m.pop("1.decoder.denoise_fn_ema.diff_encoder.out.4.bias"),
            ["missing: 1.decoder.denoise_fn_ema.diff_encoder.out.4.bias"],
        ),
    ],
)
def test_each_fault_is_named(tmp_path, change, parts):
    tensors = made.state()
    change(tensors)
    with pytest.raises(CheckpointError) as caught:
        read(made.experiment(tmp_path / "x", tensors=tensors))
    for part in parts:
        assert part in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "key, value, part",
    [
        ("model.condition_encoder.merge_mode", "concat", "merge_mode is 'concat'"),
        ("model.condition_encoder.use_mert", True, "use_mert is True"),
        ("model.comosvc.sigma_max", 60, "sigma_max is 60.0"),
        ("model.diffusion.bidilconv.base_channel", None, "base_channel is missing"),
        ("model.diffusion.bidilconv.n_res_block", 10**9, "layers is 1000000000, outside"),
        ("model.condition_encoder.singer_table_size", "8", "singer_table_size is '8'"),
        ("preprocess.fmax", 13000, "high_hz"),
    ],
)
def test_faults_of_the_settings(tmp_path, key, value, part):
    plain = made.settings()
    *path, last = key.split(".")
    inner = plain
    for name in path:
        inner = inner[name]
    inner[last] = value
    with pytest.raises(CheckpointError, match=part) as caught:
        read(made.experiment(tmp_path / "x", plain=plain))
    assert "args.json" in str(caught.value) and "\n" not in str(caught.value)


def test_faults_of_the_files_beside(tmp_path):
    checkpoint = made.experiment(tmp_path / "x")
    top = tmp_path / "x"
    (top / "mel_max.npy").rename(top / "gone.npy")
    with pytest.raises(CheckpointError) as caught:
        read(checkpoint)
    assert all(part in str(caught.value) for part in ("mel_min.npy", "mel_max.npy", "DATASET/mel_min_max_stats"))
    assert "missing      mel_min.npy and mel_max.npy" in inspect.describe(checkpoint)
    np.save(top / "mel_max.npy", np.zeros(19, np.float32))
    with pytest.raises(CheckpointError, match=r"mel_max.npy holds float32 of shape \(19,\), not 20"):
        read(checkpoint)
    np.save(top / "mel_max.npy", np.full(20, -20.0))
    with pytest.raises(CheckpointError, match="each low must be below its high"):
        read(checkpoint)
    np.save(top / "mel_max.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(CheckpointError, match="mel_max.npy"):
        read(checkpoint)
    (top / "mel_max.npy").write_bytes(
        b"\x93NUMPY\x01\x00v\x00"
        + b"{'descr': '<f4', 'fortran_order': False, 'shape': (9000000000000,), }".ljust(117)
        + b"\n"
    )
    with pytest.raises(CheckpointError, match="mel_max.npy holds"):
        read(checkpoint)
    (top / "gone.npy").replace(top / "mel_max.npy")
    (top / "singers.json").write_text(json.dumps({"a": 8}))
    with pytest.raises(CheckpointError, match="singers.json: a is 8, outside 0 … 7"):
        read(checkpoint)
    (top / "singers.json").unlink()
    assert len(read(checkpoint).speakers) == 8
    (top / "args.json").rename(top / "other.json")
    with pytest.raises(CheckpointError, match="no args.json"):
        read(checkpoint)
    assert read(checkpoint, top / "other.json").kind == "student"


def test_json5():
    assert json5_file.parse('{"a": "x, ]", /* no */ "b": [1, 2,], // "c"\n "d": "http://e",}') == {
        "a": "x, ]",
        "b": [1, 2],
        "d": "http://e",
    }
