"""Ray's actors on simulated nodes: the same tree as one process makes, whatever dies."""

import contextlib
import os
import signal
import threading
import time

import pytest
from fake_engine import settings
from recordings import put, tone
from spread_workers import FakeWorker
from test_spread_processes import converted, plain

from fastsvc.convert.report import DONE, FAILED
from fastsvc.convert.spread import ray_cluster
from fastsvc.convert.spread.ray_crew import RayCrew
from fastsvc.errors import ConfigError, MissingPackageError, ResourceError

ANNA = settings()


def test_what_fits_on_a_node():
    fits = ray_cluster._fitting
    assert [fits({"CPU": 8, "GPU": 2}, gpus) for gpus in (0, 1, 2, 0.5, 0.25, 0.3, 3)] == [8, 2, 1, 4, 8, 6, 0]
    assert fits({"CPU": 3, "GPU": 4}, 1) == 3 and fits({}, 0) == fits({"CPU": 8}, 0.25) == 0


@pytest.mark.parametrize(
    "text, cause",
    [
        (
            "The actor died.\n\tclass_name: W\nWorker exit type: X Worker exit detail: Connection error. End. More",
            "Connection error",
        ),
        ("The actor is dead because its node has died. Node Id: 1234", "The actor is dead because its node has died"),
        ("", "RuntimeError"),
    ],
)
def test_the_cause_from_rays_many_lines(text, cause):
    assert ray_cluster.cause(RuntimeError(text)) == cause


def test_ray_is_not_installed(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(MissingPackageError, match=r"fastsvc\[ray\]"):
        ray_cluster.connect("auto")
    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"


def patient(start, tries=6):
    """Ray gives its own processes 30 seconds to start, which a busy machine may take."""
    for _ in range(tries - 1):
        with contextlib.suppress(Exception):
            return start()
    return start()


@pytest.fixture(scope="module")
def cluster():
    pytest.importorskip("ray", reason="ray is not installed: pip install 'fastsvc[ray]'")
    from ray.cluster_utils import Cluster

    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_AUTH_MODE", "disabled")  # nobody else reaches this machine's own address
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    ways = (os.path.dirname(__file__), os.environ.get("PYTHONPATH", ""))
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, ways))  # of workers, for FakeWorker
    made = patient(lambda: Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False}))
    nodes = [patient(lambda: made.add_node(num_cpus=1)) for _ in range(3)]
    patient(lambda: ray_cluster.connect(made.address))
    yield made, nodes
    ray_cluster.disconnect()
    made.shutdown()


def crew_of(workers):
    return lambda spec: RayCrew(spec, workers, 0, FakeWorker)


@pytest.mark.long
@pytest.mark.slow
def test_no_gpu_is_said_at_once(cluster):
    start = time.monotonic()
    for workers, gpus, why in (
        (1, 0.25, "has no GPU: 1 workers need 1 CPU and 0.25 GPU each"),
        (None, 1, "has no GPU"),
    ):
        with pytest.raises(ResourceError, match=why):
            ray_cluster.room(workers, gpus, "auto")
    with pytest.raises(ResourceError, match="room for 3 workers only.*use --workers 3"):
        ray_cluster.room(4, None, "auto")
    with pytest.raises(ConfigError, match="cannot be shared out"):
        ray_cluster.room(1, 1.5, "auto")
    assert ray_cluster.room(None, None, "auto") == ray_cluster.Room(3, 0.0)
    assert time.monotonic() - start < 5


@pytest.mark.long
@pytest.mark.slow
def test_200_files_on_3_nodes(cluster, tmp_path, record_property):
    start = time.monotonic()
    many, one, there, here = converted(tmp_path, [f"d{n % 7}/{n}.wav" for n in range(200)], crew_of(3))
    record_property("say", f"200 files on 3 simulated nodes: {time.monotonic() - start:.1f} s, starts included")
    assert there == here and len(here) == 200 and plain(many) == plain(one)


@pytest.mark.long
@pytest.mark.slow
def test_poison(cluster, tmp_path):
    many, _, there, here = converted(tmp_path, [*(f"{n}.wav" for n in range(10)), "poison.wav"], crew_of(3))
    assert len(many.failures) == 1, [(entry.input[-12:], entry.reason) for entry in many.failures]
    (failure,) = many.failures
    assert failure.input.endswith("poison.wav") and "3 workers died" in failure.reason
    assert "node " in failure.reason and "process " in failure.reason
    del here["poison.wav"]
    assert there == here


@pytest.mark.long
@pytest.mark.slow
def test_s3_to_s3(cluster, tmp_path, monkeypatch):
    """Against moto's server, from driver and workers."""
    pytest.importorskip("s3fs", reason="s3fs is not installed")
    moto = pytest.importorskip("moto.server", reason="moto[server] is not installed")
    from fake_engine import FakeEngine

    from fastsvc.convert.spread import run
    from fastsvc.convert.spread.remote_plan import spread_plan
    from fastsvc.convert.spread.worker import WorkerSpec
    from fastsvc.remote import Folder

    server = moto.ThreadedMotoServer(port=0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    keys = {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
    }
    keys |= {"AWS_DEFAULT_REGION": "us-east-1"}
    for name, value in keys.items():
        monkeypatch.setenv(name, value)
    try:
        bucket = Folder("s3://songs")
        bucket.fs.mkdir("songs")  # nobody else in this process has one of this name
        for number in range(12):
            local = put(tmp_path / "in" / f"d/{number}.wav", tone(0.02, hz=200 + number))
            bucket.write(f"in/d/{number}.wav", local.read_bytes())
        engine = FakeEngine()
        spec = WorkerSpec("fake.fsvc", engine.content_hash, "s3://songs/out", own_list=True)

        def crew():
            made = RayCrew(spec, 2, 0, FakeWorker)
            made.actor = made.actor.options(runtime_env={"env_vars": keys})
            return made

        planned = spread_plan(["s3://songs/in"], "s3://songs/out")
        report, _ = run.run(engine, planned, [ANNA] * 12, crew)
        assert report.count(DONE) == 12, report.failures
        planned = spread_plan(["s3://songs/in"], "s3://songs/out")
        again, _ = run.run(engine, planned, [ANNA] * 12, lambda: pytest.fail("nothing is to do"))
        assert again.count("skipped") == 12
        local = converted(tmp_path, [], crew_of(1))[3]
        assert bucket.read([f"out/{name}" for name in local]) == {
            f"out/{name}": content for name, content in local.items()
        }
        assert not [item.name for item in bucket.items("out") if item.name.endswith(".tmp")]
        other = settings("bert")
        refused, _ = run.run(engine, planned, [other] * 12, lambda: pytest.fail("nothing is to do"))
        assert refused.count(FAILED) == 12 and "made with another voice" in refused.entries[0].reason
    finally:
        server.stop()


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_workers_that_are_killed_and_a_node_that_goes(cluster, tmp_path, record_property):
    """Last, as it takes a node away."""
    made, nodes = cluster
    crews, ends, kills = [], threading.Event(), []

    def crew(spec):
        crews.append(RayCrew(spec, 3, 0, FakeWorker))
        return crews[0]

    def trouble():
        while not ends.wait(5):
            alive = [text for text in list(crews[0].where.values()) if crews] if crews else []
            pids = [int(text.rpartition(" ")[2]) for text in alive]
            pids = [pid for pid in pids if os.path.exists(f"/proc/{pid}")]
            if pids:
                kills.append(pids[len(kills) % len(pids)])
                os.kill(kills[-1], signal.SIGKILL)
            if len(kills) == 2 and nodes:
                made.remove_node(nodes.pop(), allow_graceful=False)

    thread = threading.Thread(target=trouble, daemon=True)
    thread.start()
    start = time.monotonic()
    try:
        many, _, there, here = converted(tmp_path, [f"d{n % 7}/slow{n}.wav" for n in range(200)], crew)
    finally:
        ends.set()
        thread.join()
    taken = time.monotonic() - start
    record_property("say", f"200 files, {len(kills)} workers killed, one of 3 nodes removed: {taken:.1f} s, all done")
    assert {entry.status for entry in many.entries} == {DONE}, [entry.reason for entry in many.failures]
    assert there == here and len(kills) >= 2 and len(nodes) == 2
    assert [entry.input for entry in many.entries] == sorted((e.input for e in many.entries), key=order)


def order(path):
    from fastsvc.convert.plan import natural_key

    return natural_key(path)
