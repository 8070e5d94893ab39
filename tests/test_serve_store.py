"""What `fastsvc serve` keeps of jobs: the database, what a new start makes of it, what is removed when."""

import json
import os
import shutil
import sqlite3
import sys
import time

import pytest

pytest.importorskip("fastapi")
import serving

from fastsvc.artifact import bundled
from fastsvc.errors import OutputError
from fastsvc.serve import voices
from fastsvc.serve.jobs.book import Book
from fastsvc.serve.jobs.events import Events
from fastsvc.serve.jobs.job import Job
from fastsvc.serve.jobs.store import FILE, MIGRATIONS, Store
from fastsvc.serve.metrics import Metrics
from fastsvc.serve.settings import ServeSettings


def job(id, **values):
    return Job(id, "batch", "convert", f"{id}.wav", source="input.wav", **values)


def book(home, **limits):
    settings = ServeSettings(home=home, **limits)
    settings.make_folders()
    return Book(settings, Store(home), Events(), Metrics())


def put(book, *jobs):
    for one in jobs:
        book.folder(one).mkdir()
        (book.folder(one) / one.source).write_bytes(b"sound")
    book.store.add(jobs)


def test_jobs_are_kept_in_their_order(tmp_path):
    store = Store(tmp_path)
    first, second = job("b", options={"seed": 2**63}, notes=["é"]), job("a")
    store.add([first, second])
    first.state = "running"
    store.save(first)
    store.close()
    store = Store(tmp_path)
    assert store.unfinished() == store.batch("batch") == [first, second]
    assert store.get("b") == first
    assert store.get("c") is None
    with pytest.raises(sqlite3.IntegrityError):
        store.add([job("c"), job("a")])
    assert store.ids() == {"a", "b"}
    store.remove("a")
    assert store.ids() == {"b"}


def test_a_newer_database_and_another_file_are_refused(tmp_path):
    Store(tmp_path).database.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    with pytest.raises(OutputError, match="newer fastsvc"):
        Store(tmp_path)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / FILE).write_text("this is no database\n" * 100)
    with pytest.raises(OutputError, match="cannot be used"):
        Store(tmp_path / "other")


def test_keys_of_another_version_are_left_out():
    text = job("a").to_json().replace('"id"', '"later": 1, "id"', 1)
    assert Job.from_json(text) == job("a", created=Job.from_json(text).created)


def test_a_start_takes_up_what_was_in_work(tmp_path):
    old = book(tmp_path)
    waits, works, kills, lost = job("w"), job("r", attempts=1), job("k", attempts=2), job("l")
    works.state = kills.state = "running"
    put(old, waits, works, kills, lost)
    (old.folder(lost) / "input.wav").unlink()
    (tmp_path / "jobs" / "stray").mkdir()
    (tmp_path / "incoming" / "half").mkdir()
    (tmp_path / "work" / "half").mkdir()
    old.store.close()
    new = book(tmp_path)
    new.recover()
    assert list(new.waiting) == ["w", "r"]
    assert new.get("r").attempts == 1
    assert [(new.get(id).state, new.get(id).error["why"].split()[0]) for id in "kl"] == [
        ("failed", "the"),
        ("failed", "its"),
    ]
    assert sorted(path.name for path in (tmp_path / "jobs").iterdir()) == ["r", "w"]
    assert not list((tmp_path / "incoming").iterdir()) + list((tmp_path / "work").iterdir())


def test_results_expire_by_age_and_by_their_size_together(tmp_path):
    kept = book(tmp_path, keep_s=100.0, keep_bytes=250)
    jobs = [job(id) for id in "abcd"]
    put(kept, *jobs)
    for one in jobs:
        kept.waiting[one.id] = one
        (kept.folder(one) / "result.wav").write_bytes(b"x" * 100)
        kept.finish(one, "done", result={"file": "result.wav"})
    assert [one.bytes for one in jobs] == [100] * 4
    kept.expire()
    assert kept.store.ids() == {"c", "d"}
    assert not kept.folder(jobs[1]).exists()
    jobs[2].finished = time.time() - 101
    kept.save(jobs[2])
    kept.expire()
    assert kept.store.ids() == {"d"}


def test_a_state_that_cannot_be_kept_stops_nothing(tmp_path, caplog):
    kept = book(tmp_path)
    one = job("a")
    put(kept, one)
    kept.waiting["a"] = one
    kept.store.database.execute("PRAGMA query_only = 1")
    kept.begin([one])
    assert one.state == "running"
    assert "cannot be kept" in caplog.text


@pytest.mark.parametrize("key, place", [("speakers", 0), ("source", "format")])
def test_a_voice_whose_name_no_answer_can_carry_is_shown_as_broken(tmp_path, key, place):
    folder = shutil.copytree(bundled.VOICES, tmp_path / "x.fsvc")
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest[key][place] = "caf\udce9"
    (folder / "manifest.json").write_text(json.dumps(manifest))
    voice = voices.Voice.read("x", "x", folder, voices.UPLOADED)
    assert "no answer can carry" in voice.error.message and voice.manifest is None
    assert voices.Voice.read("x", "x", bundled.VOICES, voices.BUNDLED).error is None
    with serving.client(tmp_path / "home", folder) as client:
        (first, *_) = client.get("/api/v1/engines").json()["engines"]
    assert (first["id"], first["state"]) == ("x", "broken") and "no answer can carry" in first["error"]["what"]


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere names of files are text")
def test_an_engine_in_a_folder_whose_name_is_no_text_is_offered(tmp_path):
    folder = shutil.copytree(bundled.VOICES, tmp_path / os.fsdecode(b"caf\xe9.fsvc"))
    with serving.client(tmp_path / "home", folder) as client:
        (first, *_) = client.get("/api/v1/engines").json()["engines"]
    assert (first["id"], first["name"], first["state"]) == ("caf", "caf\\udce9", "cold")
