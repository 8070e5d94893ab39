"""Readers: what they recognise, and one clear line for everything that is wrong."""

import pickle
import shutil
import zipfile

import engines
import golden
import pytest
import torch

from fastsvc.checkpoints import read
from fastsvc.config import PitchConfig, VerifierConfig, to_dict
from fastsvc.errors import CheckpointError

SMALL = golden.FOLDER / "comosvc_small"
M4GAN = golden.FOLDER / "m4gan_small" / "model_ckpt_steps_1970000.ckpt"


def test_comosvc_student():
    checkpoint = read(SMALL / "student.pt")
    assert (checkpoint.format, checkpoint.kind) == ("comosvc", "student")
    assert checkpoint.config == golden.acoustic_config("comosvc_small").__class__(
        features=checkpoint.config.features,
        condition=golden.acoustic_config("comosvc_small").condition,
        denoiser=golden.acoustic_config("comosvc_small").denoiser,
    )
    assert checkpoint.config.features.encoder == "vec768l12" and checkpoint.config.features.f0_method == "dio"
    assert checkpoint.speakers == tuple(f"SINGER{i}" for i in range(6)) and checkpoint.speaker_base == 0
    assert checkpoint.input_peak == 0.95
    # sampling uses denoise_fn, not its averaged or pretrained copies
    raw = torch.load(SMALL / "student.pt", weights_only=True)["model"]
    name = "residual_layers.2.dilated_conv.weight"
    assert torch.equal(checkpoint.tensors["denoiser." + name], raw["decoder.denoise_fn." + name])
    assert not any("ema" in key or "pe." in key or "pretrained" in key for key in checkpoint.tensors)


def test_comosvc_teacher_of_one_speaker():
    checkpoint = read(golden.FOLDER / "comosvc_wide" / "teacher.pt")
    assert checkpoint.kind == "teacher" and checkpoint.config.condition.speakers == 1
    assert "condition.spk_embed.weight" not in checkpoint.tensors


def test_m4gan():
    checkpoint = read(M4GAN)
    assert checkpoint.kind == "vocoder" and checkpoint.config == golden.VOCODER
    assert not any(key.endswith(("_g", "_v")) for key in checkpoint.tensors)


@pytest.mark.parametrize(
    "kind, config",
    [
        ("teacher", engines.ACOUSTIC),
        ("student", engines.ACOUSTIC),
        ("dmo", engines.ACOUSTIC),
        ("vocoder", engines.VOCODER),
        ("recogniser", engines.CONTENT),
        ("singer", VerifierConfig(channels=8, layers=2, embedding=4, singers=("a", "b"))),
        ("pitch", PitchConfig(channels=8, layers=2)),
    ],
)
def test_native(tmp_path, kind, config):
    checkpoint = read(engines.native(tmp_path / "a.pt", kind, config))
    assert (checkpoint.format, checkpoint.kind, checkpoint.step) == ("fastsvc", kind, 12)
    assert checkpoint.config == config
    assert checkpoint.acoustic == (checkpoint.speakers == engines.SPEAKERS)


def test_native_prefers_the_averaged_weights(tmp_path):
    path = engines.native(tmp_path / "a.pt", "vocoder", engines.VOCODER)
    content = torch.load(path, weights_only=True)
    content["ema"] = {"module." + name: value + 1 for name, value in content["model"].items()}
    torch.save(content, path)
    assert torch.equal(read(path).tensors["conv_pre.bias"], content["model"]["conv_pre.bias"] + 1)


def altered(tmp_path, change):
    """A copy of the small student with its config; ``change`` edits the state dict in place."""
    shutil.copy(SMALL / "config.yaml", tmp_path / "config.yaml")
    content = torch.load(SMALL / "student.pt", weights_only=True)
    change(content["model"])
    torch.save(content, tmp_path / "model.pt")
    return tmp_path / "model.pt"


@pytest.mark.parametrize(
    "change, parts",
    [
        (lambda m: m.pop("decoder.denoise_fn.mlp.0.bias"), ["missing: decoder.denoise_fn.mlp.0.bias"]),
        (lambda m: m.pop("unit_embed.weight"), ["missing: unit_embed.weight"]),
        (lambda m: m.update({"lora.a": torch.zeros(1)}), ["unexpected: lora.a"]),
        (
            lambda m: m.update({"f0_embed.bias": torch.zeros(7), "spk_embed.weight": torch.zeros(2, 32)}),
            ["f0_embed.bias has shape 7 instead of 32", "spk_embed.weight has shape 2×32 instead of 6×32"],
        ),
        (lambda m: m.update({"f0_embed.bias": torch.full((32,), torch.inf)}), ["f0_embed.bias", "not finite"]),
        (lambda m: m.update({"f0_embed.bias": torch.zeros(32, dtype=torch.int32)}), ["f0_embed.bias", "int32"]),
        (lambda m: m.update({"f0_embed.bias": 3}), ["f0_embed.bias", "not a tensor"]),
        (lambda m: m.update({"decoder.betas": torch.zeros(5)}), ["decoder.betas"]),
    ],
)
def test_each_fault_is_named(tmp_path, change, parts):
    with pytest.raises(CheckpointError) as caught:
        read(altered(tmp_path, change))
    for part in parts:
        assert part in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_tensor_larger_than_its_memory(tmp_path):
    huge = torch.zeros(1).expand(2**40)
    with pytest.raises(CheckpointError, match="more than the file holds"):
        read(altered(tmp_path, lambda m: m.update({"f0_embed.bias": huge})))


def test_a_configuration_of_absurd_size_costs_nothing(tmp_path):
    path = altered(tmp_path, lambda m: None)
    for old, new in (("n_layers: 4", "n_layers: 100000000"), ("n_chans: 64", "n_chans: 1000000000")):
        config = tmp_path / "other.yaml"
        config.write_text((SMALL / "config.yaml").read_text().replace(old, new))
        with pytest.raises(CheckpointError):
            read(path, config)
    plain = to_dict(engines.ACOUSTIC)
    plain["denoiser"]["layers"] = 10**9
    path = engines.native(tmp_path / "n.pt", "student", engines.ACOUSTIC, config={"model": plain})
    with pytest.raises(CheckpointError, match="layers"):
        read(path)


def test_code_in_a_pickle_is_not_run(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    (tmp_path / "a.pt").write_bytes(pickle.dumps({"model": Bomb()}))
    torch.save({"model": Bomb()}, tmp_path / "b.pt")
    for name in ("a.pt", "b.pt"):
        with pytest.raises(CheckpointError, match="tensors"):
            read(tmp_path / name)
    assert not (tmp_path / "ran").exists()


def test_files_that_are_no_checkpoints(tmp_path):
    (tmp_path / "empty.pt").touch()
    (tmp_path / "text.pt").write_text("hello, I am a model")
    (tmp_path / "cut.pt").write_bytes((SMALL / "teacher.pt").read_bytes()[:50_000])
    torch.save([1, 2], tmp_path / "list.pt")
    torch.save({"weights": torch.zeros(2)}, tmp_path / "other.pt")
    with zipfile.ZipFile(tmp_path / "zip.pt", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"\0" * 10_000_000)
    for name in ("empty.pt", "text.pt", "cut.pt", "list.pt", "other.pt", "zip.pt", "none.pt", "."):
        with pytest.raises(CheckpointError) as caught:
            read(tmp_path / name)
        assert str(tmp_path / name) in str(caught.value) and "\n" not in str(caught.value)


def test_a_file_of_the_old_serialisation_is_read(tmp_path):
    shutil.copy(M4GAN.with_name("config.yaml"), tmp_path / "config.yaml")
    content = torch.load(M4GAN, weights_only=True)
    torch.save(content, tmp_path / "old.ckpt", _use_new_zipfile_serialization=False)
    assert torch.equal(read(tmp_path / "old.ckpt").tensors["conv_pre.weight"], read(M4GAN).tensors["conv_pre.weight"])


@pytest.mark.parametrize(
    "old, new, part",
    [
        ("n_layers: 4", "layers: 4", "model.n_layers is missing"),
        ("n_layers: 4", "n_layers: four", "model.n_layers is 'four'"),
        ("n_layers: 4", "n_layers: -4", "outside"),
        ("SINGER5: 5", "SINGER5: 6", "spk.SINGER5"),
        ("nearest", "nicest", "unit_align"),
        ("data:", "data: [", "cannot be read"),
    ],
)
def test_faults_of_the_yaml(tmp_path, old, new, part):
    (tmp_path / "c.yaml").write_text((SMALL / "config.yaml").read_text().replace(old, new, 1))
    with pytest.raises(CheckpointError, match=part):
        read(SMALL / "student.pt", tmp_path / "c.yaml")


def test_missing_yaml_and_needless_config(tmp_path):
    shutil.copy(SMALL / "teacher.pt", tmp_path)
    with pytest.raises(CheckpointError, match="--config"):
        read(tmp_path / "teacher.pt")
    path = engines.native(tmp_path / "n.pt", "student", engines.ACOUSTIC)
    with pytest.raises(CheckpointError, match="its own configuration"):
        read(path, SMALL / "config.yaml")


@pytest.mark.parametrize(
    "changes, part",
    [
        ({"version": 2}, "version 2"),
        ({"kind": "cat"}, "'cat'"),
        ({"config": {}}, "config.model"),
        ({"config": {"model": {"mels": 1}}}, "mels"),
        ({"model": {}}, "dict of tensors"),
        ({"speakers": ["one too", "many", "or", "few", "for", "this", "network"]}, "table of speakers"),
        ({"speakers": 3}, "table of speakers"),
        ({"speaker_f0_hz": ["high"]}, "table of speakers"),
    ],
)
def test_faults_of_native_files(tmp_path, changes, part):
    with pytest.raises(CheckpointError, match=part):
        read(engines.native(tmp_path / "n.pt", "student", engines.ACOUSTIC, **changes))
