"""Reading voices of DDSP-SVC 6.0 and 6.1, and files that only look like them."""

from dataclasses import replace

import ddsp_golden
import pytest
import torch
import yaml

from fastsvc.checkpoints import read
from fastsvc.commands.inspect import describe
from fastsvc.errors import CheckpointError
from fastsvc.model.modules import module


def changed(path, **changes):
    """Keys of the YAML beside ``path``, as `section__key`."""
    file = path.with_name("config.yaml")
    values = yaml.safe_load(file.read_text())
    for name, value in changes.items():
        section, key = name.split("__")
        values[section][key] = value
    file.write_text(yaml.safe_dump(values))
    return path


def test_version_6_1(tmp_path):
    checkpoint = read(ddsp_golden.write(tmp_path))
    assert (checkpoint.format, checkpoint.kind, checkpoint.step) == ("ddsp_svc6", "ddsp", 100000)
    assert checkpoint.config.version == "6.1" and checkpoint.config.t_start == 0.7
    assert checkpoint.speaker_base == 1 and checkpoint.speakers == ("speaker 1", "speaker 2", "speaker 3")
    want = ddsp_golden.model("small_6.1").state_dict()
    assert checkpoint.tensors.keys() == want.keys()
    assert all(torch.equal(checkpoint.tensors[name], value) for name, value in want.items())


def test_version_6_0(tmp_path):
    checkpoint = read(ddsp_golden.write(tmp_path, state=ddsp_golden.small_6_0()))
    assert checkpoint.config == replace(ddsp_golden.SMALL, version="6.0", mel=checkpoint.config.mel, hidden_layers=3)
    assert not [name for name in checkpoint.tensors if "layers.0.norm" in name]


@pytest.mark.slow
@pytest.mark.parametrize("voice", ["full_6.0", "full_6.1"])
def test_full_sizes(tmp_path, voice):
    config = read(ddsp_golden.write(tmp_path, voice)).config
    assert config == replace(ddsp_golden.CONFIGS[voice], mel=config.mel)


def test_unused_tensors_may_be_missing_and_others_may_not(tmp_path):
    state = dict(ddsp_golden.weights("small_6.1"))
    del state["ddsp_model.unit2ctrl.f0_embed.weight"], state["ddsp_model.window"]
    assert read(ddsp_golden.write(tmp_path / "a", state=state)).config.version == "6.1"
    for change, part in (
        ({"ddsp_model.unit2ctrl.norm.weight": None}, "missing: ddsp_model.unit2ctrl.norm.weight"),
        ({"ddsp_model.unit2ctrl.stack2.0.weight_g": None}, "missing: ddsp_model.unit2ctrl.stack2.0.weight_g"),
        ({"ddsp_model.unit2ctrl.more.weight": torch.zeros(2)}, "unexpected: ddsp_model.unit2ctrl.more.weight"),
        ({"reflow_model.velocity_fn.norm.bias": torch.zeros(7)}, "norm.bias has shape 7 instead of 48"),
        ({"reflow_model.velocity_fn.norm.bias": torch.full((48,), float("nan"))}, "norm.bias"),
        ({"reflow_model.velocity_fn.input_projection.weight": torch.zeros(3)}, "input_projection.weight"),
        ({"ddsp_model.block_size": torch.tensor(128)}, "data.block_size is 64"),
        ({"ddsp_model.block_size": torch.zeros(3)}, "not a size"),
        ({"reflow_model.velocity_fn.norm.weight": None}, "neither DDSP-SVC 6.0 nor 6.1"),
    ):
        edited = {**ddsp_golden.weights("small_6.1"), **change}
        edited = {name: value for name, value in edited.items() if value is not None}
        with pytest.raises(CheckpointError, match=part) as caught:
            read(ddsp_golden.write(tmp_path / "b", state=edited))
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "change, part",
    [
        ({"model__n_layers": 4}, "missing: .*residual_layers.3"),
        ({"model__n_layers": 10**9}, "n_layers is 1000000000"),
        ({"model__n_chans": 10**9}, "channels is 1000000000"),
        ({"model__win_length": 512}, "model.win_length is 512"),
        ({"model__t_start": 1.5}, "t_start is 1.5"),
        ({"model__use_norm": True}, "missing: .*encoder_layers.0.conformer.net.0.weight"),
        ({"model__use_attention": True}, "missing: .*encoder_layers.0.attn.self_attn.in_proj_weight"),
        ({"model__n_spk": "three"}, "n_spk"),
    ],
)
def test_a_yaml_that_does_not_fit(tmp_path, change, part):
    with pytest.raises(CheckpointError, match=part):
        read(changed(ddsp_golden.write(tmp_path), **change))


def test_norms_and_attention_as_the_configuration_says(tmp_path):
    config = replace(ddsp_golden.SMALL, norm=True, attention=True)
    state = {**ddsp_golden.weights("small_6.1"), **module("ddsp", config).state_dict()}
    pairs = [name.removesuffix("_g") for name in state if name.endswith(".weight_g")]
    state = {name: value for name, value in state.items() if name not in pairs}
    path = changed(ddsp_golden.write(tmp_path, state=state), model__use_norm=True, model__use_attention=True)
    assert read(path).config == replace(read(path).config, norm=True, attention=True)


def test_inspect_needs_no_yaml(tmp_path):
    path = ddsp_golden.write(tmp_path)
    assert "DDSP-SVC 6.1" in describe(path)
    (tmp_path / "config.yaml").unlink()
    text = describe(path)
    assert "DDSP-SVC 6.1" in text and "config.yaml of the training run" in text
    with pytest.raises(CheckpointError, match="--config"):
        read(path)
