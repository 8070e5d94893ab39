"""Weights made to do harm, for every format: nothing is run, nothing outside is opened, no memory is taken, one line
says what is wrong. What is special to one format (fairseq's objects, .npy headers) stands with that format's tests."""

import copy
import io
import os
import pickle
import zipfile

import engines
import formats
import numpy as np
import pytest
import torch
from hostile import MAKERS, m4gan, refused

from fastsvc.checkpoints import read
from fastsvc.reading.loading import load


def plain(path) -> dict:
    """What a file holds, without the objects of other programs that fairseq's have."""
    content = {key: value for key, value in load(path).items() if key not in ("args", "task_state")}
    return copy.deepcopy(content)  # off the file, which is written anew


def states(content: dict):
    """Every dict inside that holds tensors directly."""
    if any(isinstance(value, torch.Tensor) for value in content.values()):
        yield content
    for value in content.values():
        if isinstance(value, dict):
            yield from states(value)


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.sampled(3)
def test_code_beside_the_tensors_is_not_run(tmp_path, name):
    class Bomb:
        def __reduce__(self):
            return (os.system, (f"touch {tmp_path / 'ran'}",))

    path = MAKERS[name](tmp_path / "x")
    content = plain(path)
    torch.save({**content, "extra": Bomb()}, path)
    assert "system" in refused(path)
    path.write_bytes(pickle.dumps({**{k: str(k) for k in content}, "extra": Bomb()}))
    refused(path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.sampled(3)
def test_a_shape_that_the_file_does_not_back(tmp_path, name):
    """Each tensor of a small storage and a stride of 0 claims to be huge; the first is enough to refuse the file."""
    path = MAKERS[name](tmp_path / "x")
    content = plain(path)
    for state in states(content):
        for key, value in state.items():
            if isinstance(value, torch.Tensor):
                state[key] = torch.zeros(1).expand(2**33, *[1] * max(0, value.dim() - 1))
    torch.save(content, path)
    assert "more than the file holds" in refused(path)


@pytest.mark.parametrize("name", MAKERS)
def test_truncated_and_empty(tmp_path, name):
    path = MAKERS[name](tmp_path / "x")
    whole = path.read_bytes()
    for size in (0, 1, 100, len(whole) // 2, len(whole) - 30):
        path.write_bytes(whole[:size])
        refused(path)


@pytest.mark.slow
@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.sampled(4)
def test_an_archive_that_unpacks_to_more_than_itself(tmp_path, name):
    path = MAKERS[name](tmp_path / "x")
    entries = {}
    with zipfile.ZipFile(path) as archive:
        entries = {entry: archive.read(entry) for entry in archive.namelist()}
    data = next(entry for entry in entries if entry.endswith("data/0"))
    entries[data] += bytes(50_000_000)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for entry, content in entries.items():
            archive.writestr(entry, content)
    assert "more than its own size" in refused(path)


def test_a_bomb_of_speaker_embeddings(tmp_path):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": (2**28,)})
    with zipfile.ZipFile(tmp_path / "v.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", header.getvalue() + bytes(20 * 2**20))
    text = refused(formats.comosvc_fork(tmp_path / "x"), speaker_vectors=tmp_path / "v.npz")
    assert "unpacks" in text
    with zipfile.ZipFile(tmp_path / "w.npz", "w") as archive:  # a small file whose header claims a gigabyte
        archive.writestr("a.npy", header.getvalue() + bytes(16))
    refused(formats.comosvc_fork(tmp_path / "y"), speaker_vectors=tmp_path / "w.npz")


def test_the_same_files_unharmed_are_read(tmp_path):
    """What is refused above is refused for its harm."""
    for name, make in MAKERS.items():
        assert read(make(tmp_path / name), inspect_only=True).tensors


@pytest.mark.parametrize(
    "odd, part",
    [
        (torch.zeros(16).to_sparse(), "not a plain array"),
        (torch.zeros(16, device="meta"), "not a plain array"),
        (torch.zeros(16).to(torch.float8_e4m3fn), "float8"),
        (torch.zeros(16, dtype=torch.complex64), "complex"),
    ],
    ids=["sparse", "meta", "float8", "complex"],
)
def test_tensors_of_odd_kinds(tmp_path, odd, part):
    path = formats.comosvc(tmp_path)
    content = torch.load(path)
    content["model"]["unit_embed.bias"] = odd
    torch.save(content, path)
    assert part in refused(path)


@pytest.mark.parametrize("step", [None, "x", torch.zeros(3), 10**400, [1]])
def test_a_step_that_is_no_number_refuses_nothing(tmp_path, step):
    path = formats.comosvc(tmp_path)
    torch.save({**torch.load(path), "global_step": step}, path)
    assert read(path).step == 0


def test_layers_without_numbers(tmp_path):
    """Looked at without a configuration, whose place the names of the tensors take."""
    path = formats.comosvc(tmp_path)
    path.with_name("config.yaml").unlink()
    content = torch.load(path)
    content["model"]["decoder.denoise_fn.residual_layers.x.weight"] = torch.zeros(2)
    torch.save(content, path)
    assert "residual_layers.x" in refused(path, inspect_only=True)


def test_options_that_mean_nothing_for_a_file(tmp_path):
    np.savez(tmp_path / "v.npz", alto=np.zeros(256, np.float32))
    path = formats.sovits(tmp_path / "a")
    assert "--era does not apply" in refused(path, era="plain")
    assert "takes speaker ids" in refused(path, speaker_vectors=tmp_path / "v.npz")
    assert "--speaker-vectors does not apply" in refused(m4gan(tmp_path / "b"), speaker_vectors=tmp_path / "v.npz")
    assert read(path, era="auto").tensors


@pytest.mark.parametrize("kind", [[], {}, ["x"], {"a": [1]}, None, 10**400, torch.zeros(3)])
def test_a_kind_that_is_no_name(tmp_path, kind):
    path = engines.native(tmp_path / "a.pt", "student", engines.ACOUSTIC, kind=kind)
    assert "unknown kind" in refused(path)
