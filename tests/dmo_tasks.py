"""DMO tasks of a studio (tests/studio.py), and their settings."""

import numpy as np
import torch
from studio import EDM
from teachers import write_config

from fastsvc.config import EdmConfig
from fastsvc.training import simulate
from fastsvc.training.dmo import DmoTask

FEW = {"steps": [1, 4], "fake_updates": 2, "match_steps": 3}
LEVELS = tuple(map(tuple, simulate.schedules(EdmConfig(**EDM), (1, 4))))


def dmo(studio, **changes) -> DmoTask:
    torch.manual_seed(0)
    task = DmoTask(studio.task(**changes), studio.corpus, "cpu", batch_size=4, batch_frames=32)
    task.generator.manual_seed(0)
    return task


def batch_of(task):
    return task.batch(np.random.default_rng(0))


def config(studio, path, **changes):
    optim = {"lr": 2e-4, "schedule": "constant", "warmup": 0}
    common = {"steps": 8, "batch": {"size": 4, "frames": 32}, "log_every": 1, "validate_every": 100, "optim": optim}
    return write_config(path, studio.corpus, **(common | changes))


def moved(task):
    """A task whose fake score is no longer the teacher's."""
    with torch.no_grad():
        for p in task.fake.parameters():
            p += 0.02 * torch.randn_like(p)
    return task
