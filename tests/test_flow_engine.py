"""A distilled flow as an engine: what build chooses, jumps against the specification, conversion at its steps."""

import json
from dataclasses import replace

import engines
import flows
import numpy as np
import openvpi
import pytest
import torch

import fastsvc
from fastsvc import build
from fastsvc.checkpoints import read
from fastsvc.commands.inspect import describe
from fastsvc.config import DdspConfig, FeatureConfig, VocoderConfig
from fastsvc.errors import CheckpointError, ConfigError
from fastsvc.model.modules import module

MEL = replace(flows.MEL, rate_hz=24000, high_hz=12000.0)
FLOW = DdspConfig(
    mel=MEL,
    features=FeatureConfig(unit_channels=6, unit_align="hops"),
    speakers=3,
    window_samples=256,
    hidden=16,
    hidden_layers=1,
    channels=16,
    layers=2,
    key_shift=False,
)
NSF = VocoderConfig(
    family="openvpi",
    mel=replace(MEL, log_base="10"),
    initial_channels=16,
    upsample_rates=(8, 4, 2),
    upsample_kernels=(16, 8, 4),
    resblock_kernels=(3,),
    resblock_dilations=((1, 3),),
)


@pytest.fixture(scope="module")
def student(tmp_path_factory):
    """(checkpoint, engine with every part)."""
    folder = tmp_path_factory.mktemp("student")
    path = engines.native(folder / "student.pt", "student", FLOW)
    content = engines.native(folder / "recogniser.pt", "recogniser", engines.CONTENT)
    vocoder = openvpi.small(folder / "nsf", NSF).parent
    return path, build.compile(path, folder / "s.fsvc", vocoder=vocoder, content=content, progress=None)


def test_build_chooses_jumps_for_a_student(student):
    path, folder = student
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["sampler"] == "consistency" and manifest["source"]["kind"] == "student"
    assert set(manifest["schedules"]) == {"1", "2", "4"} and manifest["default_steps"] == 1
    assert manifest["schedules"]["2"] == pytest.approx([0.3, 0.15, 0.0])
    assert "consistency, steps 1, 2, 4 (default: 1)" in describe(folder)
    text = describe(path)
    assert "student" in text and "DDSP-SVC 6.1" in text and "from t = 0.7" in text
    found = read(path)
    assert found.kind == "student" and found.config == FLOW and found.speakers == engines.SPEAKERS


@pytest.mark.parametrize("steps", [1, 2, 4])
def test_the_engine_jumps_as_the_specification_does(student, steps):
    path, folder = student
    checkpoint, engine, frames = read(path), fastsvc.load(folder), 70
    model = module("student", checkpoint.config).eval()
    model.load_state_dict(checkpoint.tensors)
    first, noise = -5 + torch.randn(frames, 16), torch.randn(steps, frames, 16)
    with torch.no_grad():
        wanted = model.refine(first[None], lambda step: noise[step][None], steps, "consistency")[0]
    for block in (None, 13):
        found = engine.sampler.refined(first, steps, lambda step, a, b: noise[step][a:b], block)
        assert float((found - wanted).abs().max()) < 1e-4 * float(wanted.abs().max())


def test_a_recording_is_converted_at_every_number_of_steps(student):
    engine = fastsvc.load(student[1])
    audio = (0.1 * np.sin(2 * np.pi * 200 * np.arange(9001) / 32000)).astype(np.float32)
    made = {steps: engine.convert(audio, 32000, "Bert", steps=steps)[0] for steps in (1, 2, 4)}
    assert all(out.shape == audio.shape and np.isfinite(out).all() and out.any() for out in made.values())
    assert not np.array_equal(made[1], made[2]) and not np.array_equal(made[2], made[4])
    assert np.array_equal(engine.convert(audio, 32000, "Bert")[0], made[1])


def test_other_kinds(tmp_path):
    """A teacher keeps Euler's many steps; a DMO student has the numbers of steps that it was trained at."""
    teacher = engines.native(tmp_path / "t.pt", "teacher", FLOW)
    manifest = json.loads((build.compile(teacher, tmp_path / "t.fsvc", progress=None) / "manifest.json").read_text())
    assert manifest["sampler"] == "euler" and set(manifest["schedules"]) == {"4", "10", "20"}
    dmo = engines.native(tmp_path / "d.pt", "dmo", replace(FLOW, few_steps=(1, 2)))
    assert "trained at 1, 2 steps" in describe(dmo)
    engine = fastsvc.load(build.compile(dmo, tmp_path / "d.fsvc", progress=None))
    assert engine.steps == (1, 2) and engine.default_steps == 1
    with pytest.raises(ConfigError, match="not trained at 4 steps"):
        build.compile(dmo, tmp_path / "e.fsvc", steps=(1, 4), progress=None)
    absurd = engines.native(tmp_path / "a.pt", "student", FLOW)
    content = torch.load(absurd, weights_only=True)
    content["config"]["model"]["hidden_layers"] = 500
    torch.save(content, absurd)
    with pytest.raises(CheckpointError, match="502 layers, the file"):
        read(absurd)


def test_a_list_of_steps_is_short():
    """Messages name them all."""
    with pytest.raises(ConfigError, match="few_steps has 101 entries"):
        replace(FLOW, few_steps=(1,) * 101)
