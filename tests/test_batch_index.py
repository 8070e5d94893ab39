"""The list of results in an output folder: what is added is read, what is strange passed over, no link is followed."""

import json
import os
import threading
import time

import pytest

from fastsvc.convert.index import INDEX, Index, Result, Stamp, results_in
from fastsvc.errors import OutputError


def result(name="a.wav", **changes) -> Result:
    known = {"size": 44, "mtime_ns": 5, "source": "../in/a.wav", "source_size": 9, "source_mtime_ns": 7, "request": "r"}
    return Result(name, **(known | changes))


def test_what_is_added_is_read_oldest_first(tmp_path):
    index = Index(tmp_path)
    assert index.read() == {} == results_in(tmp_path) and not index.path.exists()
    added = [result(), result("deep/b.wav", voice="ada", engine="x.fsvc"), result(size=45)]
    added.append(result(os.fsdecode(b'caf\xe9\n"\xf0.wav'), source="\u202e歌\U0001f3b5"))
    for one in added:
        index.add(one)
    assert index.read() == {one.name: [other for other in added if other.name == one.name] for one in added}
    assert results_in(tmp_path)["a.wav"] == {44, 45}
    assert len(index.path.read_bytes().splitlines()) == 4 and index.path.read_bytes().isascii()


def test_a_line_that_was_cut_harms_no_other(tmp_path):
    index = Index(tmp_path)
    index.add(result("a.wav"))
    index.add(result("b.wav"))
    for cut in (1, 20, 60):
        index.path.write_bytes(index.path.read_bytes()[:-cut])
        index.add(result(f"after {cut}.wav"))
    assert set(index.read()) == {"a.wav", "b.wav", "after 60.wav"}  # of b.wav only the end of the line was lost
    assert all(line == "" or line.startswith("{") for line in index.path.read_text().splitlines())


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"no json",
        b"\xff\xfe\x00",
        b"null",
        b"[]",
        b"[" * 60000,
        b'{"name":' * 8000,
        b'{"name": "b.wav"}',
        json.dumps({**result("b.wav").__dict__, "size": "44"}).encode(),
        json.dumps({**result("b.wav").__dict__, "size": True}).encode(),
        json.dumps({**result("b.wav").__dict__, "mtime_ns": 1e300}).encode(),
        json.dumps({**result("b.wav").__dict__, "source": None}).encode(),
        b'{"name":"b.wav","size":' + b"9" * 60000 + b"}",
        json.dumps({**result("b.wav").__dict__, "voice": "x" * 2**16}).encode(),
        b"x" * 300000,
    ],
)
def test_strange_lines_are_passed_over(tmp_path, line):
    index = Index(tmp_path)
    index.add(result())
    index.path.write_bytes(index.path.read_bytes() + line + b"\n")
    index.add(result("c.wav"))
    start = time.monotonic()
    assert set(index.read()) == {"a.wav", "c.wav"}
    assert time.monotonic() - start < 20


def test_of_a_long_list_the_end_is_read(tmp_path, monkeypatch):
    index = Index(tmp_path)
    for i in range(50):
        index.add(result(f"{i}.wav"))
    size = index.path.stat().st_size
    monkeypatch.setattr("fastsvc.convert.index.FILE_BYTES", size // 10)
    assert set(index.read()) == {f"{i}.wav" for i in range(46, 50)}
    index.path.write_bytes(index.path.read_bytes() + b"\0" * 5)
    assert len(index.read()) == 4


def test_newer_versions_may_say_more(tmp_path):
    (tmp_path / INDEX).write_text(json.dumps({**result().__dict__, "loudness": {"lufs": -14}}) + "\n")
    assert Index(tmp_path).read() == {"a.wav": [result()]}


def test_several_processes_add_at_once(tmp_path):
    def add(k):
        index = Index(tmp_path)
        for i in range(50):
            index.add(result(f"{k}/{i}.wav"))

    threads = [threading.Thread(target=add, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(Index(tmp_path).read()) == 200


@pytest.mark.parametrize("kind", ["link", "loop", "dangling", "folder", "fifo"])
def test_only_a_regular_file_is_read_or_written(tmp_path, kind):
    index, other = Index(tmp_path), tmp_path / "other"
    other.write_text(json.dumps(result().__dict__) + "\n")
    before = other.read_bytes()
    {
        "link": lambda: index.path.symlink_to("other"),
        "loop": lambda: index.path.symlink_to(INDEX),
        "dangling": lambda: index.path.symlink_to("gone"),
        "folder": index.path.mkdir,
        "fifo": lambda: os.mkfifo(index.path),
    }[kind]()
    assert index.read() == {}
    for act in (index.check, lambda: index.add(result("b.wav"))):
        with pytest.raises(OutputError, match=r"fastsvc-results.*choose another"):
            act()
    assert other.read_bytes() == before and not (tmp_path / "gone").exists()


def test_a_list_that_cannot_be_written_is_known_before_the_work(tmp_path, monkeypatch):
    index = Index(tmp_path)
    index.check()
    assert not index.path.exists()
    index.add(result())

    def refuse(*arguments):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(OutputError, match="list of results cannot be written: no permission"):
        index.check()


def test_stamps():
    exact = Stamp(10, 5 * 10**9 + 123)
    assert exact.like(Stamp(10, 5 * 10**9 + 123)) and not exact.like(None)
    assert not exact.like(Stamp(11, 5 * 10**9 + 123)) and not exact.like(Stamp(10, 5 * 10**9 + 124))
    assert exact.like(Stamp(10, 4 * 10**9)) and Stamp(10, 6 * 10**9).like(exact)  # after a copy to FAT, or out of a zip
    assert not exact.like(Stamp(10, 8 * 10**9))


@pytest.mark.skipif(os.name == "nt", reason="links")
def test_a_list_with_a_second_name_is_not_written(tmp_path):
    precious = tmp_path / "precious"
    precious.write_bytes(b"keep")
    (tmp_path / "out").mkdir()
    os.link(precious, tmp_path / "out" / INDEX)
    for write in (Index(tmp_path / "out").check, lambda: Index(tmp_path / "out").add(result())):
        with pytest.raises(OutputError, match="another name"):
            write()
    assert precious.read_bytes() == b"keep"
