"""The queue of `fastsvc serve`: order, groups, cancellation, deaths of workers; workers are played by the test."""

import asyncio
import time
from types import SimpleNamespace

import pytest

pytest.importorskip("fastapi")
import serve_fakes
from serve_fakes import FakePool, settled

from fastsvc.serve.jobs.queue import Full, Stopping
from fastsvc.serve.voices import Voice


def played(home, play, **limits):
    """Run ``play(bench)`` beside a queue."""

    async def work():
        async with serve_fakes.bench(home, **limits) as bench:
            await play(bench)

    asyncio.run(work())


def test_jobs_run_in_their_order_and_know_their_place(tmp_path):
    async def play(bench):
        first, second, third = bench.add(3)
        await settled()
        assert [bench.book.public(job)["place"] for job in (first, second, third)] == [None, 1, 2]
        assert (first.state, second.state) == ("running", "queued")
        (process,) = bench.pool.processes
        (told,) = process.sent[0]["jobs"]
        assert (told["id"], told["input"], told["name"]) == (first.id, "input.wav", "song 1.wav")
        assert (bench.book.folder(first) / "input.wav").read_bytes() == b"sound" * 10
        process.answer({"jobs": [first.id], "progress": 0.25})
        await settled()
        assert bench.book.public(first)["progress"] == 0.25
        bench.finish(process, first)
        await settled()
        assert (first.state, second.state, bench.book.place(third.id)) == ("done", "running", 1)
        assert first.result["name"] == "song 1_slt.wav"
        assert not (bench.book.folder(first) / "input.wav").exists()
        assert bench.queue.store.get(first.id).state == "done"

    played(tmp_path, play)


def test_alike_jobs_share_a_run_where_the_engine_shares_batches(tmp_path):
    async def play(bench):
        bench.add(1)
        alike, other, later = bench.add(2, seed=1), bench.add(1, seed=2), bench.add(1, seed=1)
        await settled()
        bench.finish(bench.pool.processes[0], bench.book.get(next(iter(bench.book.running))))
        await settled()
        told = [job["id"] for job in bench.pool.processes[1].sent[0]["jobs"]]
        assert told == [job.id for job in (*alike, *later)]
        assert other[0].state == "queued"

    played(tmp_path, play, pool=FakePool(["voices"]))


def test_of_a_group_whose_worker_died_each_is_tried_alone(tmp_path):
    async def play(bench):
        first, *group = bench.add(3)
        await settled()
        assert first.state == "running"
        bench.pool.processes[0].answer(None)
        await settled()
        assert first.state == "running"  # the queue's head again, alone
        assert len(bench.pool.processes[1].sent[0]["jobs"]) == 1
        bench.pool.processes[1].answer(None)
        await settled()
        assert first.state == "failed"
        assert "signal 9" in first.error["what"]
        for number, job in enumerate(group, 2):
            bench.finish(bench.pool.processes[number], job)
            await settled()
            assert job.state == "done"

    played(tmp_path, play, pool=FakePool(["voices"]))


def test_engines_work_beside_each_other_and_one_engine_does_one_thing(tmp_path):
    async def play(bench):
        other = Voice.read("other", "Other", bench.voice.path, "named")
        bench.voices.by_id["other"] = other
        first, second = bench.add(2)
        (third,) = bench.add(1, other)
        await settled()
        assert [job.state for job in (first, second, third)] == ["running", "queued", "running"]

    played(tmp_path, play, parallel=2)


def test_a_cancelled_job_is_over_at_once_and_its_worker_is_ended_if_it_does_not_heed(tmp_path):
    async def play(bench):
        first, second, third = bench.add(3)
        await settled()
        process = bench.pool.processes[0]
        bench.queue.cancel(third)
        bench.queue.cancel(first)
        assert (first.state, third.state) == ("cancelled", "cancelled")
        assert not bench.book.folder(first).exists()
        assert process.sent[1] == {"cancel": process.sent[0]["run"]}
        assert second.state == "queued"
        process.answer(bench_done := {"job": first.id, "done": {}})  # too late
        await settled()
        assert bench_done and first.state == "cancelled"
        assert not process.killed
        await asyncio.sleep(0.1)
        assert process.killed
        await settled()
        assert second.state == "running"
        bench.queue.cancel(second)
        bench.pool.processes[1].answer({"idle": bench.pool.processes[1].sent[0]["run"]})
        await asyncio.sleep(0.1)
        assert not bench.pool.processes[1].killed

    played(tmp_path, play)


def test_a_worker_that_says_nothing_of_a_job_fails_it(tmp_path):
    async def play(bench):
        (job,) = bench.add(1)
        await settled()
        bench.pool.processes[0].answer({"idle": bench.pool.processes[0].sent[0]["run"]})
        await settled()
        assert job.state == "failed"
        assert bench.pool.released == 1

    played(tmp_path, play)


def test_errors_of_workers_name_the_clients_file_and_no_path(tmp_path):
    async def play(bench):
        (job,) = bench.add(1)
        await settled()
        process = bench.pool.processes[0]
        path = bench.book.folder(job) / job.source
        process.answer(
            {"job": job.id, "failed": {"kind": "AudioError", "message": f"{path}: it is cut", "remedy": "no"}}
        )
        process.answer({"idle": process.sent[0]["run"]})
        await settled()
        assert job.error == {"what": "song 1.wav", "why": "it is cut", "remedy": "no"}

    played(tmp_path, play)


def test_the_queue_is_limited(tmp_path):
    async def play(bench):
        bench.add(3)
        with pytest.raises(Full, match="2 jobs wait"):
            bench.add(2)
        assert len(list(bench.settings.jobs_folder.iterdir())) == 3
        bench.queue.incoming_bytes = 851
        with pytest.raises(Full, match="too large together"):
            bench.queue.check_room(0)

    played(tmp_path, play, queue=3, waiting_bytes=1000)


def test_the_drain_waits_for_what_is_in_work_and_no_longer_than_it_may(tmp_path):
    async def play(bench):
        first, second = bench.add(2)
        await settled()
        draining = asyncio.ensure_future(bench.queue.drain())
        await settled()
        with pytest.raises(Stopping):
            bench.add(1)
        bench.finish(bench.pool.processes[0], first)
        await asyncio.wait_for(draining, 1.0)
        assert (first.state, second.state) == ("done", "queued")

    played(tmp_path / "soon", play, drain_s=60)

    async def too_long(bench):
        bench.add(1)
        await settled()
        started = time.monotonic()
        await bench.queue.drain()
        assert 0.1 <= time.monotonic() - started < 5

    played(tmp_path / "late", too_long, drain_s=0.1)


def test_what_was_in_work_or_waits_at_the_end_runs_after_the_next_start(tmp_path):
    jobs = []

    async def play(bench):
        jobs.extend(bench.add(2))
        await settled()
        assert jobs[0].attempts == 1

    async def again(bench):
        await settled()
        now = [bench.book.get(job.id) for job in jobs]
        assert [(job.state, job.attempts) for job in now] == [("running", 1), ("queued", 0)]

    played(tmp_path, play)
    played(tmp_path, again)


def test_a_build_tells_its_lines_and_its_voice_is_offered_or_its_remains_removed(tmp_path, monkeypatch):
    processes = []

    async def start(role, folder, title):
        processes.append(serve_fakes.FakeProcess())
        processes[-1].role = role
        processes[-1].end = lambda: asyncio.sleep(0)
        return processes[-1]

    monkeypatch.setattr("fastsvc.serve.jobs.building.Process", SimpleNamespace(start=start))

    def build(bench, id):
        bench.voices.folder(id).mkdir()
        return bench.queue.add_build(f"{id}.pth", "fastsvc.serve.somewhere:run", {"voice": id, "name": id.upper()})

    async def play(bench):
        good, bad, cancelled = (build(bench, id) for id in ("good", "bad", "cancelled"))
        (converted,) = bench.add(1)
        await settled()
        assert (good.state, bad.state, converted.state) == ("running", "queued", "running")  # one build at a time
        assert processes[0].role["arguments"] == {"voice": "good", "name": "GOOD"}
        processes[0].answer({"log": "read"}, {"progress": 0.5}, {"log": "lowered"})
        await settled()
        public = bench.book.public(good)
        assert (public["log"], public["progress"], public["kind"]) == (["read", "lowered"], 0.5, "build")
        processes[0].answer({"done": ["a note"]})
        await settled()
        assert (good.state, good.notes, bench.voices.get("good").name) == ("done", ["a note"], "GOOD")
        bench.queue.cancel(cancelled)
        processes[1].answer({"failed": {"kind": "CheckpointError", "message": "x.pth: it is damaged", "remedy": "no"}})
        await settled()
        assert (bad.state, bad.error["why"], cancelled.state) == ("failed", "it is damaged", "cancelled")
        assert [path.name for path in bench.settings.voices_folder.iterdir()] == ["good"]
        last = build(bench, "last")
        await settled()
        bench.queue.cancel(last)
        await settled()
        assert processes[2].killed
        assert [path.name for path in bench.settings.voices_folder.iterdir()] == ["good"]

    played(tmp_path, play)
