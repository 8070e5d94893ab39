"""Locks of folders: one process at a time, and nothing is taken for a lock that is none."""

import errno
import os
import signal
import subprocess
import sys

import filelock
import pytest

from fastsvc import files
from fastsvc.errors import OutputError

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


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EMFILE])
def test_a_lock_that_cannot_be_made_is_not_done_without(tmp_path, monkeypatch, number):
    def refuse(*args, **kwargs):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(filelock.FileLock, "acquire", refuse)
    with pytest.raises(OutputError, match="cannot be written"), files.folder_lock(tmp_path, "training"):
        pass
