"""The DMO student's listeners, guard and alarms: what they know, whom they refuse, what they say."""

import copy

import numpy as np
import pytest
import torch
from dmo_tasks import batch_of, dmo
from histories import figures_of
from studio import shared

from fastsvc.errors import CheckpointError, ConfigError
from fastsvc.training import checkpoint, listeners
from fastsvc.training.conversion import converted
from fastsvc.training.dmo import DmoTask

pytestmark = pytest.mark.slow  # a studio is trained before the first test, and students after it


@pytest.fixture(scope="module")
def studio(tmp_path_factory):
    return shared(tmp_path_factory)


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


def test_what_does_not_fit_is_refused(studio):
    with pytest.raises(ConfigError, match="task.teacher is missing"):
        DmoTask({}, studio.corpus, "cpu")
    with pytest.raises(CheckpointError, match="holds a teacher, not a student or teacher or dmo|holds a singer"):
        dmo(studio, init=studio.path("singer"))
    with pytest.raises(ConfigError, match="no levels are known for 3"):
        dmo(studio, steps=[3])
