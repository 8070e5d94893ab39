"""Files that are something else than their name says are named for what they are, with what to do."""

import io
import tarfile
import zipfile

import formats
import numpy as np
import pytest
import torch
from safetensors.torch import save

from fastsvc.audio import io as audio_io
from fastsvc.build.part import read_part
from fastsvc.checkpoints import read
from fastsvc.errors import AudioError, CheckpointError
from fastsvc.features.f0 import pitch_weights
from fastsvc.reading import loading, lookalikes

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 567824\n"
PAGE = b"\xef\xbb\xbf\n<!DOCTYPE html>\n<html><head><title>Sign in\n to Hub</title></head><body></body></html>"


def tar(name: str = "model/weights.pt") -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        archive.addfile(tarfile.TarInfo(name))
    return data.getvalue()


EVERYWHERE = {  # bytes: what the line says, and what to do
    "pointer": (POINTER, "Git LFS pointer", "git lfs pull"),
    "page": (PAGE, "web page .HTML. (“Sign in to Hub”)".replace("(", r"\(").replace(")", r"\)"), "download the file"),
    "html without doctype": (b"<html lang=en>", "web page", "download the file"),
    "refusal of a store": (
        b'<?xml version="1.0"?><Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>',
        "Access Denied",
        "download the file",
    ),
    "server's message": (b'{"error": "Repository not found"}', "Repository not found", "download the file"),
    "zeros": (bytes(5000), "nothing but zeros", "again"),
    "gzip": (b"\x1f\x8b\x08\x00" + bytes(20), "gzip", "unpack it"),
    "tar": (tar(), "tar archive", "unpack it"),
    "7z": (b"7z\xbc\xaf\x27\x1c" + bytes(20), "7-Zip", "unpack it"),
    "rar": (b"Rar!\x1a\x07\x01\x00" + bytes(20), "RAR", "unpack it"),
    "mac's other half": (b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X", "AppleDouble", r"without \._"),
    "pdf": (b"%PDF-1.7\n", "PDF", "download"),
}
MODELS = {
    "text": (b"hello, I am a model", "a text .“hello, I am", "checkpoint"),
    "onnx": (b'\x08\x07\x12\x07pytorch\x1a\x052.0.1"\x00', "ONNX graph", "exported from"),
    "index": (b"IxFI\x00\x03\x00\x00" + bytes(30), "index of RVC", "voice's .pth"),
    "index of lists": (b"IwFl\x00\x03\x00\x00" + bytes(30), "index of RVC", "voice's .pth"),
    "recording": (b"RIFF\x24\x00\x00\x00WAVEfmt ", "WAV", "checkpoint"),
    "hdf5": (b"\x89HDF\r\n\x1a\n" + bytes(9), "HDF5", "PyTorch"),
    "torch's oldest": (tar("sys_info"), "torch file of before 2017", "torch of that time"),
    "npy": (b"\x93NUMPY\x01\x00v\x00", "numpy", "PyTorch"),
}


@pytest.mark.parametrize("name", [*EVERYWHERE, *MODELS])
def test_given_for_a_model(tmp_path, name):
    content, what, remedy = (EVERYWHERE | MODELS)[name]
    for file, reader in (
        ("voice.pt", read),
        ("voice.safetensors", read),
        ("vocoder.ckpt", lambda path: read_part(path, "vocoder", "a vocoder")),
        ("hubert.bin", lambda path: read_part(path, "content", "a content encoder")),
        ("rmvpe.pt", lambda path: pitch_weights.read("rmvpe", path)),
    ):
        (tmp_path / file).write_bytes(content)
        with pytest.raises(CheckpointError, match=what) as caught:
            reader(tmp_path / file)
        assert file in str(caught.value) and "\n" not in str(caught.value)
        with pytest.raises(CheckpointError, match=remedy):
            reader(tmp_path / file)


@pytest.mark.parametrize("name", EVERYWHERE)
def test_given_for_a_recording(tmp_path, name):
    content, what, remedy = EVERYWHERE[name]
    (tmp_path / "song.wav").write_bytes(content)
    for reader in (audio_io.probe, audio_io.read):
        with pytest.raises(AudioError, match=what) as caught:
            reader(tmp_path / "song.wav")
        assert "\n" not in str(caught.value)
    with pytest.raises(AudioError, match=remedy):
        audio_io.probe(tmp_path / "song.wav")


def test_archives_of_a_recording(tmp_path):
    with zipfile.ZipFile(tmp_path / "song.wav", "w") as archive:
        archive.writestr("song.wav", b"RIFF")
    with pytest.raises(AudioError, match="zip archive .unpack it"):
        audio_io.probe(tmp_path / "song.wav")


@pytest.mark.parametrize("name", ["pointer", "page", "server's message", "refusal of a store"])
def test_given_for_a_configuration(tmp_path, name):
    content, what, _ = EVERYWHERE[name]
    path = formats.comosvc(tmp_path)
    (tmp_path / "config.yaml").write_bytes(content)
    with pytest.raises(CheckpointError, match=f"config.yaml.*({what}|server's message)"):
        read(path)


def zipped(path, **entries: bytes):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(name.replace("__", "/").replace("_dot_", "."), content)
    return path


@pytest.mark.parametrize(
    "entries, what, remedy",
    [
        ({"voice__model_dot_pt": bytes(500), "voice__config_dot_yaml": b"a"}, "a zip of a folder", "voice/model.pt"),
        ({"a_dot_pth": b"x", "b_dot_pth": b"y"}, "a zip of a folder", "name the checkpoint"),
        ({"notes_dot_txt": b"x", "voice_dot_zip": b"x"}, "a zip of a folder", "unpack it, then name voice.zip"),
        ({"notes_dot_txt": b"x"}, "a zip archive without a model", "name a checkpoint"),
        ({"a_dot_npy": b"x", "b_dot_npy": b"x"}, "npz", "PyTorch"),
        ({"m__code__a_dot_py": b"x", "m__constants_dot_pkl": b"x", "m__data_dot_pkl": b""}, "TorchScript", "made from"),
    ],
)
def test_zip_archives_that_are_no_checkpoints(tmp_path, entries, what, remedy):
    path = zipped(tmp_path / "voice.zip", **entries)
    for reader in (read, lambda path: read_part(path, "vocoder", "a vocoder")):
        with pytest.raises(CheckpointError, match=what) as caught:
            reader(path)
        assert remedy in str(caught.value)


def test_what_is_right_is_not_taken_for_something_else():
    """The first bytes of safetensors are a length, which may be any sign; torch files and configurations pass."""
    header = save({"w": torch.zeros(2)})
    assert lookalikes.model(header, ".safetensors") is None
    for content in (b"PK\x03\x04\x00\x00", b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."):
        assert lookalikes.model(content + bytes(9), ".pt") is None
    for content in (b'{"data": 1}', b"data:\n  hop_length: 128\n", b"", b"\0\0", np.arange(9).tobytes()):
        assert lookalikes.not_json_or_yaml(content) is None
    assert lookalikes.model(b"IMPORTANT: not an index", "")[0].startswith("a text")
    assert lookalikes.document(b"# <html> is a word\n") is None


def test_a_safetensors_file_whose_length_is_a_sign(tmp_path):
    """A header of 35615 bytes begins as gzip does."""
    state = {"decoder.x": torch.zeros(1)}
    plain = save(state)
    length = int.from_bytes(plain[:8], "little")
    padded = plain[8 : 8 + length].ljust(0x8B1F)
    (tmp_path / "a.safetensors").write_bytes((0x8B1F).to_bytes(8, "little") + padded + plain[8 + length :])
    assert (tmp_path / "a.safetensors").read_bytes().startswith(b"\x1f\x8b")
    with pytest.raises(CheckpointError, match="of no known format .its keys: decoder.x"):
        read(tmp_path / "a.safetensors")


@pytest.mark.parametrize("suffix", [".onnx", ".index", ".safetensors", ".txt", ""])
def test_a_checkpoint_is_known_by_its_content_whatever_its_name(tmp_path, suffix):
    path = tmp_path / f"renamed{suffix}"
    torch.save({"model": {"weight": torch.arange(3.0)}}, path)
    assert loading.load(path)["model"]["weight"].tolist() == [0, 1, 2]
