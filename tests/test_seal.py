"""What runs as code is opened only under this user's own seal, and only as what it was sealed."""

import os
import stat
import subprocess
import sys

import pytest

from fastsvc import build, files
from fastsvc.artifact import device_part, seal
from fastsvc.errors import CheckpointError, EngineError

LABEL = seal.Label("an engine", "sm_90", "b.plan")
WORDS = "sixteen letters!"


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv(device_part.CACHE, str(tmp_path / "cache"))
    monkeypatch.delenv(seal.VARIABLE, raising=False)
    seal._key_in.cache_clear()
    return tmp_path / "cache"


def test_what_was_closed_here_opens(cache):
    for content in (b"", b"plan\n\0" * 1000):
        assert seal.open_sealed(seal.add_seal(content, LABEL), LABEL) == content
    assert seal.open_sealed(None, LABEL) is None
    key = cache / seal.FILE
    assert len(key.read_bytes()) == 32 and stat.S_IMODE(key.stat().st_mode) == 0o600
    assert {file.name for file in cache.iterdir()} == {seal.FILE, files.LOCK}


def test_nothing_else_does():
    sealed = seal.add_seal(b"a plan", LABEL)
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
            assert seal.open_sealed(content, LABEL) is None


def test_another_users_does_not(cache, monkeypatch):
    sealed = seal.add_seal(b"a plan", LABEL)
    monkeypatch.setenv(device_part.CACHE, str(cache / "another"))
    with pytest.warns(UserWarning, match="not made by this user"):
        assert seal.open_sealed(sealed, LABEL) is None


def test_a_key_of_ones_own_goes_with_the_engine(cache, monkeypatch):
    monkeypatch.setenv(seal.VARIABLE, WORDS)
    sealed = seal.add_seal(b"a plan", LABEL)
    monkeypatch.setenv(device_part.CACHE, str(cache / "another"))
    assert seal.open_sealed(sealed, LABEL) == b"a plan"


def test_two_processes_agree_on_the_key(cache):
    program = "import sys; from fastsvc.artifact import seal; label = seal.Label('an engine', 'sm_90', 'b.plan'); "
    program += "sys.stdout.write(seal.add_seal(b'x', label).hex())"
    runs = [subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) for _ in range(3)]
    found = {run.communicate()[0] for run in runs}
    assert len(found) == 1 and seal.open_sealed(bytes.fromhex(found.pop()), LABEL) == b"x"


@pytest.mark.parametrize(
    "other",
    [
        seal.Label("another", "sm_90", "b.plan"),
        seal.Label("an engine", "sm_80", "b.plan"),
        seal.Label("an engine", "sm_90", "c.plan"),
        seal.Label("an enginesm_90", "", "b.plan"),  # the same letters, parted otherwise
    ],
)
def test_a_sealed_file_does_not_pass_for_another(other):
    sealed = seal.add_seal(b"a plan", LABEL)
    with pytest.warns(UserWarning, match=f"{other} is not used"):
        assert seal.open_sealed(sealed, other) is None
    assert seal.open_sealed(sealed, LABEL) == b"a plan"


def test_short_words_are_refused_before_they_seal_anything(monkeypatch):
    monkeypatch.setenv(seal.VARIABLE, WORDS[:-1])
    for call in (
        seal.check,
        lambda: seal.add_seal(b"", LABEL),
        lambda: seal.open_sealed(seal.MAGIC + bytes(99), LABEL),
    ):
        with pytest.raises(EngineError, match=r"FASTSVC_KEY has 15 characters, so others could guess it \(set it"):
            call()
    monkeypatch.setenv(seal.VARIABLE, WORDS)
    seal.check()
    monkeypatch.setenv(seal.VARIABLE, "")
    seal.check()


def test_building_for_a_gpu_refuses_short_words_at_once(monkeypatch, tmp_path):
    monkeypatch.setenv(seal.VARIABLE, "short")
    with pytest.raises(EngineError, match="FASTSVC_KEY has 5 characters"):
        build.compile(tmp_path / "none.pt", target="sm_90")
    with pytest.raises(CheckpointError):
        build.compile(tmp_path / "none.pt", target="cpu")


def test_words_are_stretched_once_a_process(monkeypatch):
    """Each guess costs as much as scrypt with these numbers; our own use pays once."""
    calls, real = [], seal.hashlib.scrypt
    monkeypatch.setattr(seal.hashlib, "scrypt", lambda *given, **how: calls.append(how) or real(*given, **how))
    monkeypatch.setenv(seal.VARIABLE, WORDS + " but longer")
    for _ in range(3):
        seal.open_sealed(seal.add_seal(b"a plan", LABEL), LABEL)
    assert len(calls) == 1 and 128 * calls[0]["n"] * calls[0]["r"] >= 32 << 20


def spoilt(key, how):
    """A key that is not the user's own any more."""
    key.parent.mkdir()
    if how == "link":
        key.with_name("elsewhere").write_bytes(bytes(32))
        key.with_name("elsewhere").chmod(0o600)
        key.symlink_to("elsewhere")
    elif how == "pipe":
        os.mkfifo(key, 0o600)
    elif how == "folder":
        key.mkdir()
    else:
        key.write_bytes(bytes(31 if how == "short" else 32))
        key.chmod(0o644 if how == "readable" else 0o600)


@pytest.mark.skipif(os.name != "posix", reason="permissions, links and pipes of POSIX")
@pytest.mark.parametrize(
    "how, why",
    [
        ("link", "it is a link"),
        ("pipe", "not a regular file"),
        ("folder", "not a regular file"),
        ("short", "does not have 32 bytes"),
        ("readable", "its permissions are 644"),
        ("foreign", "belongs to another user"),
    ],
)
def test_a_key_that_others_may_know_is_not_used(cache, monkeypatch, how, why):
    """One line that says why and what to do; sealing goes on, with a key of this process."""
    spoilt(cache / seal.FILE, how)
    if how == "foreign":
        monkeypatch.setattr(seal.os, "geteuid", lambda: os.getuid() + 1)
    with pytest.warns(UserWarning, match=rf"key.* is not used: .*{why}.*remove it .*compiled again") as said:
        sealed = seal.add_seal(b"a plan", LABEL)
    assert len(said) == 1 and "\n" not in str(said[0].message)
    assert seal.open_sealed(sealed, LABEL) == b"a plan"
    seal._key_in.cache_clear()  # the next process
    with pytest.warns(UserWarning, match="is not used"):
        assert seal.open_sealed(sealed, LABEL) is None
    if how in ("link", "short", "readable"):
        (cache / seal.FILE).unlink()
        seal._key_in.cache_clear()
        sealed = seal.add_seal(b"a plan", LABEL)  # without a word, as a new one was drawn
        seal._key_in.cache_clear()
        assert seal.open_sealed(sealed, LABEL) == b"a plan"


def test_the_key_is_never_readable_by_others(cache, monkeypatch):
    """Whatever the umask, and while it is written, too."""
    seen, real = [], os.open

    def opened(path, *arguments, **options):
        handle = real(path, *arguments, **options)
        if files.is_leftover(os.path.basename(path)):
            seen.append(stat.S_IMODE(os.fstat(handle).st_mode))
        return handle

    monkeypatch.setattr(os, "open", opened)
    before = os.umask(0)
    try:
        seal.add_seal(b"", LABEL)
    finally:
        os.umask(before)
    assert seen == [0o600] and stat.S_IMODE((cache / seal.FILE).stat().st_mode) == 0o600


@pytest.mark.skipif(os.name != "posix", reason="a file where a folder should be")
def test_without_a_place_for_the_key_it_holds_for_the_process(cache):
    cache.parent.mkdir(exist_ok=True)
    cache.write_text("no folder")
    with pytest.warns(UserWarning, match=r"is not used: .*set \$FASTSVC_KEY"):
        assert seal.open_sealed(seal.add_seal(b"a plan", LABEL), LABEL) == b"a plan"
