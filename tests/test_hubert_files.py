"""Readers of HuBERT and ContentVec: both layouts, every fault named."""

import json
import shutil

import huberts
import pytest
import torch

from fastsvc.checkpoints import read
from fastsvc.checkpoints.readers.fairseq import fairseq_name
from fastsvc.commands.inspect import describe
from fastsvc.config import HubertConfig
from fastsvc.errors import CheckpointError
from fastsvc.model.hubert import Hubert
from fastsvc.reading import inert, loading


def same(checkpoint, state):
    assert list(checkpoint.tensors) == list(state)
    for name, value in state.items():
        torch.testing.assert_close(checkpoint.tensors[name], value, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
def test_huggingface(tmp_path, name):
    folder = huberts.huggingface(tmp_path / "hub", name=name)
    for path in (folder, folder / name):
        checkpoint = read(path)
        assert (checkpoint.format, checkpoint.kind, checkpoint.path) == ("huggingface", "hubert", folder / name)
        assert checkpoint.config == huberts.TINY
        same(checkpoint, huberts.tensors())
    assert "HuBERT, 3 layers × 32 channels, final_proj to 8" in describe(folder)


@pytest.mark.parametrize("prefix", ["", "hubert."])
@pytest.mark.parametrize("parametrised", [False, True])
def test_other_names_of_the_same(tmp_path, prefix, parametrised):
    torch.save(huberts.huggingface_state(huberts.tensors(), prefix, parametrised), tmp_path / "pytorch_model.bin")
    (tmp_path / "config.json").write_text(json.dumps(huberts.huggingface_config()))
    same(read(tmp_path), huberts.tensors())


def test_a_folded_file_of_another_name_without_its_config(tmp_path):
    config = HubertConfig(channels=128, layers=2, heads=2, hidden=24, projection=8, conv_channels=(16,) * 7)
    torch.save(huberts.tensors(config), tmp_path / "contentvec.pt")
    (tmp_path / "config.json").write_text('{"model": {"speech_encoder": "vec768l12"}}')  # of so-vits-svc
    checkpoint = read(tmp_path / "contentvec.pt")
    assert checkpoint.config == config  # heads of 64 channels
    same(checkpoint, huberts.tensors(config))


@pytest.mark.parametrize("whole", [True, False])
def test_fairseq(tmp_path, whole):
    config = HubertConfig(channels=64, layers=3, heads=1, hidden=24, projection=8, conv_channels=(16,) * 7)
    path = huberts.fairseq(tmp_path / "checkpoint_best_legacy_500.pt", config)
    if not whole:
        torch.save(loading.load(path)["model"], path := tmp_path / "model_alone.pt")
    checkpoint = read(path)
    assert (checkpoint.format, checkpoint.kind, checkpoint.config) == ("fairseq", "hubert", config)
    same(checkpoint, huberts.tensors(config))


def test_fairseq_tells_its_heads_and_half_precision(tmp_path):
    path = huberts.fairseq(tmp_path / "hubert_base.pt", edit=lambda s: s.update({k: v.half() for k, v in s.items()}))
    checkpoint = read(path)
    assert checkpoint.config == huberts.TINY and checkpoint.notes == ("stored in half precision",)
    assert all(value.dtype == torch.float32 for value in checkpoint.tensors.values())


def test_fairseq_names_are_those_of_the_table():
    with torch.device("meta"):
        names = Hubert(HubertConfig(projection=256)).state_dict()
    theirs = set(huberts.fairseq_state({name: value.cpu() for name, value in huberts.tensors().items()}))
    got = {fairseq_name(name) for name in names}
    assert {name for name in got if ".layers." not in name} == {
        name.replace("weight_g", "weight") for name in theirs if "weight_v" not in name and ".layers." not in name
    } - {"mask_emb", "label_embs_concat"}
    assert len(got) == len(names) and "encoder.layers.11.self_attn.q_proj.bias" in got


def test_settings_in_the_containers_of_omegaconf(tmp_path):
    """With the names that omegaconf 2.3 writes."""
    metadata = huberts.foreign(
        "omegaconf.base.ContainerMetadata",
        state={
            "ref_type": huberts.foreign("typing.Any"),
            "key_type": huberts.foreign("builtins.dict"),
            "resolver_cache": huberts.foreign("collections.defaultdict", dict),
        },
    )
    node = huberts.foreign("omegaconf.nodes.AnyNode", state={"_val": 1})
    settings = huberts.foreign(
        "omegaconf.dictconfig.DictConfig", state={"_metadata": metadata, "_content": {"a": node}}
    )
    path = huberts.fairseq(tmp_path / "a.pt", cfg=settings)
    assert isinstance(loading.load(path)["cfg"], inert.Inert)
    with pytest.raises(CheckpointError, match="heads"):  # nothing tells that this one has 4 of 8 channels, not of 64
        read(huberts.fairseq(tmp_path / "a.pt", cfg={"model": {"encoder_attention_heads": 5}}))


@pytest.mark.parametrize("form", ["huggingface", "fairseq"])
@pytest.mark.parametrize(
    "fault, name",
    [
        ("drop", "encoder.layers.1.attention.k_proj.bias"),
        ("drop", "feature_projection.projection.weight"),
        ("drop", "final_proj.weight"),
        ("drop", "feature_extractor.conv_layers.0.layer_norm.bias"),
        ("rename", "encoder.layers.2.feed_forward.intermediate_dense.weight"),
        ("rename", "feature_extractor.conv_layers.4.conv.weight"),
        ("rename", "encoder.pos_conv_embed.conv.bias"),
        ("shape", "encoder.layers.0.feed_forward.intermediate_dense.weight"),
        ("shape", "encoder.layers.0.feed_forward.output_dense.bias"),
        ("shape", "feature_projection.projection.weight"),
        ("shape", "feature_extractor.conv_layers.3.conv.weight"),
        ("shape", "encoder.layer_norm.weight"),
    ],
)
def test_every_fault_is_named(tmp_path, form, fault, name):
    key = fairseq_name(name) if form == "fairseq" else name

    def edit(state):
        value = state.pop(key)
        if fault == "rename":
            state[key + "_x"] = value
        if fault == "shape":
            state[key] = torch.zeros(*(size + 1 for size in value.shape))

    path = (
        huberts.fairseq(tmp_path / "a.pt", edit=edit) if form == "fairseq" else huberts.huggingface(tmp_path, edit=edit)
    )
    with pytest.raises(CheckpointError) as error:
        read(path)
    told = str(error.value)
    assert {"drop": f"missing: {key}", "rename": f"unexpected: {key}_x", "shape": f"{key} has shape"}[fault] in told
    assert told.count("missing") == (fault != "shape") and told.count("has shape") == (fault == "shape")


@pytest.mark.parametrize("form", ["huggingface", "fairseq"])
@pytest.mark.parametrize("fault", ["drop weight_g", "drop weight_v", "shape weight_g", "shape weight_v"])
def test_faults_of_the_weight_norm(tmp_path, form, fault):
    key = ("encoder.pos_conv.0." if form == "fairseq" else "encoder.pos_conv_embed.conv.") + fault.split()[1]

    def edit(state):
        value = state.pop(key)
        if fault.startswith("shape"):
            state[key] = value.transpose(0, 2).contiguous()

    path = (
        huberts.fairseq(tmp_path / "a.pt", edit=edit) if form == "fairseq" else huberts.huggingface(tmp_path, edit=edit)
    )
    with pytest.raises(CheckpointError, match=f"missing: {key}" if fault.startswith("drop") else f"{key} has shape"):
        read(path)


def test_values_that_are_no_numbers(tmp_path):
    path = huberts.fairseq(tmp_path / "a.pt", edit=lambda state: state["layer_norm.bias"].fill_(torch.nan))
    with pytest.raises(CheckpointError, match="layer_norm.bias holds values that are not finite"):
        read(path)


@pytest.mark.parametrize(
    "changes, why",
    [
        ({"do_stable_layer_norm": True}, "do_stable_layer_norm is True"),
        ({"feat_extract_norm": "layer"}, "feat_extract_norm is 'layer'"),
        ({"num_hidden_layers": 10**9}, "layers is 1000000000, outside 1 … 512"),
        ({"num_hidden_layers": "12"}, "layers: int is expected"),
        ({"hidden_size": 2**40, "num_attention_heads": 1}, "channels is 1099511627776, outside"),
        ({"num_attention_heads": 5}, "divide by heads"),
        ({"conv_stride": [5, 2]}, "one number for each"),
        ({"num_hidden_layers": 2}, "unexpected: encoder.layers.2"),
        ({"num_hidden_layers": 4}, "missing: encoder.layers.3"),
    ],
)
def test_a_config_that_does_not_fit(tmp_path, changes, why):
    with pytest.raises(CheckpointError, match=why):
        read(huberts.huggingface(tmp_path, **changes))


def test_the_large_model_of_fairseq_is_refused(tmp_path):
    path = huberts.fairseq(tmp_path / "a.pt", cfg={"model": {"layer_norm_first": True}})
    with pytest.raises(CheckpointError, match="base kind"):
        read(path)


def test_a_folder_of_neither_kind(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(CheckpointError, match="is a folder"):
        read(tmp_path)
    shutil.rmtree(tmp_path)
    with pytest.raises(CheckpointError, match="no such file"):
        read(tmp_path)
