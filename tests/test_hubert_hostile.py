"""Files of HuBERT and ContentVec made to do harm: nothing is run, no memory is taken."""

import argparse
import json
import pickle
import subprocess
import sys

import huberts
import pytest
import torch

from fastsvc.checkpoints import read
from fastsvc.errors import CheckpointError
from fastsvc.reading import inert, loading


@pytest.mark.parametrize("kept", [0.5, 0.999])
def test_damaged_safetensors(tmp_path, kept):
    file = huberts.huggingface(tmp_path) / "model.safetensors"
    file.write_bytes(file.read_bytes()[: int(file.stat().st_size * kept)])
    with pytest.raises(CheckpointError, match="cannot be read as a safetensors file"):
        read(tmp_path)


@pytest.mark.parametrize(
    "header",
    [
        {"a": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 16]}},
        {"a": {"dtype": "F32", "shape": [4], "data_offsets": [0, 2**50]}},
        {"a": {"dtype": "F32", "shape": [2**62, 4], "data_offsets": [0, 16]}},
        {"a": "no tensor"},
    ],
)
def test_safetensors_that_lie(tmp_path, header):
    text = json.dumps(header).encode()
    (tmp_path / "a.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + bytes(16))
    with pytest.raises(CheckpointError, match="cannot be read as a safetensors file"):
        read(tmp_path / "a.safetensors")
    (tmp_path / "a.safetensors").write_bytes((2**60).to_bytes(8, "little") + text)
    with pytest.raises(CheckpointError, match="cannot be read as a safetensors file"):
        read(tmp_path / "a.safetensors")


class Runs:
    def __init__(self, function, *arguments):
        self.function, self.arguments = function, arguments

    def __reduce__(self):
        return self.function, self.arguments


def hostile():
    import os

    yield "os.system", Runs(os.system, "touch MARK")
    yield "builtins.eval", Runs(eval, "open('MARK', 'w')")
    yield "builtins.exec", Runs(exec, "open('MARK', 'w')")
    yield "builtins.getattr", Runs(getattr, "", "upper")
    yield "subprocess.Popen", Runs(subprocess.Popen, ["touch", "MARK"])
    yield "torch.load", Runs(torch.load, "MARK")


@pytest.mark.parametrize("name, thing", list(hostile()), ids=[name for name, _ in hostile()])
@pytest.mark.parametrize("where", ["alone", "inside a Namespace", "inside a Dictionary's arguments", "in its state"])
def test_code_is_refused_and_does_not_run(tmp_path, monkeypatch, name, thing, where):
    monkeypatch.chdir(tmp_path)
    if where == "inside a Namespace":
        thing = argparse.Namespace(a=[thing])
    elif where == "inside a Dictionary's arguments":
        thing = huberts.foreign("fairseq.data.dictionary.Dictionary", thing)
    elif where == "in its state":
        thing = huberts.foreign("fairseq.data.dictionary.Dictionary", state={"a": thing})
    path = huberts.fairseq(tmp_path / "a.pt", extra_state={"thing": thing})
    with pytest.raises(CheckpointError, match="holds more than tensors") as error:
        read(path)
    assert name.rpartition(".")[2] in str(error.value)
    assert not (tmp_path / "MARK").exists()


def test_the_hostile_ones_would_have_run(tmp_path, monkeypatch):
    """Otherwise the test above could not fail."""
    monkeypatch.chdir(tmp_path)
    path = huberts.fairseq(tmp_path / "a.pt", task_state=None, extra_state=dict(hostile())["builtins.eval"])
    torch.load(path, weights_only=False)
    assert (tmp_path / "MARK").exists()


@pytest.mark.parametrize(
    "name",
    [
        "evil.data.dictionary.Dictionary",
        "fairseq.data.dictionary.Dictionary2",
        "fairseq.data.Dictionary",
        "omegaconf.nodes.InterpolationNode",
        "argparse.FileType",
    ],
)
def test_a_class_of_nearly_the_same_name_is_refused(tmp_path, name):
    path = huberts.fairseq(tmp_path / "a.pt", extra_state=huberts.foreign(name))
    with pytest.raises(CheckpointError, match=name):
        read(path)


def test_allowed_names_are_never_imported_and_keep_nothing(tmp_path):
    """A package of that name that lies in the way does not run, and what an object says is not kept."""
    path = huberts.fairseq(tmp_path / "a.pt")
    trap = tmp_path / "fairseq" / "data"
    trap.mkdir(parents=True)
    for folder in (trap.parent, trap):
        (folder / "__init__.py").write_text("raise SystemExit(3)")
    monkey = [str(tmp_path), *sys.path]
    before = set(sys.modules)
    sys.path, saved = monkey, sys.path
    try:
        content = loading.load(path)
    finally:
        sys.path = saved
    words = content["task_state"]["dictionaries"][0]
    assert type(words) is type(content["args"]) is inert.Inert and not hasattr(words, "__dict__")
    assert not any(name.startswith("fairseq") for name in set(sys.modules) - before)


def test_a_bomb_of_bytes(tmp_path):
    path = huberts.fairseq(tmp_path / "a.pt", extra_state=Runs(bytearray, 2**62))
    with pytest.raises(CheckpointError, match="bytearray"):
        read(path)


def test_tensors_that_claim_more_than_they_have(tmp_path):
    def edit(state):
        state["post_extract_proj.weight"] = torch.zeros(1).expand(10**9, 16)

    with pytest.raises(CheckpointError, match="claims shape"):
        read(huberts.fairseq(tmp_path / "a.pt", edit=edit))


def test_nothing_of_this_pickles_by_itself():
    """Inert is what the tests rely on: made of anything, it does nothing."""
    thing = inert.Inert(1, [2])
    thing.__setstate__({"a": 1})
    assert not hasattr(thing, "a") and pickle.dumps(thing)
