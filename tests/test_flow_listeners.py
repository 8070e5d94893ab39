"""A DMO student of a flow with all listeners and their twins, on a corpus whose mels are log10."""

import flows
import numpy as np
import pytest
import torch
from histories import figures_of
from studio import shared
from teachers import write_config

from fastsvc.checkpoints import read
from fastsvc.training import run
from fastsvc.training.flow.tasks import FlowDmoTask

SIZES = {"family": "ddsp", "hidden": 16, "hidden_layers": 1, "channels": 16, "layers": 2}


@pytest.mark.slow
@pytest.mark.long
def test_listeners_hear_the_corpuss_own_mels(tmp_path_factory, tmp_path):
    studio = shared(tmp_path_factory)
    optim = {"lr": 1e-3, "schedule": "constant", "warmup": 0}
    common = {"batch": {"size": 4, "frames": 32}, "log_every": 1, "validate_every": 100, "optim": optim}
    teacher = write_config(
        tmp_path / "teacher.yaml", studio.corpus, **common, steps=3, task={"model": SIZES, **flows.FEW}
    )
    run("teacher", teacher, out=tmp_path / "teacher")
    settings = studio.task(teacher=str(tmp_path / "teacher" / "last.pt"), guard=studio.guard(), steps=[1, 2])
    settings = {name: value for name, value in settings.items() if name != "init"}
    task = FlowDmoTask(settings, studio.corpus, "cpu", batch_size=4, batch_frames=32)
    heard = []
    task.listeners["recogniser"].register_forward_pre_hook(lambda _, told: heard.append(told[0].detach()))
    truth = task.batch(np.random.default_rng(0))
    values = task._values(task.student_batch(truth, (0, 0)), task.model.normalise(truth["mel"]))
    torch.testing.assert_close(heard[0], truth["mel"], rtol=1e-4, atol=1e-4)  # of a student that gives the truth
    assert {"dmd", "adversarial", "ctc", "frames", "pitch", "singer"} == set(values)
    run("dmo", write_config(tmp_path / "dmo.yaml", studio.corpus, **common, steps=3, task=settings), out=tmp_path / "d")
    figures = figures_of(tmp_path / "d" / "history.jsonl")
    assert len(figures) == 3 and all(np.isfinite(list(row.values())[2:]).all() for row in figures)
    assert {"pull_ctc", "pull_singer", "pull_pitch", "loss_head", "loss_fake"} <= set(figures[-1])
    assert read(tmp_path / "d" / "last.pt").config.few_steps == (1, 2)
