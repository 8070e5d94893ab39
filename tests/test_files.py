"""Files and folders that appear whole or not at all: links, long names, full disks, kills, neighbours."""

import errno
import os
import signal
import subprocess
import sys
import threading
import time
import unicodedata

import filelock
import numpy as np
import pytest
import torch

from fastsvc import files
from fastsvc.errors import OutputError
from fastsvc.files import folders, leftovers

ELSEWHERE = ".fastsvc-000000-1-00000000.tmp"


def dead_process() -> int:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


def name_of(process: int, digits: str = "0badcafe") -> str:
    return f".fastsvc-{leftovers._machine()}-{process}-{digits}.tmp"


def test_a_file_is_whole_or_as_it_was(tmp_path):
    path = tmp_path / "deep" / "a.bin"
    files.write_bytes(path, b"first")
    with pytest.raises(KeyError), files.writing(path) as file:
        file.write(b"half")
        raise KeyError
    assert path.read_bytes() == b"first" and os.listdir(path.parent) == ["a.bin"]
    with files.writing(path) as file:
        file.write(b"second")
        file.seek(0)
        assert file.read() == b"second" and path.read_bytes() == b"first"
    assert path.read_bytes() == b"second" and os.listdir(path.parent) == ["a.bin"]
    files.write_json(path, {"a": "\udc80"})
    assert path.read_bytes() == b'{\n "a": "\\udc80"\n}\n'


@pytest.mark.parametrize("length", [245, 250, 255])
def test_longest_names(tmp_path, length):
    name = "n" * (length - 4) + ".bin"
    files.write_bytes(tmp_path / name, b"x")
    files.write_bytes(tmp_path / name, b"y")
    with files.new_folder(tmp_path / ("d" * length)) as folder:
        (folder / "f").write_bytes(b"z")
    assert (tmp_path / name).read_bytes() == b"y" and (tmp_path / ("d" * length) / "f").read_bytes() == b"z"
    with pytest.raises(OutputError, match="name is too long"):
        files.write_bytes(tmp_path / ("n" * 256), b"x")


def test_planted_links_are_not_followed(tmp_path, monkeypatch):
    precious = tmp_path / "precious"
    precious.write_bytes(b"keep")
    monkeypatch.setattr(leftovers.secrets, "token_hex", lambda count: "0" * 2 * count)
    (tmp_path / name_of(os.getpid(), "00000000")).symlink_to(precious)
    with pytest.raises(OutputError):
        files.write_bytes(tmp_path / "a", b"x")
    assert precious.read_bytes() == b"keep"


def test_a_link_as_target_is_replaced_not_followed(tmp_path):
    precious = tmp_path / "precious"
    precious.write_bytes(b"keep")
    (tmp_path / "a").symlink_to(precious)
    files.write_bytes(tmp_path / "a", b"x")
    assert precious.read_bytes() == b"keep" and not (tmp_path / "a").is_symlink()


LIBRARIES = """
import sys, torch, numpy as np, resource, signal
from pathlib import Path
from fastsvc import files
from fastsvc.errors import OutputError
from safetensors.torch import save_file
out = Path(sys.argv[1])
def numpy(path):
    with files.writing(path) as file: np.savez(file, a=np.zeros(200000))
def pytorch(path):
    with files.writing(path) as file: torch.save({"a": torch.zeros(200000)}, file)
def plain(path): files.write_bytes(path, bytes(800000))
def folder(path):
    with files.new_folder(path, replace=True) as made: save_file({"a": torch.zeros(200000)}, made / "w")
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100000, 100000))
for save in (numpy, pytorch, plain, folder):
    try:
        save(out / save.__name__)
        print("written", save.__name__)
    except OutputError as error:
        assert "larger than the system allows" in str(error), error
print("done")
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="limits of a file's size are POSIX")
def test_libraries_errors_at_the_limit_are_the_systems(tmp_path):
    (tmp_path / "numpy").write_bytes(b"old")
    command = [sys.executable, "-c", LIBRARIES, str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert result.stdout == "done\n" and not result.stderr
    assert os.listdir(tmp_path) == ["numpy"] and (tmp_path / "numpy").read_bytes() == b"old"


def test_errors_of_ours_stay_what_they_are(tmp_path):
    with pytest.raises(RuntimeError, match="ours"), files.writing(tmp_path / "a"):
        raise RuntimeError("ours")
    (tmp_path / "f").write_bytes(b"")
    with pytest.raises(OutputError, match="is a file"):
        files.write_bytes(tmp_path / "f" / "a", b"")


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


HOLDER = """
import sys, time
from fastsvc import files
with files.folder_lock(sys.argv[1], "training"):
    print("held", flush=True)
    time.sleep(60)
"""


def test_one_process_at_a_time(tmp_path):
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout.readline() == "held\n"
        with pytest.raises(OutputError, match="in use by another fastsvc"), files.folder_lock(tmp_path, "training"):
            pass
        child.send_signal(signal.SIGKILL)
        child.wait()
    with (
        files.folder_lock(tmp_path, "training"),
        pytest.raises(OutputError, match="preparing needs it alone"),
        files.folder_lock(tmp_path, "preparing"),
    ):
        pass


def test_a_lock_is_no_link(tmp_path):
    precious = tmp_path / "precious"
    precious.write_bytes(b"keep")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / files.LOCK).symlink_to(precious)
    with pytest.raises(OutputError, match="not a lock"), files.folder_lock(tmp_path / "out", "training"):
        pass
    assert precious.read_bytes() == b"keep"


KILLED = """
import sys
from fastsvc import files
with files.writing(sys.argv[1]) as file:
    file.write(b"half" * 500000)
    print("half", flush=True)
    sys.stdin.read()
"""


def test_a_kill_leaves_the_old_file(tmp_path):
    path = tmp_path / unicodedata.normalize("NFD", "ä.bin")
    path.write_bytes(b"old")
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", KILLED, str(path)], **pipes) as child:
        assert child.stdout.readline() == b"half\n"
        child.kill()
        child.wait()
    assert path.read_bytes() == b"old" and len(os.listdir(tmp_path)) == 2
    files.clear_leftovers(tmp_path)
    assert os.listdir(tmp_path) == [path.name]


def test_what_numpy_and_pytorch_write_is_what_they_read(tmp_path):
    with files.writing(tmp_path / "a.npz") as file:
        np.savez(file, a=np.arange(5))
    with files.writing(tmp_path / "a.npy") as file:
        np.save(file, np.arange(7))
    with files.writing(tmp_path / "a.pt") as file:
        torch.save({"a": torch.arange(3)}, file)
    assert np.load(tmp_path / "a.npz")["a"].tolist() == [0, 1, 2, 3, 4]
    assert np.load(tmp_path / "a.npy").tolist() == list(range(7))
    assert torch.load(tmp_path / "a.pt", weights_only=True)["a"].tolist() == [0, 1, 2]
    assert files.sha256(tmp_path / "a.npy") and (tmp_path / "a.npy").stat().st_mode & 0o044


@pytest.mark.skipif(os.name == "nt", reason="pipes and links")
def test_a_lock_that_is_none_is_refused(tmp_path):
    place = tmp_path / files.LOCK
    os.mkfifo(place)
    with pytest.raises(OutputError, match="not a lock"), files.folder_lock(tmp_path, "training"):
        pass
    place.unlink()
    place.mkdir()  # locking would be given up with a warning, and two trainings run
    with pytest.raises(OutputError, match="not a lock"), files.folder_lock(tmp_path, "training"):
        pass
    place.rmdir()
    (tmp_path / "precious").write_bytes(b"keep")
    os.link(tmp_path / "precious", place)  # some versions of filelock empty what they lock
    with pytest.raises(OutputError, match="not a lock"), files.folder_lock(tmp_path, "training"):
        pass
    assert (tmp_path / "precious").read_bytes() == b"keep"


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


@pytest.mark.parametrize("links", [True, False])
def test_a_name_that_was_taken_meanwhile_is_left_alone(tmp_path, monkeypatch, links):
    def refuse(*args):
        raise OSError(95, "not supported")

    if not links:
        monkeypatch.setattr(os, "link", refuse)
    with files.writing(tmp_path / "free", new=True) as file:
        file.write(b"x")
    assert os.listdir(tmp_path) == ["free"] and (tmp_path / "free").read_bytes() == b"x"
    if links:
        with pytest.raises(OutputError, match="appeared meanwhile"), files.writing(tmp_path / "a", new=True) as file:
            file.write(b"ours")
            (tmp_path / "a").write_bytes(b"keep")
        assert (tmp_path / "a").read_bytes() == b"keep" and sorted(os.listdir(tmp_path)) == ["a", "free"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EMFILE])
def test_a_lock_that_cannot_be_made_is_not_done_without(tmp_path, monkeypatch, number):
    def refuse(*args, **kwargs):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(filelock.FileLock, "acquire", refuse)
    with pytest.raises(OutputError, match="cannot be written"), files.folder_lock(tmp_path, "training"):
        pass
