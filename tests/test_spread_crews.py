"""The crew of Ray's actors, on a stand-in for Ray: what is asked of it, and what becomes of actors that die."""

import sys
from collections import Counter

import pytest
import ray_stand_in
from fake_engine import FakeEngine
from ray_stand_in import Actor
from spread_workers import FakeWorker
from test_spread_processes import converted, plain

from fastsvc.convert.report import DONE, FAILED
from fastsvc.convert.spread import ray_cluster
from fastsvc.convert.spread.ray_crew import RayCrew
from fastsvc.errors import ConfigError, EngineError, ResourceError


@pytest.fixture(autouse=True)
def ray(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", ray_stand_in)
    monkeypatch.setattr(Actor, "made", [])
    monkeypatch.setattr(Actor, "dies", staticmethod(lambda method, arguments: False))
    return ray_stand_in


def crew_of(workers, gpus=0):
    return lambda spec: RayCrew(spec, workers, gpus, FakeWorker)


def names(arguments):
    return [job.name for task in arguments for job in getattr(task, "jobs", ())]


def test_the_same_tree_and_report(tmp_path):
    many, one, there, here = converted(tmp_path, [f"d{n % 3}/{n}.wav" for n in range(12)], crew_of(3, 0.25))
    assert there == here and len(here) == 12 and plain(many) == plain(one)
    wanted = {"num_cpus": 1, "num_gpus": 0.25, "max_restarts": 0, "max_task_retries": 0, "max_concurrency": 2}
    assert [actor.options for actor in Actor.made] == [wanted] * 3 and all(actor.dead for actor in Actor.made)


def test_actors_that_die_in_the_middle_and_poison(tmp_path, monkeypatch):
    tried = Counter()

    def dies(method, arguments):
        if method != "work":
            return False
        tried.update(names(arguments))
        name = names(arguments)[0]
        return name == "poison.wav" or (name in ("2.wav", "7.wav") and tried[name] == 1)

    monkeypatch.setattr(Actor, "dies", staticmethod(dies))
    many, _, there, here = converted(tmp_path, [*(f"{n}.wav" for n in range(10)), "poison.wav"], crew_of(3))
    (failure,) = many.failures
    assert failure.input.endswith("poison.wav") and tried["poison.wav"] == 3
    assert "3 workers died while it was converted, the last on node 10.0.0.1 (01234567), process " in failure.reason
    assert "connection error code 2" in failure.reason
    del here["poison.wav"]
    assert there == here and len(here) == 10


def test_a_result_that_was_written_before_its_actor_died(tmp_path, monkeypatch):
    """Its second worker finds it, and says that it is converted, not that it exists."""
    tried, work = Counter(), FakeWorker.work

    def work_and_die(self, task):
        entries = work(self, task)
        tried.update([task.jobs[0].name])
        if task.jobs[0].name == "1.wav" and tried["1.wav"] == 1:
            next(actor for actor in Actor.made if actor.object is self).die("gone.")
        return entries

    monkeypatch.setattr(FakeWorker, "work", work_and_die)
    many, one, there, here = converted(tmp_path, ["0.wav", "1.wav", "2.wav"], crew_of(1))
    assert there == here and tried["1.wav"] == 2
    found, expected = many.entries[1], one.entries[1]
    assert (found.status, found.reason, found.seconds) == (DONE, "", expected.seconds)
    assert (found.rate_hz, found.output_rate_hz, found.channels) == (24000, 24000, 1)


def test_an_engine_that_no_actor_can_open(tmp_path, monkeypatch):
    def fail(self):
        raise EngineError("x.fsvc: damaged", "build it again")

    monkeypatch.setattr(FakeWorker, "opened", fail)
    with pytest.raises(EngineError, match="x.fsvc: damaged"):
        converted(tmp_path, ["0.wav"], crew_of(2))
    monkeypatch.setattr(FakeWorker, "opened", lambda self: 1 / 0)
    with pytest.raises(EngineError, match="ZeroDivisionError"):
        converted(tmp_path, ["0.wav"], crew_of(2))


def test_what_goes_wrong_in_a_worker_is_the_recordings_failure(tmp_path, monkeypatch):
    monkeypatch.setattr(FakeWorker, "opened", lambda self: FakeEngine(fail={1: RuntimeError("odd")}))
    many, _, _, _ = converted(tmp_path, ["0.wav", "1.wav"], crew_of(1))
    assert Counter(entry.status for entry in many.entries) == {DONE: 1, FAILED: 1}


@pytest.mark.parametrize(
    "nodes, workers, gpus, device, result",
    [
        ([{"CPU": 4}], None, None, "auto", (4, 0.0)),
        ([{"CPU": 4, "GPU": 2}, {"CPU": 4}], None, None, "auto", (2, 1.0)),
        ([{"CPU": 4, "GPU": 2}], None, None, "cpu", (4, 0.0)),
        ([{"CPU": 16, "GPU": 2}], 8, 0.25, "cuda", (8, 0.25)),
        (
            [{"CPU": 4}],
            1,
            0.25,
            "auto",
            "the Ray cluster has no GPU: 1 workers need 1 CPU and 0.25 GPU each, its nodes",
        ),
        ([{"CPU": 4}], None, None, "cuda", "has no GPU"),
        ([{"CPU": 2}, {"CPU": 1}], 4, None, "auto", "room for 3 workers only"),
        ([], None, None, "auto", "room for 0 workers only.* have no nodes .or add nodes"),
    ],
)
def test_what_the_cluster_has_room_for(ray, monkeypatch, nodes, workers, gpus, device, result):
    alive = [{"Alive": True, "Resources": node} for node in nodes]
    gone = {"Alive": False, "Resources": {"CPU": 64, "GPU": 8}}
    monkeypatch.setattr(ray, "nodes", lambda: [*alive, gone], raising=False)
    if isinstance(result, tuple):
        assert ray_cluster.room(workers, gpus, device) == ray_cluster.Room(*result)
    else:
        with pytest.raises(ResourceError, match=result):
            ray_cluster.room(workers, gpus, device)


@pytest.mark.parametrize("gpus, device", [(1.5, "auto"), (1, "cpu")])
def test_shares_that_make_no_sense(ray, monkeypatch, gpus, device):
    monkeypatch.setattr(ray, "nodes", list, raising=False)
    with pytest.raises(ConfigError):
        ray_cluster.room(1, gpus, device)
