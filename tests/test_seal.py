"""Plans are opened only under this user's own seal."""

import os
import stat
import subprocess
import sys

import pytest

from fastsvc.engine import device_part, seal


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv(device_part.CACHE, str(tmp_path / "cache"))
    monkeypatch.delenv(seal.VARIABLE, raising=False)
    seal._kept.cache_clear()
    return tmp_path / "cache"


def test_what_was_closed_here_opens(cache):
    for content in (b"", b"plan\n\0" * 1000):
        assert seal.opened(seal.closed(content), "a") == content
    assert seal.opened(None, "a") is None
    key = cache / seal.FILE
    assert len(key.read_bytes()) == 32 and stat.S_IMODE(key.stat().st_mode) == 0o600
    assert [file.name for file in cache.iterdir()] == [seal.FILE]


def test_nothing_else_does():
    sealed = seal.closed(b"a plan")
    changed = [
        sealed[:-1] + b"x",
        sealed[:20] + bytes([sealed[20] ^ 1]) + sealed[21:],
        b"a plan",
        sealed[:30],
        b"",
        sealed + b"more",
    ]
    for content in changed:
        with pytest.warns(UserWarning, match="b.plan is not used, and is made again"):
            assert seal.opened(content, "b.plan") is None


def test_another_users_does_not(cache, monkeypatch):
    sealed = seal.closed(b"a plan")
    monkeypatch.setenv(device_part.CACHE, str(cache / "another"))
    with pytest.warns(UserWarning, match="not made by this user"):
        assert seal.opened(sealed, "a") is None


def test_a_key_of_ones_own_goes_with_the_engine(cache, monkeypatch):
    monkeypatch.setenv(seal.VARIABLE, "our farm")
    sealed = seal.closed(b"a plan")
    monkeypatch.setenv(device_part.CACHE, str(cache / "another"))
    assert seal.opened(sealed, "a") == b"a plan"


def test_two_processes_agree_on_the_key(cache):
    program = "import sys; from fastsvc.engine import seal; sys.stdout.write(seal.closed(b'x').hex())"
    runs = [subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) for _ in range(3)]
    found = {run.communicate()[0] for run in runs}
    assert len(found) == 1 and seal.opened(bytes.fromhex(found.pop()), "a") == b"x"


@pytest.mark.skipif(os.name != "posix", reason="a file where a folder should be")
def test_without_a_place_for_the_key_it_holds_for_the_process(cache):
    cache.parent.mkdir(exist_ok=True)
    cache.write_text("no folder")
    assert seal.opened(seal.closed(b"a plan"), "a") == b"a plan"
