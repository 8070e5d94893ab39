"""A voice of RVC in a zip or a folder, with its index: the same voice as its file alone."""

import gc
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import rvc_files
import torch
from rvc_files import INDEX, TRAINED, VOICES, ZIP, saved, zipped

from fastsvc.checkpoints import read
from fastsvc.checkpoints.files import index_beside
from fastsvc.checkpoints.files.folder import checkpoint_in
from fastsvc.errors import CheckpointError, ResourceError

PTH, ADDED = VOICES["v2_40k"].read_bytes(), INDEX.read_bytes()


@pytest.fixture
def temporary(tmp_path, monkeypatch) -> Path:
    """The folder for temporary files, for this test alone."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def same(a, b) -> bool:
    pairs = ((a, b), (a.vocoder, b.vocoder))
    return a.config == b.config and all(
        torch.equal(x.tensors[name], y.tensors[name]) for x, y in pairs for name in y.tensors
    )


def test_zip_folder_and_file_are_one_voice(tmp_path, temporary):
    folder = tmp_path / "Voice"
    folder.mkdir()
    shutil.copy(VOICES["v2_40k"], folder / "Voice.pth")
    shutil.copy(INDEX, folder)
    packed, unpacked, alone = read(ZIP), read(folder), read(VOICES["v2_40k"])
    assert same(packed, alone) and same(unpacked, alone)
    assert packed.speakers == unpacked.speakers and packed.speakers[0] == "Voice"
    assert packed.path == packed.vocoder.path == ZIP  # which the engine's manifest names, with its hash
    assert packed.index.read_bytes() == unpacked.index.read_bytes() == ADDED
    assert packed.index.name == unpacked.index.name == INDEX.name and alone.index is None
    assert not any("index" in note for note in (*packed.notes, *unpacked.notes))


def test_temporary_files_last_as_long_as_the_index(temporary):
    index = read(ZIP).index
    assert index.read_bytes() == ADDED and list(temporary.glob("*/*")) == [index] and index.name == INDEX.name
    assert next(temporary.iterdir()).stat().st_mode & 0o77 == 0
    del index
    gc.collect()
    assert not list(temporary.iterdir())
    assert read(ZIP, inspect_only=True).kind == "rvc"
    gc.collect()
    assert not list(temporary.iterdir())


def test_a_killed_process_leaves_its_files_until_the_next_zip(tmp_path, temporary):
    code = "import os, sys; from fastsvc.checkpoints import read; voice = read(sys.argv[1]); os._exit(9)"
    subprocess.run([sys.executable, "-c", code, ZIP], env={**os.environ, "TMPDIR": str(temporary)}, check=False)
    (left,) = temporary.glob(".fastsvc-*")
    index = read(ZIP).index
    assert not left.exists() and index.is_file()


def test_no_folder_for_temporary_files(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    with pytest.raises(ResourceError, match="no folder for temporary files"):
        read(ZIP)


def test_single_precision_in_a_zip_is_read_into_memory(tmp_path, temporary):
    whole = rvc_files.content()
    whole["weight"] = {name: value.float() for name, value in whole["weight"].items()}
    saved(tmp_path / "a.pth", whole)
    checkpoint = read(zipped(tmp_path / "a.zip", ("a.pth", (tmp_path / "a.pth").read_bytes())))
    gc.collect()
    assert not list(temporary.iterdir())
    assert same(checkpoint, read(VOICES["v2_40k"]))


def test_a_long_index_name_keeps_its_version(tmp_path, temporary):
    name = f"added_IVF3_Flat_nprobe_1_{'x' * 90}_v2.index"
    assert read(zipped(tmp_path / "a.zip", ("a.pth", PTH), (name, ADDED))).index.name.endswith("xx_v2.index")


@pytest.mark.parametrize(
    "names",
    [
        ("Voice.pth", "added_IVF3_Flat_nprobe_1_Voice_v2.index"),
        ("a/ b/Völice (1).PTH", "logs/x/added_IVF3_Flat_nprobe_1_other_v2.INDEX"),
        ("Model\\Voice.pth", "Model\\added_IVF3.index"),
        ("weights/CON.pth", "aux.index"),
    ],
)
def test_folders_and_files_of_any_name(tmp_path, temporary, names):
    litter = [("__MACOSX/._Voice.pth", b"x"), ("x/.DS_Store", b"x"), ("._a.index", b"x"), ("Thumbs.db", b"x")]
    path = zipped(tmp_path / "download", (names[0], PTH), ("readme.txt", b"hi"), *litter, (names[1], ADDED))
    checkpoint = read(path)
    assert same(checkpoint, read(VOICES["v2_40k"])) and checkpoint.index.read_bytes() == ADDED
    assert checkpoint.index.parent.parent == temporary


def test_voices_that_are_missing_or_too_many(tmp_path, temporary):
    with pytest.raises(CheckpointError, match=r"holds an index of RVC \(x/a.index\), but no voice"):
        read(zipped(tmp_path / "i.zip", ("x/a.index", ADDED)))
    with pytest.raises(CheckpointError, match=r"2 checkpoints \(a.pth, b.pth\) \(unpack it, then name"):
        read(zipped(tmp_path / "two.zip", ("a.pth", PTH), ("b.pth", PTH)))
    with pytest.raises(CheckpointError, match="without a model"):
        read(zipped(tmp_path / "none.zip", ("a.txt", b"x")))
    with pytest.raises(CheckpointError, match="zip of a folder .x/model.pt"):
        read(zipped(tmp_path / "other.zip", ("x/model.pt", PTH)))
    with pytest.raises(CheckpointError, match=r"\(unpack it, then name Voice.zip\)"):
        read(zipped(tmp_path / "nested.zip", ("Voice.zip", ZIP.read_bytes())))
    folder = tmp_path / "f"
    folder.mkdir()
    shutil.copy(INDEX, folder)
    with pytest.raises(CheckpointError, match="holds an index of RVC .*, but no voice"):
        read(folder)
    with pytest.raises(CheckpointError, match="index of RVC .faiss., which holds no voice"):
        read(INDEX)
    assert not list(temporary.iterdir())


def test_errors_name_the_archive_and_the_file_in_it(tmp_path, temporary):
    broken = rvc_files.edited(tmp_path / "b.pth", version="v9").read_bytes()
    other = saved(tmp_path / "o.pth", {"generator": {"conv_pre.weight": torch.zeros(2), "m_source.l_linear.weight": 1}})
    foreign = saved(tmp_path / "f.pth", {"model": {"reflow_model.x": torch.zeros(1)}})
    for data, part in (
        (broken, "Voice.zip, x/V.pth is a voice of RVC's version 'v9'"),
        (b"hello", "Voice.zip, x/V.pth is not a torch file"),
        (other.read_bytes(), "Voice.zip, x/V.pth is in a zip of a folder"),
        (foreign.read_bytes(), "Voice.zip, x/V.pth is a model of DDSP-SVC with"),
    ):
        with pytest.raises(CheckpointError) as caught:
            read(zipped(tmp_path / "Voice.zip", ("x/V.pth", data), ("a.index", ADDED)))
        assert part in str(caught.value) and str(temporary) not in str(caught.value)
        assert not list(temporary.iterdir())


def test_the_engines_name_comes_from_the_zip():
    assert checkpoint_in(ZIP).with_suffix(".fsvc").name == "Voice.fsvc"


NAMED = "added_IVF256_Flat_nprobe_1_{}_v2.index".format


@pytest.mark.parametrize(
    "voice, names, alone, chosen, part",
    [
        ("Bob", [], True, None, ""),
        ("Bob", ["x.index"], True, "x.index", ""),
        ("Bob", ["x.index"], False, None, "no index beside it has its name"),
        ("Bob", [NAMED("Bob"), NAMED("Bobby")], True, NAMED("Bob"), ""),
        ("Bob", [NAMED("Bob"), NAMED("Bobby")], False, NAMED("Bob"), ""),
        ("bob", [f"logs/{NAMED('Bob')}", "y.index"], True, f"logs/{NAMED('Bob')}", ""),
        ("Bob_e200_s4000", [NAMED("Bob"), NAMED("Al")], False, NAMED("Bob"), ""),
        ("Bob", ["trained_IVF256_Flat_nprobe_1_Bob_v2.index", NAMED("Bob")], True, NAMED("Bob"), ""),
        ("Bob", ["trained_IVF256_Flat_nprobe_1_Bob_v2.index"], True, None, "holds no vectors"),
        ("Bob", ["x.index", NAMED("Al")], True, NAMED("Al"), ""),
        ("Bob", ["Bob.index", "Al.index"], False, "Bob.index", ""),
        ("Bob", ["Bob.index", NAMED("Bob")], False, NAMED("Bob"), ""),
        ("Bob", ["added_Bob_v2.index", "Al.index"], True, "added_Bob_v2.index", ""),
        ("Bob", ["x.index", "y.index"], True, None, "2 indexes lie beside it (x.index, y.index)"),
        ("Bob", [NAMED("Bob"), NAMED("Bob").replace("256", "9")], True, None, "2 indexes lie beside it"),
    ],
)
def test_which_index_is_the_voices(voice, names, alone, chosen, part):
    found, notes = index_beside.choose(voice, names, alone)
    assert found == chosen and part in " ".join(notes) and bool(notes) == bool(part)


def test_indexes_beside_a_file(tmp_path):
    for name in ("Bob.pth", "Al.pth"):
        shutil.copy(VOICES["v2_40k"], tmp_path / name)
    shutil.copy(INDEX, tmp_path / NAMED("Bob"))
    shutil.copy(TRAINED, tmp_path / TRAINED.name)
    (tmp_path / f"._{NAMED('Al')}").write_bytes(b"x")
    assert read(tmp_path / "Bob.pth").index == tmp_path / NAMED("Bob")
    assert read(tmp_path / "Al.pth").index is None
    with pytest.raises(CheckpointError, match="2 checkpoints: Al.pth, Bob.pth"):
        read(tmp_path)
