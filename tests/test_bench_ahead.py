"""Kernels compiled elsewhere for the bench's engine: the right ones, installed under this user's seal, or refused."""

import json

import engines
import pytest

from bench import ahead, models
from fastsvc.artifact.device_part import DevicePart
from fastsvc.artifact.engine_folder import Artifact
from fastsvc.build.cubins import supply
from fastsvc.build.passes import target
from fastsvc.engine.cuda import launcher
from fastsvc.errors import EngineError

ENTRY = {"file": "a.cubin", "name": "kernel", "warps": 4, "shared": 0, "registers": 64, "parameters": [["x", "*fp16"]]}


def carried(folder, **changes):
    """A folder as bench/ahead.py writes it, with one kernel of no consequence."""
    listing = {"arch": 90, "sources": launcher.sources(), "kernels": {"0123456789abcdef01234567": ENTRY}, **changes}
    (folder / "sm_90").mkdir(parents=True)
    (folder / "sm_90" / launcher.LIST).write_text(json.dumps(listing))
    (folder / "sm_90" / "a.cubin").write_bytes(b"code")
    (folder / "sm_90" / "b.cubin").write_bytes(b"not listed")
    return folder


def test_kernels_that_came_along_are_the_engines_own(tmp_path):
    (tmp_path / "engine").mkdir()
    engine = engines.build_engine(tmp_path / "engine")
    assert ahead.install(engine, carried(tmp_path / "ahead")) == ["sm_90"]
    part = DevicePart(Artifact(engine), "sm_90")
    listing, why = launcher.usable_listing(part, 90)
    assert listing is not None and why == "" and part.read("a.cubin") == b"code" and part.read("b.cubin") is None
    for number, (changes, match) in enumerate(
        (({"sources": "0" * 64}, "its kernels are of other sources"), ({"arch": 80}, "its list of kernels is not for"))
    ):
        with pytest.raises(EngineError, match=f"{match}.*make it again with python bench/ahead.py"):
            ahead.install(engine, carried(tmp_path / str(number), **changes))


@pytest.mark.slow
def test_they_are_those_that_the_engine_starts(tmp_path):
    engine = models.make(tmp_path, 16, 16, lambda line: None, 2, steps=(1, 2), precision="fp16", target="cpu")
    planned = target.unique_specs(ahead.launches(90, [0.5, 10.0], (1, 2), channels=16, layers=2, wide=16))
    manifest = Artifact(engine).manifest
    for seconds in (0.5, 10.0):
        frames = round(seconds * 187.5)
        needed = supply.needed_launches(manifest, 90, "fp16", [[frames]], 2, "triton")
        assert target.unique_specs(needed).keys() <= planned.keys()
