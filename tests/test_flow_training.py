"""Trainings of rectified flows: the teacher's losses, the students of a voice of DDSP-SVC 6, who learns, resuming."""

import copy
from dataclasses import replace

import ddsp_golden
import engines
import flows
import numpy as np
import pytest
import torch
from histories import figures_of

from fastsvc.checkpoints import read
from fastsvc.errors import CheckpointError, ConfigError
from fastsvc.model.ddsp import flow
from fastsvc.training import checkpoint, diffusion, run
from fastsvc.training.flow.tasks import FlowDmoTask, FlowStudentTask
from fastsvc.training.flow.teacher import FlowTeacherTask
from fastsvc.training.task import task_class

TEACHER = {"model": {"family": "ddsp", "hidden": 16, "hidden_layers": 1, "channels": 16, "layers": 2}}
ONLY_MATCHING = {name: {"weight": 0.0} for name in ("ctc", "frames", "pitch", "singer")}
DMO = {"losses": ONLY_MATCHING, "steps": [1, 2], "fake_updates": 1, "match_steps": 1, "head_channels": 8}
DMO |= {"diversity_seeds": 2, "lag_steps": 1, **flows.FEW}


@pytest.fixture(scope="module")
def voice(tmp_path_factory):
    """(a file of DDSP-SVC 6, a corpus of its features, singers' folders named by its speakers' ids)."""
    folder = tmp_path_factory.mktemp("voice")
    return str(ddsp_golden.write(folder / "exp")), flows.corpus(folder / "corpus")


def task_of(kind, corpus, settings, **loop):
    torch.manual_seed(0)
    task = task_class(kind, settings)(settings, corpus, "cpu", batch_size=2, batch_frames=24, **loop)
    task.generator.manual_seed(0)
    return task


def drawn(task) -> dict:
    return task.batch(np.random.default_rng(0))


def test_the_teachers_losses_by_hand(voice):
    """Upstream's: the velocity's square error at t, and the first mel's, both in natural logarithms."""
    task = task_of("teacher", voice[1], TEACHER | flows.FEW)
    assert isinstance(task, FlowTeacherTask) and task.speakers == ["1", "2"]
    batch, model = drawn(task), task.model.eval()
    time, z = torch.tensor([0.72, 0.93]), torch.randn_like(batch["mel"])
    with torch.no_grad():
        loss, figures = task.losses(model, batch, time, z)
        first = model.first_mel(*(batch[name] for name in ("units", "f0_hz", "volume", "singer", "source")))
        x1, wide = flow.normalised(batch["mel"]), time[:, None, None]
        v = model.reflow_model.velocity_fn(wide * x1 + (1 - wide) * z, time, first)
    wanted = {"first_error": (first - batch["mel"]).square().mean(), "flow_error": (v - (x1 - z)).square().mean()}
    for name, value in wanted.items():
        assert float(figures[name]) == pytest.approx(float(value), rel=1e-3)
    assert float(loss) == pytest.approx(float(sum(wanted.values())), rel=1e-3)
    for turn in task.turns(0):
        turn.loss(batch, 0)[0].backward()
    assert all(p.grad is not None for p in model.reflow_model.parameters())
    assert float(model.ddsp_model.unit2ctrl.dense_out.weight.grad.norm()) > 0


def test_a_corpus_of_the_other_base_gives_the_same_states(tmp_path):
    """Log10 mels in and out; the flow itself works on natural logarithms."""
    ten = flows.corpus(tmp_path / "ten", replace(flows.MEL, log_base="10"))
    natural = flows.corpus(tmp_path / "e")
    tasks = [task_of("teacher", corpus, TEACHER | flows.FEW) for corpus in (ten, natural)]
    batches = [drawn(task) for task in tasks]
    states = [task.model.normalise(batch["mel"]) for task, batch in zip(tasks, batches)]
    torch.testing.assert_close(*states, rtol=1e-4, atol=1e-4)
    for task, batch in zip(tasks, batches):
        torch.testing.assert_close(task.model.denormalise(task.model.normalise(batch["mel"])), batch["mel"])
    assert tasks[0].model.config == tasks[1].model.config


def test_the_student_starts_as_the_voice_itself(voice):
    """One step of an untrained student is one Euler step of upstream's own file, as the specification computes it."""
    path, corpus = voice
    task = task_of("student", corpus, {"teacher": path, **flows.FEW})
    assert isinstance(task, FlowStudentTask) and task.speakers == ["1", "2", "speaker 3"]
    assert task.rows_without_songs == [2] and task.speaker_f0_hz[:2] == [180.0, 360.0]
    golden, batch = ddsp_golden.model("small_6.1"), task.valid
    with torch.no_grad():
        first = golden.first_mel(*(batch[name] for name in ("units", "f0_hz", "volume", "singer", "source")))
        wanted = golden.refine(first, diffusion.fixed_noise(first, 0)(0), 1)
    torch.testing.assert_close(task.sampled(task.model, 1, "consistency"), wanted, rtol=1e-3, atol=2e-3)


@pytest.mark.parametrize("train", ["denoiser", "all"])
def test_who_learns(voice, train):
    path, corpus = voice
    task = task_of("student", corpus, {"teacher": path, "train": train, **flows.FEW})
    batch = drawn(task)
    task.turns(0)[0].loss(batch, 0)[0].backward()
    with_gradient = {name for name, p in task.model.named_parameters() if p.grad is not None and bool(p.grad.any())}
    assert any(name.startswith("reflow_model.") for name in with_gradient)
    assert any(name.startswith("ddsp_model.") for name in with_gradient) == (train == "all")
    assert not any(p.requires_grad for other in (task.teacher, task.target) for p in other.parameters())


def test_the_distillation_reaches_the_teachers_own_end():
    """With two levels the target is the teacher's one-step answer, so its own copy has no loss and another has."""
    from fastsvc.training.consistency import distillation_loss
    from fastsvc.training.flow import process

    model, batch = flows.model(), flows.batch()
    other = copy.deepcopy(model)
    with torch.no_grad():
        other.reflow_model.velocity_fn.output_projection.bias += 0.5
    x0, z = flow.normalised(batch["mel"]), torch.randn_like(batch["mel"])
    levels, n = process.FlowProcess(0.7).grid(2), torch.zeros(3, dtype=torch.int64)

    def denoise(network):
        return lambda x, s: process.denoise(network.reflow_model.velocity_fn, x, s, batch["mel"])

    def loss(student):
        with torch.no_grad():
            return float(distillation_loss(denoise(student), *[denoise(model)] * 2, levels, n, x0, z, batch["valid"]))

    assert loss(model) < 1e-9
    assert loss(other) == pytest.approx((0.3 * 0.5) ** 2, rel=1e-3)


def same_run(tmp_path, kind, corpus, task, steps: int = 2):
    """Train in one go and in two parts; both end alike, to the bit."""
    out = [tmp_path / name for name in ("whole", "parts")]
    for folder, parts in zip(out, ((steps,), (steps // 2, steps))):
        for count in parts:
            path = flows.settings(
                tmp_path / f"{folder.name}.yaml", corpus, task, steps=count, optim={"schedule": "constant", "warmup": 0}
            )
            run(kind, path, resume=True, out=folder)
    whole, parts = (checkpoint.load(folder / "last.pt", kind) for folder in out)
    for name, value in whole["model"].items():
        assert torch.equal(value, parts["model"][name]), name
    return out[0], whole


@pytest.mark.slow
def test_two_real_steps_of_a_student_and_resuming(voice, tmp_path):
    path, corpus = voice
    task = {"teacher": path, "points": 4, **flows.FEW}
    out, content = same_run(tmp_path, "student", corpus, task)
    found = read(out / "last.pt")
    assert found.kind == "student" and found.config.kind == "ddsp" and found.speakers == ("1", "2", "speaker 3")
    assert found.config.mel == flows.MEL and found.speaker_base == 1
    figures = figures_of(out / "history.jsonl", "valid")[-1]
    assert {"teacher_l1_20", "mel_l1_1", "mel_l1_4", "to_teacher_1"} <= set(figures)
    first = read(path).tensors
    moved = {name for name, w in content["model"].items() if not torch.equal(w, first[name])}
    assert moved and all(name.startswith("reflow_model.") for name in moved)


@pytest.mark.slow
def test_two_real_steps_of_dmo_and_resuming(voice, tmp_path):
    path, corpus = voice
    out, content = same_run(tmp_path, "dmo", corpus, {"teacher": path, **DMO})
    found = read(out / "last.pt")
    assert found.kind == "dmo" and found.config.few_steps == (1, 2)
    first = read(path).tensors
    moved = {name for name, w in content["model"].items() if not torch.equal(w, first[name])}
    assert moved and all(name.startswith("reflow_model.") for name in moved)
    figures = figures_of(out / "history.jsonl", "valid")[-1]
    assert {"mel_l1_1", "mel_l1_2", "diversity", "fake_lag"} <= set(figures)
    with pytest.raises(CheckpointError, match="few_steps"):
        run("dmo", flows.settings(tmp_path / "o.yaml", corpus, {"teacher": path, **DMO, "steps": [1]}), True, out)


def test_dmo_turns_the_right_networks(voice):
    """The fake score's turn and the discriminator's leave the student alone, and the student's leaves them alone."""
    path, corpus = voice
    task = task_of("dmo", corpus, {"teacher": path, **DMO, "losses": ONLY_MATCHING | {"adversarial": {"start": 0.0}}})
    assert isinstance(task, FlowDmoTask)
    with torch.no_grad():
        task.fake.net.output_projection.bias += 0.1  # a fake score that equals the teacher pulls nowhere
    batch, networks = drawn(task), {"fake": task.fake, "head": task.head, "student": task.model}
    for turn in task.turns(3):
        for network in networks.values():
            network.requires_grad_(False)
        turn.module.requires_grad_(True)
        task.process.freeze_condition(task.model)
        turn.loss(batch, 3)[0].backward()
        learnt = {
            name for name, net in networks.items() if any(p.grad is not None and p.grad.any() for p in net.parameters())
        }
        assert learnt == {turn.name}
        for network in networks.values():
            network.zero_grad(set_to_none=True)


def test_refusals(voice, tmp_path):
    path, corpus = voice
    for kind, task, part in (
        ("student", {"method": "ect"}, "ect is for diffusion models"),
        ("student", {"guidance": 2.0}, "nothing to guide it with"),
        ("dmo", {**DMO, "guidance": 2.0}, "nothing to guide it with"),
        ("dmo", {**DMO, "below": [[1.0]]}, "task.below"),
        ("student", {"from_first": 2.0}, "from_first"),
    ):
        with pytest.raises(ConfigError, match=part):
            task_of(kind, corpus, {"teacher": path, **flows.FEW, **task})
    with pytest.raises(ConfigError, match="a rectified flow, and a diffusion model is needed"):
        task_of("teacher", corpus, {"init": str(engines.native(tmp_path / "s.pt", "student", ddsp_golden.SMALL))})
    with pytest.raises(ConfigError, match="unknown family"):
        task_of("teacher", corpus, {"model": {"family": "wave"}})
    for name, other, part in (
        ("hop", {"mel": replace(flows.MEL, hop_samples=32)}, "mel.hop_samples 64 there, 32 here"),
        ("units", {"channels": 23}, "unit channels 24 there, 23 here"),
        ("encoder", {"encoder": "vec256l9"}, "encoder vec768l12 there, vec256l9 here"),
    ):
        with pytest.raises(ConfigError, match=part) as refused:
            task_of("student", flows.corpus(tmp_path / name, **other), {"teacher": path, **flows.FEW})
        assert f"--like {path}" in refused.value.remedy
    with pytest.raises(ConfigError, match="has the singers 1, speaker 2, speaker 3, the student trains"):
        task_of("student", flows.corpus(tmp_path / "s", singers=("1", "me")), {"teacher": path, **flows.FEW})
