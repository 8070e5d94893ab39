"""A new engine can take its vocoder and content encoder out of an engine."""

import engines
import numpy as np
import pytest
import torch

from fastsvc import build
from fastsvc.engine import Engine
from fastsvc.errors import CheckpointError, EngineError


def test_parts_out_of_an_engine_sound_the_same(tmp_path):
    first = engines.build_engine(tmp_path, steps=(1,))
    second = build.compile(
        tmp_path / "student.pt", tmp_path / "second.fsvc", vocoder=first, content=first, steps=(1,), progress=None
    )
    audio = torch.sin(torch.arange(9000) * 0.05).numpy()
    results = [Engine.open(path).convert(audio, 24000, "Bert")[0] for path in (first, second)]
    np.testing.assert_array_equal(*results)
    assert np.abs(results[0]).max() > 0


def test_an_engine_without_the_part(tmp_path):
    bare = engines.build_engine(tmp_path, steps=(1,), vocoder=None, content=None)
    for part in ("vocoder", "content"):
        with pytest.raises(EngineError, match=f"has no {part}"):
            build.compile(tmp_path / "student.pt", tmp_path / "x.fsvc", **{part: bare}, progress=None)


def test_a_checkpoint_of_another_kind(tmp_path):
    bare = engines.build_engine(tmp_path, steps=(1,), vocoder=None, content=None)
    with pytest.raises(CheckpointError, match="student"):
        build.compile(tmp_path / "student.pt", bare.with_name("y.fsvc"), vocoder=tmp_path / "student.pt", progress=None)
