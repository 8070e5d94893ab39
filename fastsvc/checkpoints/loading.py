"""Opening files that strangers made: nothing in them is executed, and no size in them is believed."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path

import torch
from torch import Tensor

from fastsvc.errors import CheckpointError

PICKLE_LIMIT = 64 * 2**20  # bytes of the index of a checkpoint; real ones stay below one megabyte


def load(path: Path) -> dict:
    """The dict inside a torch file, on the CPU, memory-mapped where the format allows it."""
    if not path.is_file():
        what = "is a folder, not a checkpoint file" if path.is_dir() else "does not exist"
        raise CheckpointError(f"{path} {what}", "check the path")
    try:
        size = path.stat().st_size
        if size == 0:
            raise CheckpointError(f"{path} is empty", "fetch or train it again")
        if path.suffix == ".safetensors":
            return _safetensors(path)
        zipped = zipfile.is_zipfile(path)
        if zipped:
            _check_archive(path, size)
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
    except PermissionError:
        raise CheckpointError(f"{path} may not be read", "check its permissions") from None
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path} holds more than tensors and plain values, or is damaged: {_first_line(error)}",
            "save its state dict alone, from a program that you trust",
        ) from None
    except (RuntimeError, EOFError, ValueError, KeyError, TypeError, AttributeError, IndexError, OSError) as error:
        raise CheckpointError(
            f"{path} cannot be read as a torch file: {_first_line(error)}", "fetch or train it again"
        ) from None
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} holds a {type(content).__name__}, not a dict", "give a training checkpoint")
    return content


def _safetensors(path: Path) -> dict:
    """A flat dict of tensors; the format holds no code, and its reader believes no size."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except SafetensorError as error:
        raise CheckpointError(f"{path} is damaged: {_first_line(error)}", "fetch or train it again") from None


def _check_archive(path: Path, size: int) -> None:
    try:
        entries = zipfile.ZipFile(path).infolist()
    except zipfile.BadZipFile:
        raise CheckpointError(f"{path} is a damaged archive", "fetch or train it again") from None
    if sum(entry.file_size for entry in entries) > size:
        raise CheckpointError(f"{path} unpacks to more than its own size, which torch never writes", "do not trust it")
    if any(entry.filename.endswith("data.pkl") and entry.file_size > PICKLE_LIMIT for entry in entries):
        raise CheckpointError(f"{path} has an index of more than {PICKLE_LIMIT >> 20} MB", "do not trust it")


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


def state_dict(content: dict, key: str, path: Path) -> dict[str, Tensor]:
    """content[key] as named tensors, none of them larger than the memory that really backs it."""
    state = content.get(key)
    if not isinstance(state, dict) or not state:
        raise CheckpointError(f"{path}: `{key}` is not a dict of tensors", "give a training checkpoint")
    for name, value in state.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise CheckpointError(f"{path}: `{key}.{name}` is no tensor", "give a training checkpoint")
        if value.numel() * value.element_size() > value.untyped_storage().nbytes():
            raise CheckpointError(f"{path}: `{name}` claims shape {tuple(value.shape)}, more than the file holds")
    return state
