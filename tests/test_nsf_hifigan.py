"""openvpi's NSF-HiFi-GAN and PC-NSF-HiFi-GAN: equal to upstream's code, read as documented, every fault named."""

import json
import shutil
from dataclasses import replace

import engines
import golden
import openvpi
import pytest
import torch

from fastsvc import build, load
from fastsvc.artifact import engine_folder
from fastsvc.build.passes import measure
from fastsvc.checkpoints import read
from fastsvc.checkpoints.files.folder import checkpoint_in
from fastsvc.config import AcousticConfig, DenoiserConfig, MelConfig, to_dict
from fastsvc.engine import Engine
from fastsvc.engine.cpu.vocoder import Vocoder
from fastsvc.errors import CheckpointError
from fastsvc.model import source
from fastsvc.model.modules import module

NAMES = ["nsf_hifigan_small", "nsf_hifigan_two", "pc_nsf_small"]
SMALL = golden.FOLDER / "nsf_hifigan_small"
MEL = MelConfig(44100, 512, 2048, 2048, 128, 40.0, 16000.0, "e")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("frames", [1, 9])
def test_upstream_code_gives_the_same(name, frames):
    checkpoint, case = read(golden.FOLDER / name / "model"), golden.arrays(f"{name}/T{frames}")
    assert (checkpoint.format, checkpoint.kind, checkpoint.config.mel.log_base) == ("nsf_hifigan", "vocoder", "e")
    config, f0_hz = checkpoint.config, case["f0"]
    plain = module("vocoder", config).eval()
    plain.load_state_dict(checkpoint.tensors)
    noise = case["noise"].transpose(1, 2) if "noise" in case else None
    with torch.no_grad():
        for model in (plain, Vocoder(checkpoint.tensors, config)):
            audio = model(case["mel"].transpose(1, 2), case["source"][:, 0], noise)
            assert golden.relative(audio, case["wav"][:, 0]) < 1e-5
    start = case.get("start", torch.zeros(1, 1, 9)).clone()
    start[..., 0] = 0
    sines = source.harmonics(f0_hz, source.frame_phase(f0_hz, config), start, case.get("draws"), config)
    with torch.no_grad():
        assert golden.relative(plain.source(sines), case["source"][:, 0]) < 1e-4, "upstream's phase is float32"


@pytest.mark.slow
@pytest.mark.parametrize("mini, keys, parameters", [(False, 303, 14_178_956), (True, 293, 14_143_234)])
@pytest.mark.long
def test_full_size_builds_converts_and_comes_back(tmp_path, monkeypatch, mini, keys, parameters):
    """As documented, 303 keys and 14.18 M parameters; folded and lowered they give the same from engine to engine."""
    monkeypatch.setitem(measure.SECONDS_OF_AUDIO, "vocoder", 0.02)
    monkeypatch.setitem(measure.SECONDS_OF_AUDIO, "denoiser", 0.02)
    path = openvpi.full(tmp_path / "voc", mini_nsf=mini)
    raw = torch.load(path, weights_only=True)["generator"]
    assert len(raw) == keys and sum(t.numel() for t in raw.values()) == parameters
    checkpoint = read(path)
    assert checkpoint.config.mel == MEL and checkpoint.config.source == ("sine" if mini else "sines")
    student = engines.native(tmp_path / "student.pt", "student", acoustic(MEL))
    first, again = tmp_path / "first.fsvc", tmp_path / "again.fsvc"
    build.compile(student, first, vocoder=path.parent, steps=(1,), progress=None)
    build.compile(student, again, vocoder=first, steps=(1,), progress=None)
    stored = engine_folder.Artifact(first).tensors(engine_folder.VOCODER)
    assert all(torch.equal(stored[name], tensor) for name, tensor in checkpoint.tensors.items())
    assert json.loads((first / "manifest.json").read_text())["vocoder"]["unvoiced_f0"] == "interpolated"
    features = torch.randn(7, 6), 100 + 200 * torch.rand(7), torch.rand(7)
    # By one backend: which of a processor's is faster is measured while building, and they round in their own ways.
    audio, _ = Engine.open(first, vocoder_backend="torch").synthesise(*features, "Bert")
    assert audio.shape == (7 * 512,) and float(audio.std()) > 0.05
    engine = Engine.open(again, vocoder_backend="torch")
    assert torch.equal(engine.synthesise(*features, "Bert")[0], audio)
    ours = engine.manifest.vocoder
    assert ours == replace(
        engine_folder.Artifact(first).manifest.vocoder, source=ours.source, cpu_backend=ours.cpu_backend
    )


def acoustic(mel: MelConfig) -> AcousticConfig:
    return AcousticConfig(
        mel=mel,
        features=engines.ACOUSTIC.features,
        condition=engines.ACOUSTIC.condition,
        denoiser=DenoiserConfig(channels=16, layers=3, cond_channels=8, dilation_cycle=2, mel_bins=mel.bins),
    )


def changed(tmp_path, change, name="nsf_hifigan_small", config=None):
    """A copy of a small checkpoint; ``change`` edits its state dict in place."""
    tmp_path.mkdir(exist_ok=True)
    content = torch.load(golden.FOLDER / name / "model", weights_only=True)
    change(content["generator"])
    torch.save(content, tmp_path / "model")
    plain = json.loads((golden.FOLDER / name / "config.json").read_text()) | (config or {})
    (tmp_path / "config.json").write_text(json.dumps(plain))
    return tmp_path / "model"


def _rename(old: str, new: str):
    return lambda state: state.update({new: state.pop(old)})


@pytest.mark.parametrize(
    "change, parts",
    [
        (_rename("ups.1.bias", "ups.1.offset"), ["missing: ups.1.bias", "unexpected: ups.1.offset"]),
        (_rename("ups.1.weight_v", "up.1.weight_v"), ["missing: ups.1.weight_v", "missing: up.1.weight_g"]),
        (_rename("ups.1.weight_g", "ups.1.gain"), ["missing: ups.1.weight_g"]),
        (lambda s: s.update({"conv_post.bias": torch.zeros(2)}), ["conv_post.bias has shape 2 instead of 1"]),
        (lambda s: s.update({"conv_pre.weight_v": torch.ones(16, 20, 5)}), ["conv_pre.weight_v has shape 16×20×5"]),
        (lambda s: s.update({"conv_pre.weight_g": torch.ones(15, 1, 1)}), ["conv_pre.weight_g has shape (15, 1, 1)"]),
        (lambda s: s.pop("resblocks.2.convs2.1.bias"), ["missing: resblocks.2.convs2.1.bias"]),
        (lambda s: s.pop("m_source.l_linear.weight"), ["missing: m_source.l_linear.weight"]),
        (lambda s: s.pop("noise_convs.2.weight"), ["missing: noise_convs.2.weight"]),
        (lambda s: s["conv_pre.weight_v"].zero_(), ["conv_pre.weight_v", "not finite"]),
    ],
)
def test_each_fault_is_named(tmp_path, change, parts):
    with pytest.raises(CheckpointError) as caught:
        read(changed(tmp_path, change))
    assert all(part in str(caught.value) for part in parts), caught.value
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "change, part",
    [
        (_rename("source_conv.weight", "source.weight"), "missing: source_conv.weight; unexpected: source.weight"),
        (lambda s: s.update({"source_conv.weight": torch.ones(4, 1, 3)}), "source_conv.weight has shape 4×1×3"),
        (lambda s: s.pop("source_conv.bias"), "missing: source_conv.bias"),
    ],
)
def test_each_fault_of_pc_nsf_is_named(tmp_path, change, part):
    with pytest.raises(CheckpointError, match=part):
        read(changed(tmp_path, change, "pc_nsf_small"))


@pytest.mark.parametrize(
    "config, part",
    [
        ({"mini_nsf": True}, "missing: source_conv.weight"),
        ({"num_mels": 21}, "conv_pre.weight_v has shape 16×20×7 instead of 16×21×7"),
        ({"hop_size": 17}, "hop_samples is 17"),
        ({"upsample_rates": [4, 2.0, 2]}, "upsample_rates"),
        ({"upsample_rates": [-4, -2, 2]}, "outside"),
        ({"upsample_rates": [4, 2, 2] * 99}, "residual units"),
        ({"upsample_initial_channel": 2**62}, "initial_channels is .*, outside"),
        ({"resblock_kernel_sizes": [3, 4]}, "odd"),
        ({"resblock": "3"}, "resblock"),
        ({"sampling_rate": None}, "sampling_rate is missing"),
        ({"fmin": "40"}, "fmin"),
    ],
)
def test_faults_of_the_configuration(tmp_path, config, part):
    with pytest.raises(CheckpointError, match=part) as caught:
        read(changed(tmp_path, lambda state: None, config=config))
    assert str(tmp_path) in str(caught.value)


@pytest.mark.parametrize("text", ["", "[]", "{", "[" * 100_000, "\xff"])
def test_files_that_are_no_configuration(tmp_path, text):
    path = changed(tmp_path, lambda state: None)
    (tmp_path / "config.json").write_text(text, encoding="latin-1")
    with pytest.raises(CheckpointError, match="config.json"):
        read(path)
    (tmp_path / "config.json").unlink()
    with pytest.raises(CheckpointError, match="needs its configuration"):
        read(path)
    assert read(path, SMALL / "config.json").config == read(SMALL / "model").config


def _new_spelling(state):
    for name in [name for name in state if name.endswith(("_g", "_v"))]:
        number = "0" if name.endswith("_g") else "1"
        state[name.replace(".weight_", ".parametrizations.weight.original")[:-1] + number] = state.pop(name)


def test_weight_norm_in_every_spelling(tmp_path):
    want = read(SMALL / "model")
    assert want.notes == ("weight norm folded",)
    new = read(changed(tmp_path / "new", _new_spelling))
    folded = read(changed(tmp_path / "folded", lambda state: (state.clear(), state.update(want.tensors))))
    assert folded.notes == ()
    for name, tensor in want.tensors.items():
        assert torch.equal(new.tensors[name], tensor) and torch.equal(folded.tensors[name], tensor)
    with pytest.raises(CheckpointError, match=r"missing: ups.0.parametrizations.weight.original0"):
        read(changed(tmp_path, lambda s: (_new_spelling(s), s.pop("ups.0.parametrizations.weight.original0"))))


def test_a_folder_stands_for_the_checkpoint_in_it(tmp_path):
    for name in ("nsf_hifigan_small", "m4gan_small"):
        shutil.copytree(golden.FOLDER / name, tmp_path / name)
        assert checkpoint_in(tmp_path / name).name in ("model", "model_ckpt_steps_1970000.ckpt")
    shutil.copy(SMALL / "model", tmp_path / "nsf_hifigan_small" / "other.ckpt")
    with pytest.raises(CheckpointError, match="2 checkpoints: model, other.ckpt"):
        checkpoint_in(tmp_path / "nsf_hifigan_small")
    with pytest.raises(CheckpointError, match="without a checkpoint"):
        checkpoint_in(tmp_path)
    student = golden.FOLDER / "comosvc_small" / "student.pt"
    built = build.compile(student, tmp_path / "a.fsvc", vocoder=tmp_path / "m4gan_small", steps=(1,), progress=None)
    assert load(built).rate_hz == 24000


@pytest.mark.parametrize(
    "content, part",
    [
        ({"generator_state_dict": {"resblocks.0.activations.0.act.alpha": torch.ones(1)}}, r"Amphion \(BigVGAN\)"),
        ({"state_dict": {"generator.conv_pre.bias": torch.ones(1)}}, "export_ckpt.py"),
    ],
)
def test_vocoders_that_are_not_served_are_named(tmp_path, content, part):
    torch.save(content, tmp_path / "7.pt")
    with pytest.raises(CheckpointError, match=part):
        read(tmp_path / "7.pt")


def test_native_vocoders_with_the_new_sources(tmp_path):
    config = read(golden.FOLDER / "pc_nsf_small" / "model").config
    path = engines.native(tmp_path / "v.pt", "vocoder", config)
    assert read(path).config == config and to_dict(config)["noise_sigma"] == 0.25
