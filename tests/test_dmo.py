"""The DMO student's task: where it starts, who learns in whose turn, resuming, two processes, guard and alarms."""

import copy
import itertools
import json
import os
import signal
import socket

import numpy as np
import pytest
import torch
from histories import figures_of
from studio import EDM, build
from test_teacher import write_config

from fastsvc.checkpoints import read
from fastsvc.config import EdmConfig
from fastsvc.errors import CheckpointError, ConfigError
from fastsvc.training import checkpoint, listeners, parallel, run, simulate
from fastsvc.training.conversion import converted
from fastsvc.training.dmo import DmoTask
from fastsvc.training.dmo_validation import DmoValidation
from fastsvc.training.fake import with_origin
from fastsvc.training.loop import Trainer
from fastsvc.training.settings import read_settings

pytestmark = pytest.mark.slow  # a studio is trained before the first test, and students after it
FEW = {"steps": [1, 4], "fake_updates": 2, "match_steps": 3}
LEVELS = tuple(map(tuple, simulate.schedules(EdmConfig(**EDM), (1, 4))))


@pytest.fixture(scope="module")
def studio(tmp_path_factory):
    return build(tmp_path_factory.mktemp("studio"))


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


# ---- where it starts


def test_it_starts_from_the_student_and_its_fake_score_from_the_teacher(studio):
    task = dmo(studio, **FEW)
    for network, name in ((task.model, "student"), (task.teacher, "teacher")):
        ema = checkpoint.load(studio.path(name))["ema"]
        torch.testing.assert_close(dict(network.state_dict()), ema, rtol=0, atol=0)
    fake, denoiser = task.fake.net.state_dict(), task.teacher.denoiser.state_dict()
    torch.testing.assert_close(dict(fake), dict(denoiser), rtol=0, atol=0)
    assert not task.fake.origin.weight.any()
    assert task.model.config.edm.few_steps == LEVELS
    assert task.teacher.config.edm.few_steps == ()
    trained = {name for name, p in task.model.named_parameters() if p.requires_grad}
    assert trained and all(name.startswith("denoiser.") for name in trained)
    plain = dmo(studio, init="")
    torch.testing.assert_close(dict(plain.model.state_dict()), dict(task.teacher.state_dict()), rtol=0, atol=0)


def test_at_first_the_scores_agree_and_distribution_matching_asks_for_nothing(studio):
    task = dmo(studio)
    _, figures = task._student_loss(batch_of(task), 0)
    assert float(figures["dmd"]) == 0 and float(figures["pull_dmd"]) == 0
    guided = dmo(studio, guidance=1.5)
    _, figures = guided._student_loss(batch_of(guided), 0)
    assert float(figures["dmd"]) > 0  # guidance is in the real score alone


# ---- the turns


def moved(task):
    """A task whose fake score is no longer the teacher's."""
    with torch.no_grad():
        for p in task.fake.parameters():
            p += 0.02 * torch.randn_like(p)
    return task


def grads(task) -> dict[str, bool]:
    frozen = {f"listener {kind}": net for kind, net in task.listeners.items()}
    networks = {"student": task.model.denoiser, "fake": task.fake, "head": task.head, "teacher": task.teacher} | frozen
    found = {name: any(p.grad is not None for p in net.parameters()) for name, net in networks.items()}
    task.model.zero_grad(), task.fake.zero_grad(), task.head.zero_grad()
    return found


def test_each_turn_trains_its_own_network_and_no_other(studio):
    """Without the loop's freezing: the losses themselves keep to their own."""
    task = moved(dmo(studio, **FEW))
    batch = batch_of(task)
    alone = dict.fromkeys(grads(task), False)
    for name, loss in (
        ("fake", lambda: task._fake_loss(batch, 0, update=1)),
        ("head", lambda: task._head_loss(batch, 0)),
        ("student", lambda: task._student_loss(batch, 0)),
    ):
        value, _ = loss()
        assert value.isfinite() and float(value.detach()) > 0
        value.backward()
        assert grads(task) == alone | {name: True}
    all_of_it = moved(dmo(studio, train="all"))
    all_of_it._student_loss(batch, 0)[0].backward()
    assert all_of_it.model.condition.unit_embed.weight.grad.abs().max() > 0


def test_the_students_gradient_is_that_of_the_weighted_sum(studio):
    task = moved(dmo(studio, match_steps=1))
    batch, weights = batch_of(task), {}
    task._student_loss(batch, 0)  # measures the scales
    assert all(int(n) == (term.match != "none") for n, term in zip(task.balance.count, task.terms.values()))
    weights = {name: term.weight_at(0.0) * task.balance.scale(name) for name, term in task.terms.items()}
    assert weights["dmd"] == 1 and all(w > 0 for w in weights.values())

    task.generator.manual_seed(5)
    loss, figures = task._student_loss(batch, 0)
    loss.backward()
    got = task.model.denoiser.skip_projection.weight.grad.clone()
    task.model.zero_grad()

    task.generator.manual_seed(5)
    batch = task.student_batch(batch, task.choice(0, 0))
    x = task.chain(task.model, batch, task.choice(0, 0))
    total = sum(weights[name] * value for name, value in task._values(batch, x).items())
    total.backward()
    torch.testing.assert_close(got, task.model.denoiser.skip_projection.weight.grad, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(loss.detach(), total.detach())
    assert float(figures["pull_ctc"]) <= 1.01 * float(figures["pull_dmd"]) * 3  # other noise than was measured on


def test_losses_come_in_their_order(studio):
    losses = {"adversarial": {"start": 0.2}, "ctc": {"start": 0.2}, "singer": {"start": 0.5}}
    task = moved(dmo(studio, losses=losses, head_lead=0.1, late_from=0.8, late_rate=0.2))
    batch, met = batch_of(task), {}
    for progress in (0.0, 0.11, 0.2, 0.6, 0.9):
        task.progress = progress
        turns = task.turns(3)
        assert [turn.name for turn in turns if turn.name != "head"] == ["fake"] * 5 + ["student"]
        met[progress] = (
            len(turns) == 7,
            set(task._values(with_origin(batch, 0), task.model.normalise(batch["mel"]))),
            turns[-1].lr_scale,
        )
    assert met[0.0] == (False, {"dmd"}, 1.0) and met[0.11] == (True, {"dmd"}, 1.0)
    assert met[0.2][1] == {"dmd", "adversarial", "ctc", "frames", "pitch"} and met[0.6][1] == set(task.terms)
    assert met[0.9][2] == 0.2


def test_updates_of_one_step_see_other_noise_and_all_steps_of_the_schedules(studio):
    task = dmo(studio, **FEW)
    batch = batch_of(task)
    first, second = (task.student_samples(batch, 0, update)[1] for update in (1, 1))
    assert (first - second).abs().mean() > 1e-3
    choices = {task.choice(step, update) for step in range(40) for update in range(3)}
    assert choices == {(0, 0), (1, 0), (1, 1), (1, 2), (1, 3)}
    assert task.choice(7, 2) == dmo(studio, **FEW).choice(7, 2)


def test_the_fake_score_is_told_which_evaluation_made_what_it_learns(studio):
    task = dmo(studio, **FEW)
    choices = [(0, 0), (1, 0), (1, 1), (1, 2), (1, 3)]
    # The first evaluation makes the same in both schedules.
    assert [task.fake.origin_index(choice) for choice in choices] == [0, 0, 1, 2, 3]
    batch, step = batch_of(task), 0
    while task.choice(step, 1) != (1, 2):
        step += 1
    made, x = task.student_samples(batch, step, 1)
    assert made["origin"].tolist() == [2] * len(x)
    task._fake_loss(batch, step, update=1)[0].backward()
    touched = task.fake.origin.weight.grad.abs().sum(1) > 0
    assert touched.tolist() == [False, False, True, False]
    with torch.no_grad():
        task.fake.origin.weight[2] += 0.5
    noisy, sigma = torch.randn_like(x), x.new_full((len(x),), 0.3)
    with torch.no_grad():
        third, fourth = (task.fake_denoiser(made | {"origin": made["origin"] + k})(noisy, sigma) for k in (0, 1))
        plain = task.denoiser(task.teacher, task.condition(task.teacher, made), made["valid"])(noisy, sigma)
    torch.testing.assert_close(fourth, plain)  # its vector is still zero
    assert (third - fourth).abs().mean() > 1e-4


def test_padding_does_not_change_the_students_loss(studio):
    """Items of unequal length in one batch: what lies after their ends is not heard."""
    task = moved(dmo(studio))
    batch = batch_of(task)
    batch["valid"][1, 20:] = batch["valid"][2, 5:] = 0
    losses = []
    for fill in (0.0, 3.0):
        inside = batch["valid"][..., None] > 0
        other = {key: torch.where(inside, batch[key], fill) for key in ("mel", "units")}
        other |= {key: torch.where(inside[..., 0], batch[key], 100 + fill) for key in ("f0_hz", "volume")}
        task.generator.manual_seed(1)
        losses.append(task._student_loss(batch | other, 0)[0].detach())
    torch.testing.assert_close(losses[0], losses[1], rtol=1e-6, atol=1e-6)


# ---- whole runs


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


def test_listeners_know_the_clips(studio):
    """Check 7: what students are to please must be right itself."""
    heard = figures_of(studio.folder / "recogniser" / "history.jsonl", "valid")[-1]
    assert heard["phone_error_rate"] < 0.05
    verifier = listeners.listener(studio.path("singer"), "singer", studio.corpus.mel)
    batch = dmo(studio).crops("train", np.random.default_rng(2), 24, 64)
    with torch.no_grad():
        voice = verifier(batch["mel"], batch["valid"])
    cosine, same = voice @ voice.T, batch["singer"][:, None] == batch["singer"][None]
    upper = torch.triu(torch.ones_like(same), 1)
    genuine, impostor = cosine[upper & same], cosine[upper & ~same]
    assert float((genuine[:, None] > impostor[None]).float().mean()) > 0.99  # area under the curve


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


def test_the_guard_speaks_of_listeners_that_are_being_pleased(studio):
    task = dmo(studio, guard=studio.guard() | {"patience": 1}, losses={"ctc": {"start": 0.5}, "frames": {"start": 0.5}})
    figures = {"phone_errors": 0.3, "held_out_phone_errors": 0.3, "similarity": 0.5, "held_out_similarity": 0.5}
    apart = figures | {"phone_errors": 0.2, "held_out_phone_errors": 0.4}
    assert not task.verdict(figures).stop
    task.progress = 0.4
    assert not task.verdict(apart).stop
    task.progress = 0.6
    assert task.verdict(apart).stop.startswith("recogniser: ")


# ---- alarms, in the task itself


def test_a_student_that_ignores_noise_has_no_diversity(studio):
    task = dmo(studio, diversity_seeds=16)
    with torch.no_grad():
        alive = task.validation._diversity(task.model.eval())
        task.model.denoiser.input_projection.weight.zero_()
        dead = task.validation._diversity(task.model)
    assert alive > 0.3 > 0.1 > dead
    assert "diversity" in task.verdict({"diversity": dead}).warnings[0]


def test_a_student_that_jumps_leaves_its_fake_score_behind(studio):
    task = dmo(studio, lag_steps=30)
    task.rate = 2e-3
    together = task.validation._lag()
    with torch.no_grad():
        task.model.denoiser.output_projection.bias += 3.0
    apart = task.validation._lag()
    print(together, apart)
    assert apart > 1.1 and apart > 1.05 * together
    assert task.validation._lag() == apart  # nothing was changed by asking


# ---- listeners and twins


@pytest.mark.parametrize("kind", ["recogniser", "singer"])
def test_a_twin_is_refused_as_a_listener_and_a_listener_as_a_guard(studio, kind):
    with pytest.raises(CheckpointError, match="held out for evaluation, so training cannot use it as a listener"):
        dmo(studio, listeners=studio.listeners() | {kind: studio.path(f"{kind}_guard")})
    with pytest.raises(CheckpointError, match="is not held out from training"):
        dmo(studio, guard={kind: studio.path(kind)})
    content = checkpoint.load(studio.path(f"{kind}_guard"))
    del content["config"]["train"]["task"]["held_out"]
    assert listeners.is_held_out(content)  # by its architecture
    plain = checkpoint.load(studio.path(kind))
    assert not listeners.is_held_out(plain)
    plain["config"]["train"]["task"]["held_out"] = True
    assert listeners.is_held_out(plain)


def test_a_listener_must_hear_the_corpus_and_know_its_phones(studio, tmp_path):
    content = checkpoint.load(studio.path("recogniser"))
    content["config"]["model"]["mel"]["hop_samples"] = 80
    torch.save(content, tmp_path / "mel.pt")
    with pytest.raises(ConfigError, match="has another mel than the corpus"):
        dmo(studio, listeners=studio.listeners() | {"recogniser": str(tmp_path / "mel.pt")})
    content = checkpoint.load(studio.path("recogniser"))
    content["config"]["model"]["phones"][1] = "x"
    torch.save(content, tmp_path / "phones.pt")
    with pytest.raises(ConfigError, match="has other phones"):
        dmo(studio, listeners=studio.listeners() | {"recogniser": str(tmp_path / "phones.pt")})


def test_nobody_is_converted_to_a_singer_without_songs(studio):
    """Their row stays in the table, for the engine; here it has no centroid and no part."""
    corpus = copy.copy(studio.corpus)
    corpus.items = [item for item in corpus.items if item.singer == 1]
    corpus._choices, corpus._having = {}, {}
    task = DmoTask(studio.task(guard=studio.guard()), corpus, "cpu", batch_size=4, batch_frames=32)
    assert task.speakers == ["high", "low"] and task.rows_without_songs == [0] and task.singer_ids == [None, 1]
    assert task.rows_here.tolist() == [1] and "high: their rows stay" in task.notes[0]
    assert not task.centroids[0].any() and task.centroids[1].norm() == pytest.approx(1)
    batch = task.student_batch(batch_of(task), (0, 0))
    assert batch["singer"].tolist() == [1] * 4 and task.validation.converted["singer"].tolist() == [1] * 4
    everyone = converted(
        {"singer": torch.tensor([2, 0] * 50), "f0_hz": torch.ones(100, 2)},
        1.0,
        torch.ones(3),
        task.generator,
        torch.tensor([0, 2]),
    )
    assert everyone["singer"].tolist() == [0, 2] * 50


def test_centroids_are_those_of_the_singers(studio):
    task = dmo(studio)
    torch.testing.assert_close(task.centroids.norm(dim=1), torch.ones(2))
    verifier, corpus = task.listeners["singer"], studio.corpus
    again = listeners.centroids(verifier, corpus, task.singer_ids, 0)
    torch.testing.assert_close(task.centroids, again, rtol=0, atol=0)
    batch = task.crops("train", np.random.default_rng(2), 16, 64)
    with torch.no_grad():
        nearest = (verifier(batch["mel"], batch["valid"]) @ task.centroids.T).argmax(1)
    assert float((nearest == batch["singer"]).float().mean()) > 0.8


@pytest.mark.parametrize("kind", ["recogniser", "singer", "pitch"])
def test_listeners_train_on_generated_mels_as_well(studio, tmp_path, kind):
    settings = json.loads(json.dumps(checkpoint.load(studio.path(kind))["config"]["train"]["task"]))
    settings["generated"] = {"checkpoint": studio.path("student"), "share": 0.5}
    path = config(studio, tmp_path / "made.yaml", task=settings, steps=3)
    from fastsvc.training.task import task_class

    task = task_class(kind)(settings, studio.corpus, "cpu", batch_size=4, batch_frames=32)
    batch = task.batch(np.random.default_rng(0))
    assert len(batch["made_mel"]) == 2 == len(batch["mel"])
    task.generator.manual_seed(0)
    made = task.maker.mel(batch, task.generator)
    assert made.shape == batch["made_mel"].shape and 0.01 < float((made - batch["made_mel"]).abs().mean()) < 0.5
    assert set(batch["made_singer"].tolist()) <= {0, 1}
    assert run(kind, path)["finished"]


def test_what_does_not_fit_is_refused(studio):
    with pytest.raises(ConfigError, match="task.teacher is missing"):
        DmoTask({}, studio.corpus, "cpu")
    with pytest.raises(CheckpointError, match="holds a teacher, not a student or teacher or dmo|holds a singer"):
        dmo(studio, init=studio.path("singer"))
    with pytest.raises(ConfigError, match="no levels are known for 3"):
        dmo(studio, steps=[3])
