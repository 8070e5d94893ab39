"""Upstream's acoustic formats: every fault is named by its key, other networks by their kind."""

import formats
import numpy as np
import pytest
import torch
import yaml

from fastsvc.checkpoints import read
from fastsvc.errors import CheckpointError


@pytest.mark.parametrize(
    "arrays, part",
    [
        ({"a": np.zeros(255)}, "not 256 floating-point numbers"),
        ({"a": np.full(256, np.nan)}, "'a' what holds values that are not finite"),
        ({}, "no speaker embedding"),
        ({"a": np.array(["x"] * 256)}, "not 256 floating-point"),
        ({"a": np.array([{}] * 256, dtype=object)}, "holds object"),
    ],
)
def test_faults_of_speaker_embeddings(tmp_path, arrays, part):
    np.savez(tmp_path / "v.npz", **arrays)
    with pytest.raises(CheckpointError, match=part):
        read(formats.comosvc_fork(tmp_path), speaker_vectors=tmp_path / "v.npz")


def edited(path, change):
    """The file with its state dict changed in place."""
    content = torch.load(path, weights_only=True)
    change(content["model"])
    torch.save(content, path)
    return path


KEYS = (
    "decoder.denoise_fn.residual_layers.1.dilated_conv.weight",
    "unit_embed.weight",
    "decoder.denoise_fn.mlp.2.bias",
)


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("name", formats.ACOUSTIC)
def test_each_fault_names_its_key(tmp_path, name, key):
    def rename(model):
        model[key + "_"] = model.pop(key)

    def reshape(model):
        model[key] = torch.cat([model[key], model[key]])

    for change, words in (
        (rename, (f"missing: {key}", f"unexpected: {key}_")),
        (reshape, (f"{key} has shape",)),
        (lambda model: model.pop(key), (f"missing: {key}",)),
    ):
        with pytest.raises(CheckpointError) as caught:
            read(edited(formats.ACOUSTIC[name](tmp_path), change))
        assert all(word in str(caught.value) for word in words), caught.value
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "change, part",
    [
        (lambda m: m.pop("decoder.betas"), "decoder.betas"),
        (lambda m: m.update({"decoder.betas": torch.linspace(1e-4, 0.02, 1000) ** 2 + 1e-5}), "linearly"),
        (lambda m: m.update({"decoder.betas": torch.linspace(-1, 0.02, 1000)}), "runs from"),
        (lambda m: m.update({"decoder.spec_min": torch.zeros(1, 1, 7)}), "decoder.spec_min"),
        (lambda m: m.pop("decoder.denoise_fn.input_projection.weight"), "input_projection.weight"),
    ],
)
def test_faults_of_the_chain(tmp_path, change, part):
    with pytest.raises(CheckpointError, match=part):
        read(edited(formats.diffusion_svc(tmp_path), change))


FOREIGN = {
    "Seed-VC": {"net": {"cfm": {"x": torch.zeros(1)}, "length_regulator": {"y": torch.zeros(1)}}},
    "over another network than that of 6.0 and 6.1": {
        "model": {"reflow_model.velocity_fn.a.weight": torch.zeros(1)},
        "global_step": 1,
    },
    "DDSP-SVC 4 or 5": {"model": {"ddsp_model.a": torch.zeros(1), "diff_model.b": torch.zeros(1)}},
    "so-vits-svc": {"model": {"enc_p.a": torch.zeros(1), "dec.b": torch.zeros(1), "emb_g.weight": torch.zeros(1)}},
    "Diffusion-SVC v2": {"model": {"unit_embed.weight": torch.zeros(1), "decoder.denoise_fn.layers.0": torch.zeros(1)}},
    "naive": {"model": {"unit_embed.weight": torch.zeros(1), "stack.0.weight": torch.zeros(1)}},
}


@pytest.mark.parametrize("name", FOREIGN)
def test_other_networks_are_named(tmp_path, name):
    torch.save(FOREIGN[name], tmp_path / "x.pt")
    with pytest.raises(CheckpointError, match=name) as caught:
        read(tmp_path / "x.pt")
    assert "different network" in str(caught.value) and "CoMoSVC" in str(caught.value)


def test_yaml_is_needed_and_checked(tmp_path):
    path = formats.diffusion_svc(tmp_path)
    values = yaml.safe_load((tmp_path / "config.yaml").read_text())
    values["model"]["n_layers"] = 4
    (tmp_path / "other.yaml").write_text(yaml.safe_dump(values))
    with pytest.raises(CheckpointError, match="missing: decoder.denoise_fn.residual_layers.3"):
        read(path, tmp_path / "other.yaml")
    (tmp_path / "config.yaml").unlink()
    with pytest.raises(CheckpointError, match="--config"):
        read(path)


@pytest.mark.parametrize("name", formats.ACOUSTIC)
def test_looking_needs_no_yaml(tmp_path, name):
    path = formats.ACOUSTIC[name](tmp_path)
    whole = read(path)
    (tmp_path / "config.yaml").unlink()
    seen = read(path, inspect_only=True)
    assert "config.yaml" in seen.missing[0]
    assert seen.config.denoiser == whole.config.denoiser and seen.config.condition == whole.config.condition
    assert seen.config.ddpm == whole.config.ddpm
