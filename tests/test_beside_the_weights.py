"""What trainers keep beside the weights: plain values are read and kept out, other objects refused by name."""

import argparse
import collections
import datetime
import decimal
import fractions
import pathlib
import signal
import sys
import types
import uuid

import formats
import huberts
import numpy as np
import pytest
import torch
from dresses import prefixed, same

from fastsvc.checkpoints import read
from fastsvc.errors import CheckpointError
from fastsvc.reading.loading import load

BESIDE = {  # what trainers keep beside the weights
    "global_step": np.int64(77),
    "best": np.float32(0.5),
    "history": np.arange(5.0),
    "rng": np.random.RandomState(1).get_state(),
    "dtype": np.dtype("float32"),
    "class": np.float64,
    "path": pathlib.PurePosixPath("logs/44k"),
    "where": pathlib.Path("data"),
    "windows": pathlib.PureWindowsPath("C:\\voices"),
    "saved": datetime.datetime(2024, 5, 1, tzinfo=datetime.timezone.utc),
    "took": datetime.timedelta(hours=3),
    "args": argparse.Namespace(lr=1e-4, out=pathlib.Path("x")),
    "speakers": {"a", "b"},
    "frozen": frozenset({1}),
    "complex": 1 + 2j,
    "price": decimal.Decimal("1.5"),
    "ratio": fractions.Fraction(1, 3),
    "run": uuid.UUID(int=5),
    "ordered": collections.OrderedDict(a=1),
    "counts": collections.defaultdict(list, {"a": [1]}),
    "last": collections.deque([1, 2], maxlen=3),
    "names": types.SimpleNamespace(a=1),
    "nothing": b"",
    "version": torch.__version__,
}


@pytest.mark.parametrize("new", [True, False])
def test_plain_values_beside_the_weights_are_read_and_kept_out(tmp_path, new):
    path = formats.comosvc(tmp_path)
    want, state = read(path), torch.load(path, weights_only=True)["model"]
    assert want.step == 4000
    torch.save({"model": state, **BESIDE}, tmp_path / "b.pt", _use_new_zipfile_serialization=new)
    got = read(tmp_path / "b.pt")
    same(got, want)
    assert got.step == 77  # numpy's number
    content = load(tmp_path / "b.pt")
    assert content["best"] == 0.5 and content["counts"] == {"a": [1]} and content["last"] == [1, 2]
    for name in ("history", "path", "saved", "args", "frozen", "price", "run", "names"):
        assert type(content[name]).__module__ == "fastsvc.reading.inert", name


def test_settings_of_lightning_are_read_as_a_mapping(tmp_path, monkeypatch):
    module = types.ModuleType("lightning_fabric.utilities.data")
    module.AttributeDict = type("AttributeDict", (dict,), {"__module__": module.__name__})
    for name in ("lightning_fabric", "lightning_fabric.utilities"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    path = formats.sovits(tmp_path)
    want, state = read(path), torch.load(path, weights_only=True)["model"]
    content = {"state_dict": prefixed("model.")(state), "hyper_parameters": module.AttributeDict(lr=1e-4, spk={"a": 0})}
    torch.save(content, tmp_path / "b.ckpt")
    same(read(tmp_path / "b.ckpt"), want)
    assert load(tmp_path / "b.ckpt")["hyper_parameters"] == {"lr": 1e-4, "spk": {"a": 0}}


def test_other_objects_are_refused_by_name(tmp_path):
    for thing, name in (
        (huberts.foreign("utils.HParams", state={"a": 1}), "utils.HParams"),
        (huberts.foreign("hydra.Settings", 1), "hydra.Settings"),
        (huberts.foreign("builtins.getattr", 1, "x"), "builtins.getattr"),
    ):
        huberts.fairseq(tmp_path / "a.pt", task=thing)
        with pytest.raises(CheckpointError, match=name) as caught:
            read(tmp_path / "a.pt")
        assert "state dict alone" in str(caught.value)
    torch.save({"model": {}, "kind": signal.SIGINT}, tmp_path / "a.pt")
    with pytest.raises(CheckpointError, match="signal.Signals"):
        read(tmp_path / "a.pt")


def test_messages_name_no_objects_of_ours(tmp_path):
    torch.save({datetime.date(2024, 5, 1): 1, "model": {"a": torch.ones(1)}}, tmp_path / "a.pt")
    with pytest.raises(CheckpointError, match="its keys: an object, model"):
        read(tmp_path / "a.pt")
