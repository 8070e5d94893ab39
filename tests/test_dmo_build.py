"""A few-step student's own levels, from its checkpoint through build into engine and sampler."""

import json
from dataclasses import replace

import engines
import golden
import pytest
import torch

from fastsvc import build, load
from fastsvc.checkpoints import read
from fastsvc.commands.inspect import describe
from fastsvc.errors import ConfigError
from fastsvc.model.acoustic import AcousticModel

LEVELS = ((80.0,), (80.0, 2.4, 1.0, 0.41))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """(checkpoint, engine) of a student that was trained at one and at four steps."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("few")
    config = replace(engines.ACOUSTIC, edm=replace(engines.ACOUSTIC.edm, few_steps=LEVELS))
    path = engines.native(folder / "dmo.pt", "dmo", config)
    return path, build.compile(path, folder / "dmo.fsvc", progress=None)


def test_build_takes_the_levels_that_were_trained(made):
    path, engine = made
    manifest = json.loads((engine / "manifest.json").read_text())
    assert manifest["sampler"] == "consistency" and manifest["source"]["kind"] == "dmo"
    assert manifest["schedules"] == {"1": [80.0], "4": pytest.approx([80.0, 2.4, 1.0, 0.41])}
    assert load(engine).steps == (1, 4)
    assert "trained at the levels 80 | 80, 2.4, 1, 0.41" in describe(path)


@pytest.mark.parametrize("steps", [1, 4])
def test_the_engine_samples_as_the_specification_does(made, steps):
    path, folder = made
    checkpoint, engine = read(path), load(folder)
    model = AcousticModel(checkpoint.config).eval()
    model.load_state_dict(checkpoint.tensors)
    frames = 37
    units, f0_hz, volume = torch.randn(frames, 6), torch.full((frames,), 200.0), torch.rand(frames)
    voiced = torch.rand(frames) < 0.7
    noise = torch.randn(steps, frames, 80)
    with torch.no_grad():
        cond = model.condition(units[None], f0_hz[None], volume[None], torch.tensor([1]), voiced=voiced[None])
        wanted = model.sample(cond, steps, lambda step: noise[step][None])[0]
    _, mel = engine.synthesise(units, f0_hz, volume, 1, steps, noise, voiced=voiced)
    assert golden.relative(mel, wanted) < 1e-5


def test_a_count_that_was_not_trained_is_refused(made, tmp_path):
    with pytest.raises(ConfigError, match="2 steps: this student was trained only at 1, 4"):
        build.compile(made[0], tmp_path / "two.fsvc", steps=(1, 2), progress=None)
    one = build.compile(made[0], tmp_path / "one.fsvc", steps=(1,), progress=None)
    assert load(one).steps == (1,)


def test_a_consistency_student_keeps_its_grid(tmp_path):
    path = engines.native(tmp_path / "cd.pt", "student", engines.ACOUSTIC)
    manifest = json.loads((build.compile(path, tmp_path / "cd.fsvc", progress=None) / "manifest.json").read_text())
    assert set(manifest["schedules"]) == {"1", "2", "4"} and manifest["schedules"]["2"][1] == pytest.approx(
        2.515, rel=1e-3
    )
