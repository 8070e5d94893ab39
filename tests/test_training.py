"""The training loop on a tiny task: exact resuming, safe stopping, saving, the guard against NaN."""

import errno
import json
import os
import signal

import numpy as np
import pytest
import torch
from failing import fail_after
from histories import figures_of
from torch import nn

from fastsvc.errors import CheckpointError, ConfigError, FastsvcError, OutputError
from fastsvc.training import checkpoint, loop, optim, parallel
from fastsvc.training.loop import Trainer
from fastsvc.training.settings import OptimSettings, TrainingSettings, parse, read_settings
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


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_resumed_run_repeats_the_uninterrupted_one_exactly(tmp_path, precision):
    make(tmp_path / "whole", precision=precision).train()
    broken = make(tmp_path / "parts", precision=precision)
    broken.task.hook = lambda step: os.kill(os.getpid(), signal.SIGTERM) if step == 7 else None
    result = broken.train()
    assert result["step"] == 8 and not result["finished"]  # the step was finished first
    assert make(tmp_path / "parts", precision=precision, resume=True).train()["finished"]
    assert losses(tmp_path / "parts") == losses(tmp_path / "whole") and len(losses(tmp_path / "whole")) == 20
    whole, parts = (torch.load(tmp_path / n / "last.pt", weights_only=True) for n in ("whole", "parts"))
    for name in ("model", "ema", "extra", "optimizer", "rng"):
        torch.testing.assert_close(parts[name], whole[name], rtol=0, atol=0)


def test_a_crash_after_a_save_repeats_the_lost_steps(tmp_path):
    make(tmp_path / "whole").train()
    crashing = make(tmp_path / "crash")

    def crash(step):
        if step == 8:
            raise RuntimeError("crash")

    crashing.task.hook = crash
    with pytest.raises(RuntimeError, match="crash"):
        crashing.train()
    assert len(losses(tmp_path / "crash")) == 8
    make(tmp_path / "crash", resume=True).train()
    assert losses(tmp_path / "crash") == losses(tmp_path / "whole")  # each step once


@pytest.mark.slow
def test_it_learns_and_keeps_the_best(tmp_path):
    result = make(tmp_path, steps=300).train()
    valid = [r["error"] for r in figures_of(tmp_path / "history.jsonl", "valid")]
    assert result["best"] == min(valid) < 0.5 * valid[0]
    best = checkpoint.load(tmp_path / "best.pt", "recogniser")
    assert best["config"]["model"] == {"inputs": 3} and best["config"]["train"]["steps"] == 300
    assert valid[best["step"] // 10 - 1] == result["best"]


def test_only_the_turn_in_progress_is_trained(tmp_path):
    trainer = make(tmp_path, steps=2)
    before = {k: v.clone() for k, v in trainer.task.extra["critic"].state_dict().items()}
    trainer.train()  # the critic's turn comes at step 3
    torch.testing.assert_close(dict(trainer.task.extra["critic"].state_dict()), before, rtol=0, atol=0)


def test_a_loss_that_is_no_number_changes_nothing_and_then_stops(tmp_path):
    trainer = make(tmp_path, save_every=100)
    plain = trainer.task.main_loss
    trainer.task.main_loss = lambda batch, step: (plain(batch, step)[0] * float("nan" if step >= 2 else 1), {})
    with pytest.raises(FastsvcError, match="not a number for 10 steps"):
        trainer.train()
    assert trainer.step == 11  # two good steps, nine bad ones, and the tenth raises
    assert all(bool(p.isfinite().all()) for p in trainer.task.model.parameters())
    assert trainer.ema.updates == 2


def test_a_failed_save_keeps_the_old_file(tmp_path, monkeypatch):
    content = {"kind": "teacher", "config": {"model": {}}, "speakers": [], "speaker_f0_hz": [], "ema": {}}
    checkpoint.save(tmp_path / "last.pt", step=1, model={"w": torch.ones(2)}, **content)

    def torn(_, file):  # as PyTorch does on a full disk
        try:
            file.write(b"half")
        except OSError:
            raise RuntimeError("unexpected pos 64 vs 0") from None

    fail_after(monkeypatch, 3, OSError(errno.ENOSPC, "No space left on device"))
    monkeypatch.setattr(torch, "save", torn)
    with pytest.raises(OutputError, match="disk is full"):
        checkpoint.save(tmp_path / "last.pt", step=2, model={"w": torch.zeros(2)}, **content)
    monkeypatch.undo()
    assert checkpoint.load(tmp_path / "last.pt")["step"] == 1
    assert [p.name for p in tmp_path.iterdir()] == ["last.pt"]


def test_bad_checkpoints_are_named(tmp_path):
    path = tmp_path / "a.pt"
    with pytest.raises(CheckpointError, match="no such checkpoint"):
        checkpoint.load(path)
    path.write_bytes(b"not a checkpoint")
    with pytest.raises(CheckpointError, match="is not a torch file"):
        checkpoint.load(path)
    torch.save({"weights": torch.ones(1)}, path)
    with pytest.raises(CheckpointError, match="not a checkpoint of fastsvc"):
        checkpoint.load(path)
    torch.save({"format": "fastsvc", "version": 1, "kind": "teacher"}, path)
    with pytest.raises(CheckpointError, match="lacks step"):
        checkpoint.load(path)
    make(tmp_path, steps=1).train()
    with pytest.raises(CheckpointError, match="holds a recogniser, not a vocoder"):
        checkpoint.load(tmp_path / "last.pt", "vocoder")


def test_resuming_from_a_file_of_another_run_is_one_line(tmp_path):
    make(tmp_path, steps=4).train()
    path = tmp_path / "last.pt"
    content = torch.load(path, weights_only=True)
    for change, why in (
        ({"model": {**content["model"], "0.bias": torch.zeros(9)}}, "does not fit this configuration: .*0.bias"),
        ({"extra": {}}, "does not fit this configuration: 'critic'"),
        ({"optimizer": 3}, "does not fit this configuration"),
        ({"scheduler": {"elapsed_s": float("nan"), "ema_updates": 1, "best": None}}, "elapsed_s is nan"),
        ({"rng": {"torch": torch.zeros(3)}}, "does not fit this configuration"),
        ({"optimizer": {"main": {"state": {}, "param_groups": []}}}, "optimizer.main does not fit"),
    ):
        torch.save({**content, **change}, path)
        with pytest.raises(CheckpointError, match=why) as caught:
            make(tmp_path, steps=6, resume=True).train()
        assert "\n" not in str(caught.value) and len(str(caught.value)) < 1000
    torch.save(content, path)
    assert make(tmp_path, steps=6, resume=True).train()["step"] == 6


def test_settings_are_strict(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text("out: x\nsteps: 10\noptim: {lr: 1e-3, warm: 4}\n")
    with pytest.raises(ConfigError, match="unknown key 'warm'"):
        read_settings(path)
    path.write_text("out: x\n")
    with pytest.raises(ConfigError, match="neither steps nor minutes"):
        read_settings(path)
    assert parse("a: 1e-3\nb: 2.5e-4\nc: 1\nd: x1e-3", "") == {"a": 1e-3, "b": 2.5e-4, "c": 1, "d": "x1e-3"}
    path.write_text("out: x\nminutes: 1\noptim: {lr: 1e-3}\n")
    assert read_settings(path).optim.lr == 1e-3


def test_minutes_end_a_run(tmp_path):
    result = make(tmp_path, steps=None, minutes=0.2 / 60).train()
    assert result["finished"] and result["step"] > 1
    assert 0.2 <= json.loads((tmp_path / "history.jsonl").read_text().splitlines()[-2])["elapsed_s"] < 5


def test_schedules():
    cosine = OptimSettings(lr=1.0, final_lr=0.1, warmup=10)
    assert optim.learning_rate(cosine, 4, 0.0) == 0.5
    assert optim.learning_rate(cosine, 100, 1.0) == pytest.approx(0.1)
    assert optim.learning_rate(cosine, 100, 0.5) == pytest.approx(0.55)
    step = OptimSettings(lr=1.0, schedule="step", warmup=0, half_every=100)
    assert [optim.learning_rate(step, s, 0) for s in (0, 99, 100, 250)] == [1, 1, 0.5, 0.25]


def test_the_ema_forgets_the_start_and_then_averages():
    model = nn.Linear(1, 1, bias=False)
    ema = optim.Ema(model, decay=0.9)
    model.weight.data.fill_(1.0)
    ema.model.weight.data.fill_(-1.0)
    ema.update(model)
    first = ema.model.weight.item()
    assert first == pytest.approx(0.1 * -1.0 + 0.9 * 1.0)  # (1 + 0) / (10 + 0) of the start is left
    ema.updates = 1000
    model.weight.data.fill_(3.0)
    ema.update(model)
    assert ema.model.weight.item() == pytest.approx(0.9 * first + 0.1 * 3.0)


def _worker(rank, port, out):
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), RANK=str(rank), WORLD_SIZE="2")
    torch.set_num_threads(1)
    with parallel.session(torch.device("cpu")) as (group, _):
        torch.manual_seed(rank)  # different starts, made equal by the broadcast
        model, unused = nn.Linear(3, 1), nn.Linear(2, 2)
        group.broadcast([model])
        x = torch.arange(24.0).view(8, 3)[4 * rank : 4 * rank + 4].sin()
        loss = (model(x) ** 2).mean()
        loss.backward()
        parameters = [*model.parameters(), *unused.parameters()]
        mean = group.average_gradients(parameters, loss)
        torch.save(
            {
                "weights": model.state_dict(),
                "grads": [p.grad for p in model.parameters()],
                "unused": [p.grad for p in unused.parameters()],
                "loss": mean,
                "most": group.maximum(float(rank), -1.0),
            },
            f"{out}/{rank}.pt",
        )
        trainer = make(f"{out}/run", steps=6, group=group, start=rank)
        if rank == 1:
            trainer.task.hook = lambda step: os.kill(os.getpid(), signal.SIGTERM) if step == 3 else None
        result = trainer.train()
        torch.save({"model": trainer.task.model.state_dict(), "step": result["step"]}, f"{out}/run{rank}.pt")


@pytest.mark.slow
def test_two_processes_average_to_the_joined_batch(tmp_path):
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    torch.multiprocessing.start_processes(_worker, (port, str(tmp_path)), nprocs=2, start_method="spawn")
    first, second = (torch.load(tmp_path / f"{r}.pt", weights_only=True) for r in (0, 1))
    model = nn.Linear(3, 1)
    model.load_state_dict(first["weights"])
    loss = (model(torch.arange(24.0).view(8, 3).sin()) ** 2).mean()
    loss.backward()
    for part in (first, second):
        torch.testing.assert_close(part["grads"], [p.grad for p in model.parameters()])
        torch.testing.assert_close(part["loss"], loss.detach())
        assert part["unused"] == [None, None] and part["most"] == [1.0, -1.0]
    # A whole run: other starts and batches, one result; a signal to one process stops both after the same step.
    first, second = (torch.load(tmp_path / f"run{r}.pt", weights_only=True) for r in (0, 1))
    assert first["step"] == second["step"] == 4
    torch.testing.assert_close(first["model"], second["model"], rtol=0, atol=0)
    assert [r["step"] for r in figures_of(tmp_path / "run" / "history.jsonl")] == [1, 2, 3, 4]


def test_a_history_of_others_is_left_alone(tmp_path):
    out = tmp_path / "run"
    out.mkdir()
    for content in (b'{"my": "notes"}\n', b"\xff\xfe\n", b"plain"):
        (out / "history.jsonl").write_bytes(content)
        with pytest.raises(OutputError, match="not the history"):
            make(out, steps=1).train()
        assert (out / "history.jsonl").read_bytes() == content
    (out / "history.jsonl").unlink()
    os.mkfifo(out / "history.jsonl")  # which opening would wait for
    with pytest.raises(OutputError, match="not a regular file"):
        make(out, steps=1).train()


@pytest.mark.parametrize("name", ["last.pt", "best.pt"])
def test_a_new_run_writes_over_no_checkpoint(tmp_path, name):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / name).write_bytes(b"keep")
    config = tmp_path / "run.yaml"
    config.write_text(f"corpus: corpus\nout: {tmp_path / 'run'}\nsteps: 1\n")
    with pytest.raises(OutputError, match=f"{name} exists already"):
        loop.run("teacher", config)
    assert (tmp_path / "run" / name).read_bytes() == b"keep"
