"""Files that appear whole or not at all: links, long names, full disks, kills."""

import os
import subprocess
import sys
import unicodedata

import numpy as np
import pytest
import torch
from leftovers import name_of

from fastsvc import files
from fastsvc.errors import OutputError
from fastsvc.files import leftovers


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
