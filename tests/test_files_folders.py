"""Folders that appear whole or not at all, and what the dead have left beside them."""

import os
import threading
import time

import pytest
from leftovers import ELSEWHERE, dead_process, name_of

from fastsvc import files
from fastsvc.errors import OutputError
from fastsvc.files import folders, leftovers


def test_leftovers_of_the_dead_go_and_all_else_stays(tmp_path):
    dead = dead_process()
    for name in (name_of(dead), name_of(os.getpid()), name_of(os.getppid()), ELSEWHERE, ".fastsvc-note", "a.tmp"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / name_of(dead)).mkdir()
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "precious").write_bytes(b"")
    (tmp_path / name_of(dead, "11111111")).symlink_to(tmp_path / "outside")
    with files.writing(tmp_path / "mine") as file:
        files.clear_leftovers(tmp_path)
        file.write(b"still here")
    kept = {name_of(os.getppid()), ELSEWHERE, ".fastsvc-note", "a.tmp", "below", "outside", "mine"}
    assert set(os.listdir(tmp_path)) == kept and os.listdir(tmp_path / "outside") == ["precious"]
    os.utime(tmp_path / ELSEWHERE, (0, 0))
    files.clear_leftovers(tmp_path, deep=True)
    assert set(os.listdir(tmp_path)) == kept - {ELSEWHERE} and not os.listdir(tmp_path / "below")


def test_a_folder_with_only_our_leftovers_is_free(tmp_path):
    out = tmp_path / "out"
    assert files.free_or_ours(out)
    out.mkdir()
    assert files.free_or_ours(out)
    (out / name_of(dead_process())).mkdir()
    (out / files.LOCK).write_bytes(b"")
    assert files.free_or_ours(out)
    (out / "song.wav").write_bytes(b"")
    assert not files.free_or_ours(out) and not files.free_or_ours(out / "song.wav")


@pytest.mark.parametrize("one_call", [True, False])
def test_a_folder_takes_anothers_place(tmp_path, monkeypatch, one_call):
    if not one_call:
        monkeypatch.setattr(folders, "_in_one_call", lambda a, b: False)
    out = tmp_path / "engine"
    with files.new_folder(out) as folder:
        (folder / "f").write_bytes(b"1")
    with pytest.raises(OutputError), files.new_folder(out) as folder:
        (folder / "f").write_bytes(b"2")
    with pytest.raises(KeyError), files.new_folder(out, replace=True) as folder:
        raise KeyError
    assert (out / "f").read_bytes() == b"1"
    with files.new_folder(out, replace=True) as folder:
        (folder / "f").write_bytes(b"2")
    assert (out / "f").read_bytes() == b"2" and os.listdir(tmp_path) == ["engine"]
    link = tmp_path / "link"
    link.symlink_to(out)
    with files.new_folder(link, replace=True) as folder:
        (folder / "f").write_bytes(b"3")
    assert (out / "f").read_bytes() == b"2" and (link / "f").read_bytes() == b"3" and not link.is_symlink()
    assert sorted(os.listdir(tmp_path)) == ["engine", "link"]


def test_an_exchange_leaves_no_moment_without_the_name(tmp_path):
    out, missing, stop = tmp_path / "engine", [], threading.Event()
    with files.new_folder(out) as folder:
        (folder / "f").write_bytes(b"0")
    if not folders._in_one_call(out, out):
        pytest.skip("this file system exchanges no names")

    def watch():
        while not stop.is_set():
            if not os.path.lexists(out):
                missing.append(time.monotonic())

    watcher = threading.Thread(target=watch)
    watcher.start()
    for _ in range(50):
        with files.new_folder(out, replace=True) as folder:
            (folder / "f").write_bytes(b"1")
    stop.set()
    watcher.join()
    assert not missing


def test_a_folder_whose_exchange_was_cut_short_gets_its_name_back(tmp_path):
    holder = tmp_path / name_of(dead_process())
    (holder / leftovers.OLD / "engine").mkdir(parents=True)
    (holder / leftovers.OLD / "engine" / "f").write_bytes(b"1")
    (holder / leftovers.NEW).mkdir()
    files.clear_leftovers(tmp_path)
    assert os.listdir(tmp_path) == ["engine"] and (tmp_path / "engine" / "f").read_bytes() == b"1"


@pytest.mark.skipif(os.name == "nt", reason="links")
def test_a_planted_leftover_takes_nothing_through_a_link(tmp_path):
    """Of another machine and old, as an archive holds it; "old" is what an exchange that was cut short gives back."""
    out, home = tmp_path / "out", tmp_path / "home"
    home.mkdir()
    (home / "thesis").write_bytes(b"keep")
    planted = out / ELSEWHERE
    planted.mkdir(parents=True)
    (planted / leftovers.OLD).symlink_to(home)
    os.utime(planted, (0, 0))
    files.clear_leftovers(out)
    assert os.listdir(out) == [] and (home / "thesis").read_bytes() == b"keep"
