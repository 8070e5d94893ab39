"""Torch files whose pickles and archives were written by hand to cost memory, time or a crash."""

import io
import pickle
import pickletools
import struct
import tracemalloc
import zipfile

import pytest
import torch
from raw_pickles import LIMIT, archived, called, held, old, refused, tensor, text, whole

from fastsvc.errors import CheckpointError
from fastsvc.reading import pickle_scan
from fastsvc.reading.loading import load, state_dict

DEEP = b"\x80\x02}" + b")" + b"\x85" * 300_000 + b"K\x01s."  # a key whose hash would run through C's whole stack
DOUBLING = b"\x80\x02}" + text("a") + b"(K\x01t" + b"q\x01h\x01h\x01\x87" * 60 + b"s."
EQUAL = (
    b"\x80\x02}(" + b"".join(b"\x8a\x0a" + (k * (2**61 - 1)).to_bytes(10, "little") + b"N" for k in range(2000)) + b"u."
)
DEQUE = (  # [0, p, 2p, …], which all have one hash, as a set
    called("collections", "deque", b"")
    + b"("
    + b"".join(b"\x8a\x0a" + (k * (2**61 - 1)).to_bytes(10, "little") for k in range(2000))
    + b"e"
)


def scalar(code: bytes) -> bytes:
    """A numpy scalar whose dtype has this code."""
    return called("numpy.core.multiarray", "scalar", called("numpy", "dtype", code + b"\x89\x88") + text("x"))


def rebuilt(kind: bytes, size: bytes) -> bytes:
    return called("numpy.core.multiarray", "_reconstruct", kind + size + b"\x85" + text("b"))


PICKLES = {
    "deep": (DEEP, "nested deeper"),
    "doubling": (DOUBLING, "nested deeper|of more than"),
    "equal hashes": (EQUAL, "hours to compare"),
    "bytes": (held(called("__builtin__", "bytearray", whole(10**12))), "bytearray of a size"),
    "hex": (held(called("_codecs", "encode", text("ab") + text("hex"))), "_codecs.encode"),
    "tensor class": (held(called("torch", "FloatTensor", whole(2**40))), "torch.FloatTensor"),
    "code": (held(called("os", "system", text("true"))), "os.system"),
    "numpy objects": (held(scalar(text("O8"))), "numpy.dtype of objects"),
    "numpy scalar of no dtype": (
        held(called("numpy.core.multiarray", "scalar", text("f8") + text("x"))),
        "not a plain",
    ),
    "numpy scalar of a tuple": (
        held(called("numpy._core.multiarray", "scalar", b")" + text("x"))),
        "not a plain value",
    ),
    "numpy dtype of nothing": (held(called("numpy", "dtype", b"")), "numpy.dtype of objects"),
    "numpy dtype of a list": (held(called("numpy", "dtype", b"]")), "numpy.dtype of objects"),
    "numpy array of a class": (held(rebuilt(b"cnumpy.ma\nMaskedArray\n", b"K\x00")), "someone's own class"),
    "numpy array of a size": (held(rebuilt(b"cnumpy\nndarray\n", whole(2**40))), "a size before its content"),
    "numpy array made": (held(b"cnumpy\nndarray\n(" + whole(2**40) + b"t\x81"), "numpy.ndarray"),
    "numpy array called": (held(called("numpy", "ndarray", whole(2**40))), "numpy.ndarray"),
    "numpy loader": (held(called("numpy", "load", text("/dev/zero"))), "numpy.load"),
    "numpy file": (held(called("numpy", "fromfile", text("/dev/zero"))), "numpy.fromfile"),
    "path that reads": (held(called("pathlib", "Path.read_bytes", text("/etc/passwd"))), "pathlib.Path.read_bytes"),
    "open path": (held(called("builtins", "getattr", b"cpathlib\nPath\n" + text("cwd"))), "builtins.getattr"),
    "namespace of functions": (held(called("types", "FunctionType", b"")), "types.FunctionType"),
    "partial": (held(called("functools", "partial", b"cos\nsystem\n" + text("true"))), "functools.partial"),
    "subclass": (held(called("mine", "OrderedDict", b"")), "mine.OrderedDict"),
    "equal hashes in a deque": (held(called("__builtin__", "set", DEQUE)), "hours to compare"),
    "equal hashes in a mapping": (held(called("collections", "defaultdict", b"") + EQUAL[3:-2] + b"u"), "hours to"),
    "protocol 4": (pickle.dumps({"a": 1}, protocol=4), "never writes"),
    "protocol 4 inside": (b"\x80\x04}.", "protocol 4"),
    "cut": (held(b"K\x01")[:-3], "cut short|never writes"),
    "name": (b"\x80\x02c" + b"a" * 5000, "characters"),
}


@pytest.mark.parametrize("form", [archived, old])
@pytest.mark.parametrize("name", PICKLES)
def test_a_pickle_made_to_hurt(tmp_path, form, name):
    data, why = PICKLES[name]
    import re

    assert re.search(why, refused(form(tmp_path / "a.pt", data))), name


def test_many_instructions(tmp_path, monkeypatch):
    monkeypatch.setattr(pickle_scan, "OPS", 10_000)
    assert "instructions" in refused(archived(tmp_path / "a.pt", b"\x80\x02" + b"K\x01" * 10_001 + b"."))


def test_a_list_that_holds_itself(tmp_path):
    path = archived(tmp_path / "a.pt", held(b"]q\x00h\x00a"))
    assert "nests deeper" in refused(path)
    doubled = b"]q\x00" + b"".join(b"](h\x00h\x00eq\x00" for _ in range(40))  # 2^40 lists, written out
    path = archived(tmp_path / "b.pt", held(doubled))
    assert "values" in refused(path)


SIZES = {  # of a storage of four numbers: (items that it claims, offset, sizes, strides)
    "as it is": (4, 0, (2, 2), (2, 1)),
    "storage": (5, 0, (2, 2), (2, 1)),
    "huge storage": (2**50, 0, (2, 2), (2, 1)),
    "sizes": (4, 0, (5,), (1,)),
    "strides": (4, 0, (2, 2), (3, 1)),
    "offset": (4, 1, (2, 2), (2, 1)),
    "one row for ever": (4, 0, (2**40, 4), (0, 1)),
    "negative": (4, 0, (2**71, 4), (1, 1)),
}


@pytest.mark.parametrize("form", ["archive", "old"])
@pytest.mark.parametrize("name", SIZES)
def test_what_a_storage_entry_holds_is_the_most_that_a_tensor_has(tmp_path, name, form):
    data, numbers = held(tensor(*SIZES[name])), struct.pack("<4f", 1, 2, 3, 4)
    path = tmp_path / "a.pt"
    if form == "archive":
        archived(path, data, _0=numbers)
    else:
        data = data.replace(b"tQ", b"NtQ", 1)  # without a view
        old(path, data, ["0"], struct.pack("<q", 4) + numbers)
    if name == "as it is":
        assert load(path)["a"].tolist() == [[1, 2], [3, 4]]
    elif name == "one row for ever":  # a view that torch allows, and whoever copies it must not
        with pytest.raises(CheckpointError, match="more than the file holds"):
            state_dict({"x": load(path)}, "x", path)
    else:
        refused(path)


def test_one_storage_under_many_names(tmp_path):
    content = {f"w{i}": torch.zeros(1000) for i in range(2)}
    content |= {f"v{i}": content["w0"] for i in range(100)}
    torch.save({"model": content}, tmp_path / "a.pt")
    with pytest.raises(CheckpointError, match="share memory"):
        state_dict(load(tmp_path / "a.pt"), "model", tmp_path / "a.pt")


def test_archives_that_say_two_things(tmp_path):
    data, numbers = held(tensor(4, 0, (4,), (1,))), struct.pack("<4f", 1, 2, 3, 4)
    path = archived(tmp_path / "twice.pt", data, _0=numbers)
    with zipfile.ZipFile(path, "a") as file:
        file.writestr("A/DATA.PKL", held(b"K\x01"))  # torch's reader finds names in either case
    assert "twice" in refused(path)
    whole_file = archived(tmp_path / "b.pt", data, _0=numbers).read_bytes()
    path.write_bytes(whole_file.replace(b"a/data/0", b"a/data/1", 1))  # the header says another name than the list
    assert "damaged archive" in refused(path)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("a/data.pkl", data + bytes(100))
        file.writestr("a/data/0", numbers)
    refused(path)
    path.write_bytes(whole_file[:4] + bytes(2000))
    assert "damaged archive" in refused(path)
    path.write_bytes(whole_file.replace(b"a/data/0", b"\0/data/0"))  # zipfile cuts the name there
    assert "which is missing" in refused(path)
    entries = io.BytesIO()
    with zipfile.ZipFile(entries, "w") as file:
        file.writestr("a/data.pkl", data)
        file.writestr("a/data/0", numbers)
        file.infolist()[1].header_offset = 0  # both at one place
    path.write_bytes(entries.getvalue())
    assert "damaged archive" in refused(path)


def test_old_files_whose_storages_are_not_there(tmp_path):
    data = held(tensor(4, 0, (4,), (1,))).replace(b"tQ", b"NtQ", 1)
    numbers = struct.pack("<q4f", 4, 1, 2, 3, 4)
    assert load(old(tmp_path / "a.pt", data, ["0"], numbers))["a"].tolist() == [1, 2, 3, 4]
    assert "list of storages" in refused(old(tmp_path / "b.pt", data, [], numbers))  # it would stay as memory was
    assert "more bytes" in refused(old(tmp_path / "c.pt", data, ["0"], numbers[:10]))


def test_the_scan_follows_what_torch_writes(tmp_path):
    """Real files hold nothing that the scan refuses, and its instructions are those of the standard's table."""
    state = {"w": torch.ones(3, 4).T, "b": torch.nn.Parameter(torch.ones(2)), "h": torch.ones(2).half()}
    groups = [{"lr": 1e-3, "betas": (0.9, 0.99), "params": [0, 1]}]
    optimizer = {"state": {0: {"step": torch.tensor(3.0), "exp_avg": torch.ones(5)}}, "param_groups": groups}
    content = {"model": state, "optimizer": optimizer, "rng": torch.get_rng_state(), "x": {(1, "a"): 2.5}}
    content |= {"set": {1, 2}, "bytes": b"abc", "big": 2**70, "device": torch.device("cpu"), "size": torch.Size([2])}
    for new in (True, False):
        torch.save(content, tmp_path / "a.pt", _use_new_zipfile_serialization=new)
        for mapped in (True, False):
            found = load(tmp_path / "a.pt", mapped=mapped)
            assert torch.equal(found["model"]["w"], state["w"]) and found["x"] == content["x"]
            assert found["big"] == 2**70 and found["set"] == {1, 2} and found["bytes"] == b"abc"
    lengths = {
        ord(op.code): op.arg.n if op.arg else 0 for op in pickletools.opcodes if op.code.isascii() or op.proto == 2
    }
    for code, count in pickle_scan.ARGUMENTS.items():
        assert lengths.get(code, count) == count, chr(code)


INERT = {  # harmless, as nothing is made of it: what a call or a state says comes to nothing
    "date of a megabyte": called("datetime", "datetime", text("x" * 2**20)),
    "span beyond time": called("datetime", "timedelta", whole(2**70)),
    "decimal of digits": called("decimal", "Decimal", text("9" * 2**20)),
    "range of everything": called("__builtin__", "xrange", whole(2**70)),
    "bytes of a size": called("__builtin__", "bytes", whole(2**60)),
    "path of a null": called("pathlib", "PosixPath", text("a\0b")),
    "namespace with a state": called("argparse", "Namespace", b"") + b"}" + text("__class__") + text("x") + b"sb",
    "array of lies": rebuilt(b"cnumpy\nndarray\n", b"K\x00") + b"(" + whole(1) + whole(2**60) + b"\x85tb",
    "scalar of no bytes": scalar(text("f8")),
    "dtype of lies": called("numpy", "dtype", text("f8") + b"\x89\x88") + b"(" + whole(3) + b"]tb",
}


@pytest.mark.parametrize("form", [archived, old])
@pytest.mark.parametrize("name", INERT)
def test_a_call_of_something_inert_comes_to_nothing(tmp_path, form, name):
    tracemalloc.start()
    try:
        found = load(form(tmp_path / "a.pt", held(INERT[name])))["a"]
        assert tracemalloc.get_traced_memory()[1] < LIMIT
    finally:
        tracemalloc.stop()
    assert type(found).__module__ == "fastsvc.reading.inert" and not hasattr(found, "__dict__")
