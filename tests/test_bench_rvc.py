"""The bench of RVC's voices at toy sizes: its cases run and compare the right things."""

import json
import sys
from pathlib import Path

import pytest
import rvc_golden
import torch

sys.path.insert(0, str(Path(__file__).parent.parent))  # bench/ is not installed

from bench import rvc, rvc_cases, rvc_voices
from fastsvc.engine.cpu.rvc import encoder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bench")
    rvc_voices.make(folder, "v1 48k", say=None, small=True)
    return folder


@pytest.mark.parametrize("part", rvc.TIMED)
def test_timed(folder, part):
    figures = rvc_cases.timed(part, folder, seconds=0.4, repeats=1)
    assert figures["difference"] < 1e-4 and figures["ratio"] > 0


def test_cutting(folder, monkeypatch):
    monkeypatch.setattr(rvc_cases.cpu_sampler, "VOCODER_BLOCK", 60)
    monkeypatch.setattr(rvc_cases.rvc_sampler, "FLOW_BLOCK", 70)
    figures = rvc_cases.excerpt(folder, seconds=2.0)
    assert figures["blocks_frames"] == {"flow": 70, "generator": 60}
    assert all(difference < 1e-5 for difference in figures["difference"].values())
    assert all(spread > 0.01 for spread in figures["spread"].values())
    for name, frames in {"WHOLE": 100, "KEEP": 60, "CONTEXT": 20, "FADE": 5}.items():
        monkeypatch.setattr(encoder, name, frames)
    figures = rvc_cases.stretches(folder, seconds=2.0)
    assert encoder.WHOLE == 100 and 1e-4 < figures["difference"]["even"]["latent"] < 1
    assert figures["difference"]["even"]["audio"] > 1e-4 and figures["difference"]["sharp"]["latent"] > 1e-4


def test_long(folder):
    assert rvc_cases.long(folder, minutes=0.01)["peak_mb"] > 100


def test_files_have_the_layout_of_rvc(folder):
    """Every name of the published voices, without weight norm's two halves."""
    shapes = json.loads((rvc_golden.FOLDER / "full" / "shapes.json").read_text(encoding="utf-8"))
    published = {key for part in shapes["voices"]["v1 48k f0"]["parts"] for key in shapes["parts"][part]}
    names = {key.replace("weight_v", "weight") for key in published if not key.endswith("weight_g")}
    file = torch.load(folder / "voice.pth", weights_only=True)
    assert set(file["weight"]) == names
    config = rvc_voices.configs("v1 48k")
    assert rvc_voices.sizes(*config)[2:] == shapes["voices"]["v1 48k f0"]["config"][2:]
