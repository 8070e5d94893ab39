"""A tiny task for the training loop: a line, learnt from noisy examples."""

import numpy as np
import torch
from histories import figures_of
from torch import nn

from fastsvc.training.loop import Trainer
from fastsvc.training.settings import OptimSettings, TrainingSettings
from fastsvc.training.task import Task, Turn


class Line(Task):
    """A linear map learnt from noisy examples, with dropout and noise, and a second, late turn."""

    kind = "recogniser"
    best = ("error", "min")

    def __init__(self, config, corpus, device, **loop):
        super().__init__(config, corpus, device, **loop)
        self.model = nn.Sequential(nn.Linear(3, 8), nn.Dropout(0.3), nn.Linear(8, 1))
        self.extra = {"critic": nn.Linear(1, 1)}
        self.hook = lambda step: None

    def batch(self, rng):
        x = rng.standard_normal((self.batch_size, 3)).astype(np.float32)
        return {"x": x, "y": x.sum(1, keepdims=True), "name": "line"}

    def main_loss(self, batch, step):
        self.hook(step)
        x = batch["x"] + 0.01 * self.noise(batch["x"])
        out = self.model(x)
        return ((out - batch["y"]) ** 2).mean() + 0.01 * self.extra["critic"](out).mean(), {"out": out.mean().detach()}

    def critic_loss(self, batch, step):
        return (self.extra["critic"](batch["y"]) ** 2).mean(), {}

    def turns(self, step):
        late = [Turn("critic", self.extra["critic"], self.critic_loss)] if step >= 3 else []
        return [Turn("main", self.model, self.main_loss), *late]

    def validate(self, model):
        x = torch.ones(4, 3)
        return {"error": float((model(x) - 3).abs().mean())}

    def config_for_checkpoint(self):
        return {"inputs": 3}


def make(out, steps=20, resume=False, minutes=None, group=None, start=1, **changes):
    torch.manual_seed(start)
    settings = TrainingSettings(
        out=str(out),
        steps=steps,
        minutes=minutes,
        device="cpu",
        precision=changes.pop("precision", "fp32"),
        log_every=1,
        save_every=changes.pop("save_every", 5),
        validate_every=10,
        optim=OptimSettings(lr=1e-2, warmup=4, **changes),
    )
    return Trainer(Line({}, None, "cpu", batch_size=4), settings, out, group, resume, hint="again")


def losses(out):
    return [(r["step"], r["loss_main"], r.get("loss_critic")) for r in figures_of(out / "history.jsonl")]
