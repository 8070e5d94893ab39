"""Recognisers that begin with the weights of an earlier one, `task.init`."""

import pytest
import torch
from phone_corpus import PhoneCorpus

from fastsvc.errors import CheckpointError
from fastsvc.training import checkpoint
from fastsvc.training.recogniser import RecogniserTask

MODEL = {"channels": 16, "layers": 2, "bottleneck": 6}


def task_of(**settings) -> RecogniserTask:
    return RecogniserTask({"model": MODEL} | settings, PhoneCorpus(), "cpu", batch_size=2, batch_frames=32)


def saved(path, kind: str, tensors) -> str:
    about = {"step": 1, "config": {"model": {}}, "speakers": [], "speaker_f0_hz": []}
    checkpoint.save(path, kind=kind, **about, model=tensors, ema=tensors)
    return str(path)


def test_weights_that_fit_are_taken_and_others_stay_as_drawn(tmp_path):
    torch.manual_seed(0)
    first = {name: value + 1 for name, value in task_of().model.state_dict().items()}
    init = saved(tmp_path / "first.pt", "recogniser", first)
    again = task_of(init=init).model.state_dict()
    assert all(torch.equal(again[name], value) for name, value in first.items())
    wider = task_of(init=init, model=MODEL | {"bottleneck": 8}).model.state_dict()
    fitting = [name for name in first if wider[name].shape == first[name].shape]
    assert 0 < len(fitting) < len(first) and all(torch.equal(wider[name], first[name]) for name in fitting)


def test_what_does_not_fit_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="no tensor that fits this recogniser"):
        task_of(init=saved(tmp_path / "none.pt", "recogniser", {}))
    with pytest.raises(CheckpointError, match="vocoder"):
        task_of(init=saved(tmp_path / "other.pt", "vocoder", {}))
