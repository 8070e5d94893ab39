"""Runs of the DMO student: resuming, precisions, two processes, the guard's stop, and that they learn."""

import itertools
import json
import os
import signal
import socket

import numpy as np
import pytest
import torch
from dmo_tasks import FEW, LEVELS, config, dmo
from histories import figures_of
from studio import shared

from fastsvc.audio.mel import log_mel
from fastsvc.checkpoints import read
from fastsvc.errors import ConfigError
from fastsvc.training import checkpoint, parallel, run
from fastsvc.training.dmo import DmoTask
from fastsvc.training.dmo_validation import DmoValidation
from fastsvc.training.loop import Trainer
from fastsvc.training.settings import read_settings
from fastsvc.training.task import task_class

pytestmark = [pytest.mark.long, pytest.mark.slow]  # a studio is trained before the first test, and students after it


@pytest.fixture(scope="module")
def studio(tmp_path_factory):
    return shared(tmp_path_factory)


def test_a_resumed_run_repeats_the_uninterrupted_one_exactly(studio, tmp_path, monkeypatch):
    task = studio.task(**FEW, guard=studio.guard(), lag_steps=2, diversity_seeds=2)
    task["losses"]["adversarial"]["start"] = 0.3  # its optimiser appears late
    whole = config(studio, tmp_path / "whole.yaml", task=task, out=str(tmp_path / "whole"), validate_every=4)
    run("dmo", whole)
    plain = DmoTask._student_loss

    def stopping(self, batch, step):
        if step == 4:
            os.kill(os.getpid(), signal.SIGTERM)
        return plain(self, batch, step)

    monkeypatch.setattr(DmoTask, "_student_loss", stopping)
    assert run("dmo", whole, out=tmp_path / "parts")["step"] == 5
    monkeypatch.undo()
    assert run("dmo", whole, out=tmp_path / "parts", resume=True)["finished"]
    a, b = (torch.load(tmp_path / name / "last.pt", weights_only=True) for name in ("whole", "parts"))
    for part in ("model", "ema", "extra", "optimizer"):
        torch.testing.assert_close(a[part], b[part], rtol=0, atol=0)
    assert set(a["optimizer"]) == {"fake", "head", "student"} and set(a["extra"]) >= {
        "fake",
        "head",
        "balance",
        "guard",
    }
    for group in ("train", "valid"):
        told = [
            [{k: v for k, v in r.items() if k not in ("ms_per_step", "elapsed_s")} for r in figures_of(path, group)]
            for path in (tmp_path / "whole" / "history.jsonl", tmp_path / "parts" / "history.jsonl")
        ]
        assert told[0] == told[1] and len(told[0]) == {"train": 8, "valid": 2}[group]
    valid = told[0][-1]
    assert {
        "phone_errors",
        "held_out_phone_errors",
        "similarity",
        "held_out_similarity",
        "held_out",
        "f0_cents",
    } <= set(valid)
    assert {"diversity", "fake_lag", "mel_l1_1", "mel_l1_4"} <= set(valid)
    found = read(tmp_path / "whole" / "last.pt")
    assert found.kind == "dmo" and found.config.edm.few_steps == LEVELS


def test_in_bf16_every_network_learns_through_every_step_of_the_chain(studio, tmp_path):
    """One autocast region holds evaluations without gradient and one with: what it caches must not lose the latter."""
    task = studio.task(steps=[4], fake_updates=1, match_steps=1)
    run("dmo", config(studio, tmp_path / "b.yaml", task=task, steps=4, precision="bf16"))
    told = figures_of(tmp_path / "run" / "history.jsonl")
    assert all(np.isfinite(list(figures.values())[2:]).all() for figures in told)
    made, first = checkpoint.load(tmp_path / "run" / "last.pt")["model"], checkpoint.load(studio.path("student"))["ema"]
    moved = {name for name in made if not torch.equal(made[name], first[name])}
    assert moved == {name for name in made if name.startswith("denoiser.")}


def test_fp16_is_refused_before_the_first_step(studio, tmp_path, monkeypatch):
    """`auto` chooses it on GPUs without bf16; the second of a step's fake turns would fail in the gradient scaler."""
    from fastsvc.training import optim

    monkeypatch.setattr(optim, "precision_of", lambda *_: torch.float16)
    with pytest.raises(ConfigError, match="dmo does not train in fp16"):
        run("dmo", config(studio, tmp_path / "h.yaml", task=studio.task(**FEW)))


def _worker(rank, port, path, out):
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), RANK=str(rank), WORLD_SIZE="2")
    torch.set_num_threads(1)
    settings = read_settings(path)
    with parallel.session(torch.device("cpu")) as (group, device):
        torch.manual_seed(rank)
        corpus = DmoTask.open_corpus(settings.corpus)
        task = DmoTask(settings.task, corpus, device, batch_size=2, batch_frames=32, seed=0)
        if rank == 0:
            task.validation.figures = lambda model: {"held_out": 0.5}
            task.validation.verdict = lambda figures: type("V", (), {"warnings": [], "stop": "enough"})()
        result = Trainer(task, settings, out, group).train()
        content = {"step": result["step"], "fake": task.fake.state_dict(), "head": task.head.state_dict()}
        torch.save(content | {"model": task.model.state_dict(), "balance": task.balance.state_dict()}, f"{out}.{rank}")


def test_two_processes_stay_one_model_and_stop_together(studio, tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    task = studio.task(**FEW)
    path = config(studio, tmp_path / "two.yaml", task=task, validate_every=3, steps=6)
    torch.multiprocessing.start_processes(
        _worker, (port, str(path), str(tmp_path / "two")), nprocs=2, start_method="spawn"
    )
    first, second = (torch.load(f"{tmp_path}/two.{rank}", weights_only=True) for rank in (0, 1))
    assert first["step"] == second["step"] == 3  # the guard of the first process stops both
    torch.testing.assert_close(first, second, rtol=0, atol=0)
    assert int(first["balance"]["count"].max()) == 3


def test_the_guard_ends_a_run(studio, tmp_path, monkeypatch, capfd):
    figures = [
        {"phone_errors": a, "held_out_phone_errors": b, "held_out": 1 - b}
        for a, b in ((0.3, 0.3), (0.2, 0.33), (0.2, 0.34))
    ]
    monkeypatch.setattr(DmoValidation, "figures", lambda self, model: figures.pop(0) | {"diversity": 0.1})
    task = studio.task(guard={"recogniser": studio.path("recogniser_guard")}, fake_updates=1)
    result = run("dmo", config(studio, tmp_path / "g.yaml", task=task, validate_every=2))
    assert result["step"] == 6 and not result["finished"] and result["best"] == 0.7
    said = capfd.readouterr().err
    assert "recogniser: the listener is better pleased (0.700 before, 0.800 now)" in said
    assert "warning: diversity is 10% of the teacher's" in said
    assert checkpoint.load(tmp_path / "run" / "best.pt")["step"] == 2


def test_distribution_matching_alone_brings_back_a_student_that_was_set_off(studio, tmp_path):
    """Check 7, for a teacher that knows the clips. With the other sign mel L1 is ten times as large in the end."""
    content = checkpoint.load(studio.path("student"))
    content["ema"]["denoiser.output_projection.bias"] += 2.0
    torch.save(content, tmp_path / "off.pt")
    alone = {name: {"weight": 0.0} for name in ("adversarial", "ctc", "frames", "pitch", "singer")}
    settings = {"losses": alone, "listeners": {}, "init": str(tmp_path / "off.pt"), "fake_updates": 3}
    start = dmo(studio, **settings)
    with torch.no_grad():
        off = start.validate(start.model)["mel_l1_1"]
    known = figures_of(studio.folder / "student" / "history.jsonl", "valid")[-1]["mel_l1_1"]
    optim = {"lr": 2e-3, "final_lr": 1e-4, "warmup": 0}
    changes = {"steps": 16, "ema": 0.5, "validate_every": 16, "task": studio.task(**settings), "optim": optim}
    run("dmo", config(studio, tmp_path / "k.yaml", **changes))
    told = figures_of(tmp_path / "run" / "history.jsonl", "valid")[-1]
    print(off, known, told)
    assert off > 1.4 * known and told["mel_l1_1"] - known < 0.6 * (off - known)


def test_phone_errors_fall_after_the_ramp_and_the_mel_stays_at_the_teachers(studio, tmp_path):
    """Check 7: the distribution that is matched is the teacher's, so its own samples are what mel L1 goes to."""
    task = studio.task(fake_updates=1)
    plain = dmo(studio)
    with torch.no_grad():
        before = plain.validate(plain.model.eval())
    task["losses"] = {name: {"weight": 0.0} for name in ("adversarial", "singer", "pitch")}
    task["losses"] |= {name: {"weight": 1.0, "start": 0.1, "ramp": 0.2} for name in ("ctc", "frames")}
    run("dmo", config(studio, tmp_path / "c.yaml", task=task, steps=45, ema=0.9, validate_every=15))
    told = figures_of(tmp_path / "run" / "history.jsonl", "valid")
    errors = [before["phone_errors"], *(figures["phone_errors"] for figures in told)]
    assert errors[-1] < 0.7 * errors[0] and all(b <= a + 0.15 for a, b in itertools.pairwise(errors))
    teacher = figures_of(studio.folder / "student" / "history.jsonl", "valid")[-1]["teacher_l1_50"]
    assert told[-1]["mel_l1_1"] < 1.2 * teacher


@pytest.mark.parametrize("kind", ["recogniser", "singer", "pitch"])
def test_listeners_train_on_generated_mels_as_well(studio, tmp_path, kind):
    settings = json.loads(json.dumps(checkpoint.load(studio.path(kind))["config"]["train"]["task"]))
    settings["generated"] = {"checkpoint": studio.path("student"), "share": 0.5}
    path = config(studio, tmp_path / "made.yaml", task=settings, steps=3)
    task = task_class(kind)(settings, studio.corpus, "cpu", batch_size=4, batch_frames=32)
    batch = task.batch(np.random.default_rng(0))
    assert len(batch["made_mel"]) == 2 == len(batch["mel"])
    task.generator.manual_seed(0)
    made = task.maker.mel(batch, task.generator)
    assert made.shape == batch["made_mel"].shape and 0.01 < float((made - batch["made_mel"]).abs().mean()) < 0.5
    assert set(batch["made_singer"].tolist()) <= {0, 1}
    assert run(kind, path)["finished"]


def test_the_vocoder_learns_from_generated_mels_what_the_recording_sounds_like(studio):
    settings = {
        "model": {"family": "source_filter", "channels": 16, "blocks": 1, "bands": 24, "transform_samples": 1280},
        "generated": {"checkpoint": studio.path("student"), "share": 0.5},
    }
    task = task_class("vocoder", settings)(settings, studio.corpus, "cpu", batch_size=4, batch_frames=24)
    drawn = task.batch(np.random.default_rng(0))
    batch = task._with_generated(drawn)
    assert [len(value) for value in batch.values()] == [4] * 4 and batch["audio"].shape[1] == drawn["audio"].shape[1]
    real = log_mel(batch["audio"], studio.corpus.mel)[:, 4:-4]
    assert torch.allclose(real[:2], batch["mel"][:2, 4:-4], atol=1e-5), "the audio is what the mel was made for"
    assert 0.01 < float((batch["given"] - batch["mel"])[:2].abs().mean()) < 0.5
    assert len(drawn["given"]) == 2 and torch.equal(batch["given"][2:], drawn["given"])
    loss, _ = task._generator_loss(drawn, 1)
    assert torch.isfinite(loss)
