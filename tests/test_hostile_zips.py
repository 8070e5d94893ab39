"""Zips made to do harm in place of a voice: refused in one line, nothing run, nothing written, no memory taken."""

import io
import os
import pickle
import random
import struct
import tempfile
import tracemalloc
import zipfile
from pathlib import Path

import mutated_bytes
import pytest
import torch
from mutations import judged
from rvc_files import INDEX, VOICES, ZIP, content, zipped

from fastsvc.checkpoints import read
from fastsvc.checkpoints.files import voice_zip
from fastsvc.errors import CheckpointError, ResourceError
from fastsvc.reading import folder_zip

PTH = VOICES["v2_40k"].read_bytes()
A, B, C = (Path(f"{letter}.zip") for letter in "abc")  # in the test's own folder
LIMIT = 100 * 2**20  # bytes that a refusal may take


@pytest.fixture(autouse=True)
def nothing_is_left(tmp_path, monkeypatch):
    """No temporary file, and none outside of what the test itself made."""
    work, temporary = tmp_path / "work", tmp_path / "temporary"
    work.mkdir()
    temporary.mkdir()
    monkeypatch.chdir(work)
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    yield
    assert {file.relative_to(tmp_path).parts[0] for file in tmp_path.rglob("*")} == {"work", "temporary"}
    assert all(file.suffix in (".zip", ".pth") for file in work.iterdir()) and not list(temporary.iterdir())


def refused(path) -> str:
    tracemalloc.start()
    try:
        with pytest.raises(CheckpointError) as caught:
            read(path)
        assert tracemalloc.get_traced_memory()[1] < LIMIT
    finally:
        tracemalloc.stop()
    text = str(caught.value)
    assert "\n" not in text and len(text) < 2000 and text.isprintable(), text[:500]
    return text


@pytest.mark.parametrize(
    "name",
    [
        "../../evil.pth",
        "/etc/evil.pth",
        "C:\\evil.pth",
        "c:evil.pth",
        "..\\evil.pth",
        "a/../../evil.pth",
        "\\\\host\\e.pth",
    ],
)
def test_names_that_lead_out(name):
    assert "leads out of the folder" in refused(zipped(A, (name, PTH)))
    assert "leads out of the folder" in refused(zipped(B, ("a.pth", PTH), (name[:-4] + ".txt", b"x")))


@pytest.mark.parametrize("name", ["a\nb.pth", "a\x1b[31m.pth", "\x7f.pth"])
def test_names_with_control_characters(name):
    assert "characters in its name" in refused(zipped(A, (name, PTH)))


@pytest.mark.parametrize("name", [b"a\0b.pth", b"\0ab.pth"])
def test_a_null_in_a_name(name):
    """zipfile would cut the name there, and its is_dir fails for an empty one."""
    data = zipped(A, ("aXb.pth", PTH)).read_bytes().replace(b"aXb.pth", name)
    A.write_bytes(data)
    assert "characters in its name" in refused(A)


@pytest.mark.parametrize("mode", [0o120777, 0o020666, 0o010666])
def test_links_and_devices(mode):
    entry = zipfile.ZipInfo("a.index")
    entry.create_system, entry.external_attr = 3, mode << 16
    assert "a link or a device" in refused(zipped(A, ("a.pth", PTH), (entry, b"/etc/passwd")))


def test_duplicates():
    with pytest.warns(UserWarning, match="Duplicate"):
        zipped(A, ("a.pth", PTH), ("x.txt", b"1"), ("x.txt", b"2"))
    assert "is in it twice" in refused(A)
    assert "is in it twice" in refused(zipped(B, ("v/a.pth", PTH), ("v/x.txt", b"1"), ("V\\X.txt", b"2")))


def changed(data: bytes, sign: bytes, offset: int, form: str, value: int, which: int = 0) -> bytes:
    """A field overwritten in the ``which``-th record that begins with ``sign``."""
    place = -1
    for _ in range(which + 1):
        place = data.index(sign, place + 1)
    return data[: place + offset] + struct.pack(form, value) + data[place + offset + struct.calcsize(form) :]


LIST, END = b"PK\x01\x02", b"PK\x05\x06"


def test_encryption():
    data = zipped(A, ("a.pth", PTH)).read_bytes()
    for flag in (0x1, 0x41):
        A.write_bytes(changed(data, LIST, 8, "<H", flag))
        text = refused(A)
        assert "is encrypted" in text and "password" in text


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_ways_to_pack(method):
    assert "packed in a way that is not read here" in refused(zipped(A, ("a.pth", PTH), method=method))


def test_a_bomb_by_its_ratio():
    assert "unpacks" in refused(zipped(A, ("a.pth", bytes(300 * 2**20))))
    assert "unpacks" in refused(zipped(B, ("a.pth", PTH), ("a.index", bytes(50 * 2**20))))


def test_limits_of_size(monkeypatch):
    """Beyond the limit nothing is unpacked; a size that lies ends at what is said."""
    monkeypatch.setattr(voice_zip, "VOICE_LIMIT", len(PTH) - 1)
    assert "the most is" in refused(ZIP)
    monkeypatch.setattr(voice_zip, "VOICE_LIMIT", len(PTH))
    assert read(ZIP).index
    monkeypatch.setattr(voice_zip, "INDEX_LIMIT", INDEX.stat().st_size - 1)
    assert "the most is" in refused(ZIP)


@pytest.mark.parametrize("size", [1, 1000, len(PTH) - 1, len(PTH) + 1, len(PTH) * 100, 2**32 - 2])
def test_a_size_that_is_not_the_real_one(size):
    data = zipped(A, ("a.pth", PTH)).read_bytes()
    for lying in (
        changed(data, LIST, 24, "<I", size),
        changed(changed(data, LIST, 24, "<I", size), b"PK\x03\x04", 22, "<I", size),
    ):
        A.write_bytes(lying)
        assert "damaged, or cut short" in (text := refused(A)) or "the most is" in text or "unpacks" in text


def test_entries_that_overlap():
    """One body under many names, as bombs of one megabyte that unpack to terabytes have it."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.pth", PTH)
        archive.writestr("b.txt", b"x")
        archive.infolist()[1].header_offset = 0
    A.write_bytes(data.getvalue())
    assert "damaged archive" in refused(A)
    zipped(B, ("a.pth", PTH), ("b.txt", b"x" * 100))
    whole = B.read_bytes()
    longer = len(PTH) + 1000  # the first body reaches over the second header
    B.write_bytes(changed(whole, LIST, 20, "<I", longer))
    assert "damaged archive" in refused(B)
    zipped(C, ("a.pth", PTH))
    whole = C.read_bytes()
    C.write_bytes(whole.replace(b"a.pth", b"b.pth", 1))  # the header says another name than the list
    assert "damaged archive" in refused(C)


def test_many_entries(monkeypatch):
    monkeypatch.setattr(folder_zip, "MOST_ENTRIES", 10)
    assert "entries, the most is 10" in refused(zipped(A, ("a.pth", PTH), *[(f"{i}.txt", b"") for i in range(10)]))
    monkeypatch.setattr(folder_zip, "DIRECTORY_LIMIT", 300)  # a list that is not even read
    assert "zip of a folder" in refused(A)


def test_the_record_at_the_end():
    """Its size of the list is the one that zipfile uses, with a comment or without; the larger form is not read."""
    data = zipped(A, ("a.pth", PTH)).read_bytes()
    assert read(A).kind == "rvc"
    for comment in (b"by nobody", b"PK\x05\x06" + bytes(30)):
        A.write_bytes(changed(data, END, 20, "<H", len(comment)) + comment)
        judged(str(comment), lambda: read(A))
    for size in (0, 2**31, 2**32 - 1):
        A.write_bytes(changed(data, END, 12, "<I", size))
        refused(A)
    place = data.index(END)
    A.write_bytes(data[:place] + b"PK\x06\x07" + bytes(16) + data[place:])
    refused(A)


def test_a_pickle_that_runs_code():
    class Bomb:
        def __reduce__(self):
            return (os.system, ("touch ran.txt",))

    torch.save({**content(), "extra": Bomb()}, "x.pth")
    assert "a.zip, a.pth holds more than tensors" in refused(zipped(A, ("a.pth", Path("x.pth").read_bytes())))
    assert "system" in refused("x.pth")
    for protocol in (2, 4):
        data = pickle.dumps({**content(), "extra": Bomb()}, protocol=protocol)
        refused(zipped(A, ("a.pth", data), ("a.index", data)))


def test_a_voice_that_is_a_bomb_itself():
    """The inner archive is checked as every torch file is: it may not unpack to more than itself."""
    inner = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(PTH)) as source, zipfile.ZipFile(inner, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in source.namelist():
            archive.writestr(name, source.read(name) + bytes(2**20 if name.endswith("data/0") else 0))
    assert "more than its own size" in refused(zipped(A, ("a.pth", inner.getvalue())))


def test_a_full_disk(monkeypatch):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(zipfile.ZipExtFile, "read", full)
    with pytest.raises(ResourceError, match="No space left"):
        read(ZIP)


@pytest.mark.parametrize("seed", range(3))
def test_bytes_changed(seed):
    """It works, or one line says why not; nothing is left either way (see the fixture)."""
    whole, chance = ZIP.read_bytes(), random.Random(seed)
    ends = len(whole) - 600  # the list of entries, where the decisions are taken
    outcomes = []
    for number in range(12):
        if number % 2:
            how, data = mutated_bytes.mutate(whole, chance)
        else:
            how, tail = mutated_bytes.mutate(whole[ends:], chance)
            data = whole[:ends] + tail
        A.write_bytes(data)
        outcomes.append(judged(f"{seed} {number}: {how}", lambda: read(A)))
    assert any(outcomes)


def test_truncated():
    whole = ZIP.read_bytes()
    for size in (4, 30, 1000, len(whole) // 2, len(whole) - 1, len(whole) - 22, len(whole) - 100):
        A.write_bytes(whole[:size])
        refused(A)
