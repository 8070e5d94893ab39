"""Opening files that strangers made: nothing in them is executed, and no size in them is believed."""

from __future__ import annotations

import pickle
import re
import threading
import zipfile
from pathlib import Path

import torch
from torch import Tensor

from fastsvc.errors import CheckpointError

MAGIC = (b"PK", b"\x80")  # archives, and pickles of the serialisation before them
PICKLE_LIMIT = 64 * 2**20  # bytes of the index of a checkpoint; real ones stay below one megabyte


class Inert:
    """Stands for an object of someone else's class: made of anything, keeps nothing, does nothing."""

    __slots__ = ()

    def __new__(cls, *args):
        return super().__new__(cls)

    def __init__(self, *args):
        pass

    def __setstate__(self, state):
        pass


# What lies beside the tensors in checkpoints of fairseq and of trainers that save their settings. Torch's restricted
# unpickler compares whole names and takes ours in their place; those packages are not imported, even if present.
_INERT_NAMES = (
    "argparse.Namespace",
    "builtins.bool",
    "builtins.dict",
    "builtins.float",
    "builtins.int",
    "builtins.list",
    "builtins.str",
    "collections.defaultdict",
    "fairseq.data.dictionary.Dictionary",
    "omegaconf.base.ContainerMetadata",
    "omegaconf.base.Metadata",
    "omegaconf.dictconfig.DictConfig",
    "omegaconf.listconfig.ListConfig",
    "omegaconf.nodes.AnyNode",
    "typing.Any",
)
_INERT = [(Inert, name) for name in _INERT_NAMES]
_ONE_AT_A_TIME = threading.Lock()  # torch keeps the names in one place for all threads


def load(path: Path) -> dict:
    """The dict inside a torch or safetensors file, on the CPU, memory-mapped where the format allows it.

    Objects that are neither tensors nor plain values are refused, or come back as :class:`Inert`.
    """
    if not path.is_file():
        what = "is a folder, not a checkpoint file" if path.is_dir() else "does not exist"
        raise CheckpointError(f"{path} {what}", "check the path")
    try:
        size = path.stat().st_size
        if size == 0:
            raise CheckpointError(f"{path} is empty", "fetch or train it again")
        if path.suffix == ".safetensors":
            return _load_safetensors(path)
        with open(path, "rb") as file:
            if not file.read(2).startswith(MAGIC):
                raise CheckpointError(f"{path} is no torch file", "give a checkpoint")
        zipped = zipfile.is_zipfile(path)
        if zipped:
            _check_archive(path, size)
        with _ONE_AT_A_TIME, torch.serialization.safe_globals(_INERT):
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
    except PermissionError:
        raise CheckpointError(f"{path} may not be read", "check its permissions") from None
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path} holds more than tensors and plain values, or is damaged: {_refused(error)}",
            "save its state dict alone, from a program that you trust",
        ) from None
    except MemoryError:
        raise CheckpointError(f"{path} asks for more memory than there is", "do not trust it") from None
    except (RuntimeError, EOFError, ValueError, KeyError, TypeError, AttributeError, IndexError, OSError) as error:
        raise CheckpointError(
            f"{path} cannot be read as a torch file: {_first_line(error)}", "fetch or train it again"
        ) from None
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} holds a {type(content).__name__}, not a dict", "give a training checkpoint")
    return content


def _check_archive(path: Path, size: int) -> None:
    try:
        entries = zipfile.ZipFile(path).infolist()
    except zipfile.BadZipFile:
        raise CheckpointError(f"{path} is a damaged archive", "fetch or train it again") from None
    if sum(entry.file_size for entry in entries) > size:
        raise CheckpointError(f"{path} unpacks to more than its own size, which torch never writes", "do not trust it")
    if any(entry.filename.endswith("data.pkl") and entry.file_size > PICKLE_LIMIT for entry in entries):
        raise CheckpointError(f"{path} has an index of more than {PICKLE_LIMIT >> 20} MB", "do not trust it")


def _load_safetensors(path: Path) -> dict[str, Tensor]:
    """The package checks that names, shapes and offsets tile the file exactly."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, ValueError, OverflowError, KeyError, AttributeError) as error:
        raise CheckpointError(
            f"{path} cannot be read as a safetensors file: {_first_line(error)}", "fetch it again"
        ) from None


def _refused(error: pickle.UnpicklingError) -> str:
    """The class or function that the file asks for; torch's text would advise to allow it."""
    asked = re.search(r"GLOBAL (\S+)", str(error)) or re.search(r"Unpickler error:\s*(.+)", str(error))
    return asked[1][:200] if asked else _first_line(error)


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
        if value.layout is not torch.strided or value.is_nested or value.device.type != "cpu":
            raise CheckpointError(f"{path}: `{key}.{name}` is no plain array of numbers", "give a training checkpoint")
        if value.numel() * value.element_size() > value.untyped_storage().nbytes():
            raise CheckpointError(f"{path}: `{name}` claims shape {tuple(value.shape)}, more than the file holds")
    return state


def count(content: dict, key: str) -> int:
    """content[key], a number of training steps, 0 where there is none: only told, so nothing is refused for it."""
    value = content.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) else 0
