"""The training loop on a tiny task: exact resuming, safe stopping, the guard against NaN, schedules, two processes."""

import json
import os
import signal

import pytest
import torch
from histories import figures_of
from line_task import losses, make
from torch import nn

from fastsvc.errors import ConfigError, FastsvcError
from fastsvc.training import checkpoint, optim, parallel
from fastsvc.training.settings import OptimSettings, parse, read_settings


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


@pytest.mark.parametrize("kind, backend", [("cpu", "gloo"), ("cuda", "nccl")])
def test_processes_wait_for_validations_of_hours(kind, backend, monkeypatch):
    """NCCL's own patience ends after ten minutes, and with it the run."""
    started = []
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(torch.cuda, "set_device", lambda device: None)
    monkeypatch.setattr(parallel.dist, "init_process_group", lambda name, **options: started.append((name, options)))
    monkeypatch.setattr(parallel.dist, "get_rank", lambda: 0)
    monkeypatch.setattr(parallel.dist, "destroy_process_group", lambda: None)
    with parallel.session(torch.device(kind)) as (group, device):
        assert group.size == 2 and device.type == kind
    ((name, options),) = started
    assert name == backend and options["timeout"].total_seconds() >= 24 * 3600


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
@pytest.mark.long
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
