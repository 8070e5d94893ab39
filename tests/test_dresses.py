"""One voice in every dress: wrapped, renamed, bare or as safetensors it is read as the same voice."""

import json
import shutil
from dataclasses import replace

import engines
import formats
import golden
import pytest
import torch
from dresses import DRESSES, FAMILIES, prefixed, same
from safetensors.torch import save_file

from fastsvc.checkpoints import read
from fastsvc.commands.inspect import describe
from fastsvc.errors import CheckpointError
from fastsvc.features.f0 import pitch_weights
from fastsvc.model.crepe import Crepe
from fastsvc.reading.loading import load

SOME = ("nested", "inner", "lightning", "bare", "state_dict")


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.sampled(3)
def test_every_dress_of_every_family(tmp_path, family):
    make, keys = FAMILIES[family]
    path = make(tmp_path / "a")
    want, content = read(path), load(path)
    assert want.format == family and want.weights == (".".join(keys) or "the file itself")
    state = content
    for key in keys:
        state = state[key]
    for name in DRESSES if family == "comosvc" else SOME[: 2 if family == "amphion" else None]:
        dress = DRESSES[name]
        path.unlink()  # what was read of it is memory-mapped
        torch.save(dress(dict(state)), path)
        got = read(path)
        same(got, want)
        assert got.weights != want.weights or name in ("a counter", "bare"), name
    assert f"weights      {got.weights}" in describe(path), name
    path.unlink()
    torch.save(DRESSES["nested"](dict(state)), path, _use_new_zipfile_serialization=False)
    same(read(path), want)
    whole = {name: value.clone().contiguous() for name, value in state.items()}
    for name, dress in (("bare", dict), ("wrapped", prefixed("module.model."))):
        save_file(dress(whole), path.with_name(f"{name}.safetensors"))
        same(read(path.with_name(f"{name}.safetensors")), want)
    path.unlink()
    save_file(whole, path)  # under a name that says otherwise
    same(read(path), want)


def test_a_folder_with_safetensors(tmp_path):
    path = formats.sovits(tmp_path)
    want, state = read(path), torch.load(path, weights_only=True)["model"]
    path.unlink()
    save_file(state, tmp_path / "singer.safetensors")
    same(read(tmp_path), replace(want, path=tmp_path))


def test_averaged_weights_are_taken_and_said(tmp_path):
    path = formats.diffusion_svc(tmp_path)
    want, state = read(path), torch.load(path, weights_only=True)["model"]
    averaged = {name: value + 1 for name, value in state.items() if name.endswith("weight")}  # not what is no parameter
    for content in (
        {"model": state, "ema": averaged},
        {"state_dict": prefixed("model.")(state) | prefixed("ema_model.")(averaged)},
        {"model": state, "model_ema": {"decay": 0.99, "shadow": prefixed("module.")(averaged)}},
        prefixed("online_model.")(state) | prefixed("ema_model.module.")(averaged),
    ):
        torch.save(content, tmp_path / "b.pt")
        got = read(tmp_path / "b.pt")
        name = "denoiser.input_projection."
        assert torch.equal(got.tensors[name + "weight"], want.tensors[name + "weight"] + 1)
        assert torch.equal(got.tensors[name + "bias"], want.tensors[name + "bias"]) and got.config == want.config
        assert "averaged weights" in got.notes[-1] and "tensors that it lacks" in got.notes[-1]
        assert "ema" in got.weights and "not the last ones" in describe(tmp_path / "b.pt")
        (tmp_path / "b.pt").unlink()
    torch.save({"model": state, "state_dict": averaged}, tmp_path / "b.pt")
    got = read(tmp_path / "b.pt")
    same(got, want)
    assert got.weights == "model" and "left out: state_dict" in got.notes[-1]


def test_names_that_are_one_behind_their_wrappers(tmp_path):
    path = formats.comosvc(tmp_path)
    state = torch.load(path, weights_only=True)["model"]
    torch.save({"model": state | {"module.unit_embed.bias": state["unit_embed.bias"]}}, tmp_path / "b.pt")
    with pytest.raises(CheckpointError, match="unit_embed.bias and module.unit_embed.bias are one name"):
        read(tmp_path / "b.pt")


def test_our_own_in_every_dress(tmp_path):
    path = engines.native(tmp_path / "a.pt", "student", engines.ACOUSTIC)
    want, content = read(path), torch.load(path, weights_only=True)
    assert want.weights == "model"
    for name in ("module", "compiled", "nested", "lightning"):
        (state,) = [value for key, value in DRESSES[name](content["model"]).items() if key in ("model", "state_dict")]
        torch.save(content | {"model": state}, tmp_path / "b.pt")
        same(read(tmp_path / "b.pt"), want)
        (tmp_path / "b.pt").unlink()
    save_file(prefixed("module.")(content["model"]), tmp_path / "c.safetensors")
    with pytest.raises(CheckpointError, match="weights of a checkpoint of fastsvc alone"):
        read(tmp_path / "c.safetensors")
    about = {key: value for key, value in content.items() if key not in ("model", "ema")}
    (tmp_path / "about.json").write_text(json.dumps(about))
    same(read(tmp_path / "c.safetensors", tmp_path / "about.json"), want)
    (tmp_path / "about.json").rename(tmp_path / "config.json")
    same(read(tmp_path / "c.safetensors"), want)


@pytest.mark.parametrize("kind, config", [("vocoder", engines.VOCODER), ("recogniser", engines.CONTENT)])
def test_our_own_other_networks_as_tensors_alone(tmp_path, kind, config):
    path = engines.native(tmp_path / "a.pt", kind, config)
    want, content = read(path), torch.load(path, weights_only=True)
    save_file(prefixed("module.")(content["model"]), tmp_path / "b.safetensors")
    with pytest.raises(CheckpointError, match="config.json|no known format"):
        read(tmp_path / "b.safetensors")
    about = {key: value for key, value in content.items() if key not in ("model", "ema")}
    (tmp_path / "config.json").write_text(json.dumps(about))
    same(read(tmp_path / "b.safetensors"), want)


def test_a_bare_generator_is_told_by_its_settings(tmp_path):
    """openvpi and M4Singer call their tensors alike."""
    for name, file in (("m4gan_small", "config.yaml"), ("nsf_hifigan_small", "config.json")):
        want = read(golden.FOLDER / name)
        state = load(want.path)
        state = state["state_dict"]["model_gen"] if "state_dict" in state else state["generator"]
        folder = tmp_path / name
        folder.mkdir()
        save_file({key: value.clone() for key, value in state.items()}, folder / "g.safetensors")
        shutil.copy(golden.FOLDER / name / file, folder / file)
        (folder / ("config.json" if file == "config.yaml" else "config.yaml")).write_text('{"editor": 1}')
        got = read(folder)
        same(got, want)
        assert got.format == name.removesuffix("_small")
        (folder / file).rename(folder / f"other{(folder / file).suffix}")
        same(read(folder / "g.safetensors", folder / f"other{(folder / file).suffix}"), want)


def test_a_combined_file_whose_names_are_wrapped(tmp_path):
    path = formats.diffusion_svc(tmp_path, combo=True)
    want, content = read(path), torch.load(path, weights_only=True)
    content["diff_model"]["model"] = prefixed("module.")(content["diff_model"]["model"])
    path.unlink()
    torch.save(content, path)
    same(read(path), want)
    assert read(path).weights.startswith("diff_model.model")


def test_networks_for_pitch_in_every_dress(tmp_path):
    torch.manual_seed(0)
    state = Crepe("tiny").state_dict()
    torch.save(state, tmp_path / "a.pth")
    want = pitch_weights.read("crepe-tiny", tmp_path / "a.pth").state_dict()
    for content in (prefixed("module.")(state), {"model": state}, {"state_dict": prefixed("model._orig_mod.")(state)}):
        torch.save(content, tmp_path / "b.pth")
        got = pitch_weights.read("crepe-tiny", tmp_path / "b.pth").state_dict()
        assert all(torch.equal(got[name], value) for name, value in want.items())
        (tmp_path / "b.pth").unlink()


def test_a_voice_whose_schedule_was_dropped(tmp_path):
    path = formats.sovits(tmp_path)
    state = torch.load(path, weights_only=True)["model"]
    bare = {name: value for name, value in state.items() if "denoise_fn" in name or "embed" in name}
    save_file(bare, tmp_path / "voice.safetensors")
    with pytest.raises(CheckpointError, match="lacks decoder.betas"):
        read(tmp_path / "voice.safetensors")
    (tmp_path / "config.yaml").unlink()
    with pytest.raises(CheckpointError, match="lacks decoder.betas"):
        describe(tmp_path / "voice.safetensors")


def test_other_layers_under_the_same_names_are_another_network(tmp_path):
    """LYNXNet and NaiveV2Diff call their layers as CoMoSVC does."""
    names = ("unit_embed.weight", "decoder.denoise_fn.residual_layers.0.diffusion_projection.weight")
    for prefix in ("", "module.", "module._orig_mod."):
        torch.save({"model": {prefix + name: torch.zeros(2, 2) for name in names}}, tmp_path / "a.pt")
        with pytest.raises(CheckpointError, match="Diffusion-SVC v2"):
            read(tmp_path / "a.pt")
