"""What Windows and macOS do otherwise, as far as it can be simulated here."""

import errno
import io
import os
import re
import signal
import time
from pathlib import Path

import pytest
import torch

from fastsvc import __main__, cli, files, machine, screen
from fastsvc.errors import OutputError
from fastsvc.files import folders, renaming

ROOT = Path(__file__).parent.parent


@pytest.fixture
def windows(monkeypatch):
    """Windows' renames: each fails as often as ``held`` says, as while a virus scanner reads the file."""
    held, slept = {}, []
    monkeypatch.setattr(renaming, "WINDOWS", True)
    monkeypatch.setattr(renaming.time, "sleep", slept.append)
    monkeypatch.setattr(folders, "_in_one_call", lambda a, b: False)
    for name in ("replace", "rename"):
        real = getattr(os, name)

        def action(source, target, name=name, real=real):
            if held.get(name, 0):
                held[name] -= 1
                raise PermissionError(errno.EACCES, "Access is denied", str(target))
            real(source, target)

        monkeypatch.setattr(renaming.os, name, action)
    return held, slept


def test_a_file_that_is_held_for_a_moment_is_replaced(tmp_path, windows):
    held, slept = windows
    (tmp_path / "a").write_bytes(b"old")
    held["replace"] = 3
    files.write_bytes(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"new" and slept == list(renaming.WAITS_S[:3])


def test_a_file_that_stays_open_is_named_and_kept(tmp_path, windows):
    held, slept = windows
    (tmp_path / "a").write_bytes(b"old")
    held["replace"] = 99
    with pytest.raises(OutputError, match="another program has it open"):
        files.write_bytes(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"old" and os.listdir(tmp_path) == ["a"]
    assert 1 < sum(slept) < 2


@pytest.mark.parametrize("failures", [1, 99])
def test_an_engine_that_is_open_is_replaced_later_or_stays(tmp_path, windows, failures):
    held, _ = windows
    engine = tmp_path / "a.fsvc"
    engine.mkdir()
    (engine / "old").touch()
    held["rename"] = failures
    try:
        with files.new_folder(engine, replace=True) as folder:
            (folder / "new").touch()
    except OutputError as error:
        assert failures == 99 and "another program has it open" in str(error)
    assert os.listdir(engine) == (["old"] if failures == 99 else ["new"]) and os.listdir(tmp_path) == ["a.fsvc"]


def test_elsewhere_a_missing_permission_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(renaming.time, "sleep", lambda seconds: pytest.fail("slept"))
    monkeypatch.setattr(renaming.os, "replace", lambda a, b: (_ for _ in ()).throw(PermissionError()))
    with pytest.raises(PermissionError):
        renaming.replace("a", "b")


@pytest.mark.parametrize(
    "encoding, expected",
    [
        ("cp1252", "6.3 × 2 -> \\u03c8é … -1 \\x1b"),
        ("ascii", "6.3 x 2 -> \\u03c8\\xe9 ... -1 \\x1b"),
        ("utf-8", "6.3 × 2 → ψé … −1 \\x1b"),
    ],
)
def test_consoles_of_one_byte_a_character_get_what_they_can_show(encoding, expected):
    console = io.TextIOWrapper(io.BytesIO(), encoding=encoding, newline="")
    stream = screen.Steady(console)
    assert stream.write("6.3 × 2 → ψé … −1 \x1b\n") == 20
    stream.flush()
    assert stream.error is None and console.buffer.getvalue().decode(encoding) == expected + "\n"


def test_instructions_are_asked_of_pytorch_where_there_is_no_proc(monkeypatch):
    monkeypatch.setattr(machine, "Path", lambda path: Path("/nowhere"))
    known = {"avx2": True, "avx512_f": True, "avx512_bf16": False, "architecture": "x86_64", "l2_cache_size": 1}
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: known, raising=False)
    assert machine.cpu_flags() == ["avx2", "avx512f"]
    monkeypatch.delattr(torch.cpu, "get_capabilities")
    assert machine.cpu_flags() == []


@pytest.mark.skipif(not Path("/proc/cpuinfo").exists(), reason="compares with Linux' own list")
def test_pytorch_and_linux_name_the_same_instructions():
    if not hasattr(torch.cpu, "get_capabilities"):
        pytest.skip(f"PyTorch {torch.__version__} does not name instructions")
    assert machine._flags_by_torch() == machine.cpu_flags()


@pytest.mark.parametrize("ends, code", [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
@pytest.mark.parametrize("inside", [True, False])
def test_a_terminated_command_ends_as_by_ctrl_c(monkeypatch, ends, code, inside):
    monkeypatch.setenv("PATH", os.environ["PATH"])
    monkeypatch.setenv("PYTHONSAFEPATH", "1")

    def command(prog_name):
        try:
            os.kill(os.getpid(), ends)
            time.sleep(5)
            pytest.fail("the signal did not come")
        except KeyboardInterrupt:
            if inside:  # as Commands.invoke: the command has cleaned up and said so
                raise SystemExit(130) from None
            raise

    monkeypatch.setattr(cli, "main", command)
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)  # jobs in the background ignore it
        with pytest.raises(SystemExit) as end:
            __main__.main()
        assert end.value.code == code
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def test_paths_reach_libsndfile_as_open_files_alone():
    """As bytes they would be read in the console's code page on Windows."""
    for path in (ROOT / "fastsvc").rglob("*.py"):
        for call in re.findall(r"SoundFile\(([^,)]*)", path.read_text(encoding="utf-8")):
            assert not re.search(r"fsencode|\bpath\b|\bname\b", call), (path, call)
