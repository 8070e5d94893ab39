"""Small files that strangers made, at the one place where they are read, and through every command that reads them."""

import io
import os
import socket
import time
import zipfile

import numpy as np
import pytest
from click.testing import CliRunner
from engines import ACOUSTIC, native

from fastsvc import reading
from fastsvc.cli import main
from fastsvc.errors import CheckpointError, ConfigError
from fastsvc.reading import arrays


@pytest.fixture
def odd(tmp_path):
    """Things with a name that are no files; whoever waits for them waits for ever."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    one = socket.socket(socket.AF_UNIX)
    one.bind(str(tmp_path / "socket"))
    (tmp_path / "link").symlink_to(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    yield [tmp_path / name for name in ("pipe", "folder", "socket", "link", "loop", "none")] + ["/dev/zero", "a\0b"]
    one.close()


def test_only_regular_files_are_read(odd, tmp_path):
    for path in odd:
        start = time.perf_counter()
        for read in (reading.read_bytes, reading.read_json, reading.read_yaml, arrays.npz, arrays.npy):
            with pytest.raises(ConfigError) as caught:
                read(path)
            assert "\n" not in str(caught.value)
        assert time.perf_counter() - start < 20  # whoever waits for a pipe waits for ever
    (tmp_path / "a.json").write_text("{}")
    (tmp_path / "b.json").symlink_to(tmp_path / "a.json")
    assert reading.read_json(tmp_path / "b.json") == {}


COMMANDS = [
    ["inspect", "PIPE"],
    ["build", "PIPE"],
    ["build", "CKPT", "--config", "PIPE"],
    ["build", "CKPT", "--vocoder", "PIPE"],
    ["build", "CKPT", "--content", "PIPE"],
    ["build", "CKPT", "--speaker-f0", "PIPE"],
    ["build", "CKPT", "--speaker-vectors", "PIPE"],
    ["train", "teacher", "-c", "PIPE"],
    ["evaluate", "-c", "PIPE"],
    ["prepare", "FOLDER", "-o", "OUT", "--config", "PIPE"],
    ["prepare", "FOLDER", "-o", "OUT", "--encoder", "PIPE"],
    ["convert", "a.wav", "-m", "PIPE"],
    ["convert", "a.wav", "-m", "ENGINE"],
    ["inspect", "ENGINE"],
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_pipe_stops_no_command(tmp_path, command):
    """One line, exit 2; a command that opened the pipe would wait for the test's time limit."""
    os.mkfifo(tmp_path / "pipe.pt")
    (tmp_path / "e.fsvc").mkdir()
    os.mkfifo(tmp_path / "e.fsvc" / "manifest.json")
    (tmp_path / "folder" / "ada").mkdir(parents=True)
    (tmp_path / "folder" / "ada" / "a.wav").write_bytes(b"RIFF")
    checkpoint = native(tmp_path / "ckpt.pt", "student", ACOUSTIC)
    places = {"PIPE": "pipe.pt", "ENGINE": "e.fsvc", "FOLDER": "folder", "OUT": "out"}
    places |= {"CKPT": str(checkpoint.relative_to(tmp_path))}
    words = [str(tmp_path / places[word]) if word in places else word for word in command]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 2 and isinstance(result.exception, SystemExit), (result.output, result.exception)
    assert result.stderr.count("\n") <= 3 and "Traceback" not in result.output, result.stderr


HOSTILE = {
    "deep": ("[" * 100_000, "nests deeper"),
    "deep and closed": ("[" * 500 + "]" * 500, "nests deeper"),
    "deep mappings": ('{"a":' * 100_000, "nests deeper"),
    "not text": (b"\xff{}", "not UTF-8"),
    "digits": ('{"a": ' + "9" * 5000 + "}", "digits"),
    "large": ("x" * (2**20 + 1), "larger than 1 MB"),
    "empty": ("", ""),
    "null": ("\x00", ""),
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("read", [reading.read_json, reading.read_yaml])
def test_hostile_texts(tmp_path, read, name):
    content, why = HOSTILE[name]
    path = tmp_path / "a"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    if (read, name) == (reading.read_yaml, "empty"):
        assert read(path) is None
        return
    with pytest.raises(CheckpointError, match=why or None) as caught:
        read(path, error=CheckpointError)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 1000


@pytest.mark.parametrize(
    "text, why",
    [
        ("a: 1\na: 2", "'a' twice .line 2"),
        ("a: &x [*x]", "contains itself"),
        ("a: &x [1,1]\nb: &y [" + "*x," * 400 + "]\nc: [" + "*y," * 400 + "]", "more than 100000 values"),
        ("a: 2001-99-99", "month|cannot be read|must be"),
        ("? [1, 2]\n: 3", "unhashable|hashable"),
        ("a: !!python/object/apply:os.system [true]", "constructor"),
        ("a: !!int x", ""),
        ("a: !!float []", ""),
        ("a: !!timestamp x", ""),
        ("a: !!binary é", ""),
        ("a: " + ":".join(["59"] * 100), "digits"),
        ("a: *unknown", "alias"),
        ("\t- x", "line 1"),
    ],
)
def test_hostile_yaml(text, why):
    with pytest.raises(ValueError, match=why or None) as caught:
        reading.parse_yaml(text)
    assert type(caught.value) is ValueError and "\n" not in str(caught.value)


def test_a_key_twice_in_json():
    with pytest.raises(ValueError, match="'a' twice"):
        reading.parse_json('{"a": 1, "b": {}, "a": 2}')


@pytest.mark.parametrize("text", ['{"speakers": ["\\ud800x"]}', '{"\\uDC00": 1}', '"\\udc00\\ud800"'])
def test_half_a_character_in_json(text):
    """No answer and no file can carry it: an uploaded voice with such a name would take the list of engines with it."""
    with pytest.raises(ValueError, match="surrogate"):
        reading.parse_json(text)
    assert reading.parse_json('["caf\\udce9"]') == [os.fsdecode(b"caf\xe9")], "a file's name that is no UTF-8"
    with pytest.raises(ValueError, match="surrogate"):
        reading.parse_json('["caf\\udce9"]', file_names=False)
    assert reading.parse_json('["\\ud83d\\ude00", "\\\\ud800"]') == ["😀", "\\ud800"]


def test_texts_that_only_look_deep():
    assert reading.parse_json('{"a": "' + "[{" * 100 + '\\"[[["}') == {"a": "[{" * 100 + '"[[['}
    assert reading.parse_json(b"[[1, 2.5], {}]") == [[1, 2.5], {}]
    assert reading.parse_yaml("a: &x {b: 1e-3, c: 1}\nd: *x\ne: {<<: *x, c: 2}", numbers=True) == {
        "a": {"b": 1e-3, "c": 1},
        "d": {"b": 1e-3, "c": 1},
        "e": {"b": 1e-3, "c": 2},
    }
    assert reading.parse_yaml("a: 1e-3") == {"a": "1e-3"}


def npy(shape, descr="<f4", data=b"", version=(1, 0)) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": descr, "fortran_order": False, "shape": shape})
    return file.getvalue() + data


ARRAYS = {
    "more than there is": npy((2**40,), data=bytes(16)),
    "overflowing": npy((2**62, 2**62), data=bytes(16)),
    "negative": npy((-1,), data=bytes(16)),
    "objects": npy((1,), "|O", b"cos\nsystem\n(S'true'\ntR."),
    "dimensions": npy((1,) * 30, data=bytes(4)),
    "cut": npy((4,), data=bytes(15)),
    "longer": npy((4,), data=bytes(17)),
    "words": b"no array",
    "nothing": b"",
    "header": b"\x93NUMPY\x01\x00\xff\xff" + b"(" * 60_000,
}


@pytest.mark.parametrize("name", ARRAYS)
def test_hostile_arrays(tmp_path, name):
    (tmp_path / "a.npy").write_bytes(ARRAYS[name])
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("a.npy", ARRAYS[name])
    for read, path in ((arrays.npy, "a.npy"), (arrays.npz, "a.npz")):
        with pytest.raises(ConfigError, match="cannot be read") as caught:
            read(tmp_path / path)
        assert "\n" not in str(caught.value)


def test_honest_arrays_and_a_bomb(tmp_path):
    whole = {"a": np.arange(6.0).reshape(2, 3), "b": np.asfortranarray(np.eye(3)), "c": np.array("x"), "d": np.zeros(0)}
    np.savez(tmp_path / "a.npz", **whole)
    read = arrays.npz(tmp_path / "a.npz")
    assert read.keys() == whole.keys() and all(np.array_equal(read[name], whole[name]) for name in whole)
    np.save(tmp_path / "a.npy", whole["a"])
    assert np.array_equal(arrays.npy(tmp_path / "a.npy"), whole["a"])
    np.savez_compressed(tmp_path / "b.npz", a=np.zeros(10**7))
    with pytest.raises(ConfigError, match="unpacks to more"):
        arrays.npz(tmp_path / "b.npz")


@pytest.mark.parametrize(
    "descr", ["(" * 5000, "(" * 90, "'<f4', 'shape': (" + "-" * 9000 + "1,)"], ids=["open", "deep", "unary"]
)
def test_headers_of_arrays_that_are_no_literals(tmp_path, descr):
    header = f"{{'fortran_order': False, 'descr': {descr}}}\n".encode()
    (tmp_path / "a.npy").write_bytes(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)
    with pytest.raises(ConfigError, match="a.npy: cannot be read"):
        arrays.npy(tmp_path / "a.npy")
