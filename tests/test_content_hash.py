"""Which engine made a result: told by what computes it, and by nothing else."""

import copy
import json
from pathlib import Path

import pytest

import fastsvc
from fastsvc.artifact.content_hash import content_hash

MANIFEST = json.loads((Path(fastsvc.__file__).parent / "demo" / "voices.fsvc" / "manifest.json").read_text())


def changed(change) -> dict:
    manifest = copy.deepcopy(MANIFEST)
    change(manifest)
    return manifest


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m.pop("measured"),
        lambda m: m.update(fastsvc="9.9", verified={}),
        lambda m: m["source"].update(file="other.pt"),
        lambda m: m["vocoder"]["source"].update(file="other.pt"),
        lambda m: m["vocoder"].update(cpu_backend="onnx"),
        lambda m: m["files"].update({"sm_90/kernels.json": {"bytes": 1, "sha256": "0"}}),
        lambda m: m["files"].pop("vocoder.onnx"),
    ],
)
def test_what_does_not_matter(change):
    assert content_hash(changed(change)) == content_hash(MANIFEST)


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m["files"]["weights.safetensors"].update(sha256="0" * 64),
        lambda m: m["files"]["content.safetensors"].update(sha256="0" * 64),
        lambda m: m["acoustic"]["mel"].update(bins=81),
        lambda m: m["speakers"].reverse(),
        lambda m: m["schedules"].update({"2": [20.0, 0.5]}),
        lambda m: m.update(precision="fp32"),
        lambda m: m.update(input_peak=0.9),
    ],
)
def test_what_matters(change):
    assert content_hash(changed(change)) != content_hash(MANIFEST)
