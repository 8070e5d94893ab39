"""Numbers that make no sense: refused with the key's name before any work; and none of them ever leaves an engine."""

import json
import shutil

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from engines import ACOUSTIC, build_engine, native
from recordings import put, tone
from safetensors.torch import load_file, save_file

import fastsvc
from fastsvc.artifact import engine_folder
from fastsvc.checkpoints import read
from fastsvc.cli import main
from fastsvc.config import AcousticConfig, HubertConfig, VocoderConfig, from_dict
from fastsvc.config.shown import shown
from fastsvc.data.pieces import read_transcript
from fastsvc.errors import AudioError, CheckpointError, ConfigError, EngineError
from fastsvc.training import run
from fastsvc.training.settings import read_settings


@pytest.mark.parametrize(
    "key, line",
    [
        ("steps", "steps: -5"),
        ("steps", "steps: 1e30"),
        ("minutes", "steps: 5\nminutes: .nan"),
        ("minutes", "minutes: .inf"),
        ("batch.size", "steps: 5\nbatch: {size: 1e9}"),
        ("size", "steps: 5\nbatch: {size: 1000000000}"),
        ("size × frames", "steps: 5\nbatch: {size: 60000, frames: 1000000}"),
        ("lr", "steps: 5\noptim: {lr: .inf}"),
        ("lr", "steps: 5\noptim: {lr: -1}"),
        ("betas", "steps: 5\noptim: {betas: [0.9, 1.5]}"),
        ("clip", "steps: 5\noptim: {clip: -1}"),
        ("save_every", "steps: 5\nsave_every: 0"),
        ("ema", "steps: 5\nema: .nan"),
        ("seed", "steps: 5\nseed: -1"),
        ("out", "steps: 5\nout: [1]"),
    ],
)
def test_settings_of_a_training(tmp_path, key, line):
    path = tmp_path / "run.yaml"
    path.write_text(("" if "out:" in line else f"out: {tmp_path / 'run'}\n") + line + "\n")
    with pytest.raises(ConfigError, match=key):
        run("teacher", path)
    assert [file.name for file in tmp_path.iterdir()] == ["run.yaml"]


def test_a_setting_that_is_needed_is_named(tmp_path):
    (tmp_path / "run.yaml").write_text("steps: 5\n")
    with pytest.raises(ConfigError, match="run.yaml.out is missing"):
        read_settings(tmp_path / "run.yaml")


@pytest.mark.slow
@pytest.mark.parametrize(
    "cls, given, key",
    [
        (AcousticConfig, {"denoiser": {"layers": 10**6}}, "layers is 1000000"),
        (AcousticConfig, {"denoiser": {"layers": 500, "dilation_cycle": 12}}, "halo_frames"),
        (AcousticConfig, {"mel": {"rate_hz": 2**31}}, "rate_hz is 2147483648"),
        (AcousticConfig, {"norm": {"low": [float("-inf")]}}, "low"),
        (AcousticConfig, {"edm": {"few_steps": [[80.0 - i / 1e6 for i in range(1001)]]}}, "few_steps"),
        (AcousticConfig, {"condition": {"speakers": 10**30}}, "speakers"),
        (AcousticConfig, {"ddpm": {"timesteps": 10**6}}, "timesteps"),
        (VocoderConfig, {"upsample_rates": [2] * 60_000}, "upsample_rates"),
        (VocoderConfig, {"resblock_dilations": [[1] * 60_000] * 3}, "resblock_dilations"),
        (HubertConfig, {"conv_strides": [1024] * 7, "conv_kernels": [1024] * 7}, "hop_samples"),
    ],
)
def test_configurations(cls, given, key):
    with pytest.raises(ConfigError, match=key):
        from_dict(cls, given)


def test_values_in_messages():
    endless = []
    endless.append(endless)
    assert len(shown(endless)) < 100 and shown(10**10_000) == "<a whole number of 33220 bits>"
    assert shown(torch.zeros(1).expand(2**40)) == "<Tensor>" and len(shown("x" * 10**6)) < 100


@pytest.mark.parametrize(
    "change, key",
    [
        ({"f0_hz": [1e38, 0.0]}, "f0_hz"),
        ({"f0_hz": [float("nan")]}, "f0_hz"),
        ({"f0_hz": [-1.0]}, "f0_hz"),
        ({"f0_hz": [[100.0]]}, "f0_hz"),
        ({"f0_hop_s": 0.0}, "f0_hop_s"),
        ({"f0_hop_s": float("inf")}, "f0_hop_s"),
        ({"phones": [["a", 0.0, float("nan")]]}, "phones"),
        ({"phones": [["a", 1.0, 0.5]]}, "phones"),
        ({"phones": [["a", 1.0, 2.0], ["a", 0.0, 1.0]]}, "phones"),
        ({"phones": 5}, "transcript"),
        ({"f0_hop_s": 10**400}, "digits"),
    ],
)
def test_transcripts(tmp_path, change, key):
    good = {"phones": [["a", 0.0, 0.5]], "f0_hz": [100.0, 0.0], "f0_hop_s": 0.005}
    path = tmp_path / "a.json"
    path.write_text(json.dumps(good))
    assert read_transcript(path, ("a",))["f0_hz"].tolist() == [100.0, 0.0]
    path.write_text(json.dumps(good | change))
    with pytest.raises(AudioError, match=key):
        read_transcript(path, ("a",))


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    return build_engine(tmp_path_factory.mktemp("engine"))


@pytest.mark.slow
@pytest.mark.parametrize("name", [engine_folder.WEIGHTS, engine_folder.VOCODER, engine_folder.CONTENT])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), 3e38])
@pytest.mark.sampled(3)
def test_numbers_inside_an_engine_never_leave_it(engine, tmp_path, name, value):
    """Weights that are no numbers, or too large: a line in place of a file, whatever part they are in."""
    path = shutil.copytree(engine, tmp_path / "e.fsvc")
    tensors = load_file(path / name)
    save_file({key: torch.full_like(tensor, value) for key, tensor in tensors.items()}, path / name)
    manifest = json.loads((path / engine_folder.MANIFEST).read_text())
    manifest["files"][name] = {"bytes": (path / name).stat().st_size, "sha256": engine_folder.sha256(path / name)}
    (path / engine_folder.MANIFEST).write_text(json.dumps(manifest))
    opened = fastsvc.load(path, device="cpu")
    try:
        made, _ = opened.convert(tone(0.2), 24000, 0)
        assert np.isfinite(made).all()
    except EngineError as error:
        assert "NaN or infinite" in str(error)
    put(tmp_path / "in" / "a.wav", tone(0.2))
    places = [str(tmp_path / "in"), "-o", str(tmp_path / "out"), "-m", str(path), "--spk", "0"]
    result = CliRunner().invoke(main, ["convert", *places, "--device", "cpu"])
    made = list((tmp_path / "out").rglob("*.wav"))
    assert result.exit_code == (0 if made else 1) and "Traceback" not in result.output
    if name == engine_folder.WEIGHTS:
        assert not made and "NaN or infinite" in result.stderr


def test_a_checkpoint_in_training_is_read_by_the_loader_of_all(tmp_path):
    from fastsvc.training import checkpoint

    path = native(tmp_path / "last.pt", "student", ACOUSTIC)
    assert checkpoint.load(path, "student")["step"] == 12
    content = torch.load(path)
    first = next(iter(content["model"]))
    for change, why in (
        ({"model": {**content["model"], first: torch.zeros(1).expand(2**40)}}, "more than the file holds"),
        ({"model": {**content["model"], first: torch.tensor([float("nan")])}}, "not finite"),
        ({"model": {**content["model"], first: 3}}, "not a tensor"),
        ({"step": -1}, "step is -1"),
        ({"step": "x"}, "step is 'x'"),
        ({"config": {}}, "config.model"),
        ({"speakers": [1]}, "speakers"),
        ({"speaker_f0_hz": [float("nan")]}, "speaker_f0_hz"),
        ({"kind": "vocoder"}, "holds a vocoder"),
    ):
        torch.save({**content, **change}, path)
        with pytest.raises(CheckpointError, match=why):
            checkpoint.load(path, "student")
    path = native(tmp_path / "b.pt", "student", ACOUSTIC, step=10**400)
    assert read(path).step == 0  # only told
