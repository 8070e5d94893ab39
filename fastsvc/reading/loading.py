"""Opening strangers' checkpoints: nothing in them is executed, and no size in them is trusted."""

from __future__ import annotations

import os
import pickle
import re
import threading
import warnings
from pathlib import Path

import torch
from torch import Tensor

from fastsvc import reading
from fastsvc.errors import CheckpointError
from fastsvc.reading import archive, lookalikes, safetensors
from fastsvc.reading.inert import STAND_INS

DEPTH, VALUES = 64, 5_000_000  # of nested containers, and values in them, counted at every occurrence
SHARED = 4  # times that the tensors of a state dict may be larger than their storages
# Torch's restricted unpickler compares whole names and takes our stand-ins; it holds them for all threads.
_ONE_AT_A_TIME = threading.Lock()


def load(path: Path, mapped: bool = True) -> dict:
    """The dict inside a torch or safetensors file, on the CPU; ``mapped``: memory-mapped where the format allows it.

    Objects that are neither tensors nor plain values are refused, or returned as inert (reading/inert.py).
    Raises CheckpointError, before memory is allocated for the sizes that the file claims.
    """
    path = Path(path)
    with reading.open_file(path, CheckpointError) as file:
        size = os.fstat(file.fileno()).st_size
        if size == 0:
            raise CheckpointError(f"{path} is empty", "download or train the checkpoint again")
        head = file.read(lookalikes.HEAD)
        if safetensors.looks_like(head, size):
            return safetensors.load(path)
        lookalike = lookalikes.model(head, path.suffix)
        if lookalike:
            raise CheckpointError(f"{path} is not a torch file, but {lookalike[0]}", lookalike[1])
        if path.suffix == ".safetensors" and not head.startswith((archive.ZIP, archive.OLD)):
            raise safetensors.damaged(path)
        file.seek(0)
        zipped = archive.check(file, path, size)
    mapped = mapped and zipped and path.suffix != ".safetensors"  # torch goes by that name, and not by the content
    try:
        with _ONE_AT_A_TIME, torch.serialization.safe_globals(STAND_INS), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's warnings about pickles; the file was checked
            if mapped:
                content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
            else:
                with reading.open_file(path, CheckpointError) as file:
                    content = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path} holds more than tensors and plain values, or is damaged: {_refused(error)}",
            "save its state dict alone, from a program that you trust",
        ) from None
    except MemoryError:
        raise CheckpointError(f"{path} asks for more memory than there is", "do not trust the file") from None
    except Exception as error:  # a damaged file can make torch raise anything
        raise CheckpointError(
            f"{path} cannot be read as a torch file: {_first_line(error)}", "download or train the checkpoint again"
        ) from None
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} holds a {type(content).__name__}, not a dict", "name a training checkpoint")
    _check_nesting(content, path)
    return content


def _check_nesting(content: dict, path: Path) -> None:
    """Raises CheckpointError for containers that hold themselves, or each other many times: a search might not end."""
    remaining = VALUES

    def count(value, depth: int) -> None:
        nonlocal remaining
        remaining -= 1
        if depth > DEPTH or remaining < 0:
            raise CheckpointError(
                f"{path} nests deeper than {DEPTH}, or holds more than {VALUES} values", "do not trust the file"
            )
        if isinstance(value, dict):
            value = [part for pair in value.items() for part in pair]
        if isinstance(value, (list, tuple, set)):
            for part in value:
                if isinstance(part, (dict, list, tuple, set)):
                    count(part, depth + 1)
                else:
                    remaining -= 1

    count(content, 0)


def _refused(error: pickle.UnpicklingError) -> str:
    """The class or function that the file needs; torch's own text would advise to allow it."""
    match = re.search(r"GLOBAL (\S+)", str(error)) or re.search(r"Unpickler error:\s*(.+)", str(error))
    return match[1][:200] if match else _first_line(error)


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


def state_dict(content: dict, key: str, path: Path) -> dict[str, Tensor]:
    """content[key] as named tensors, none larger than its storage. Raises CheckpointError."""
    state = content.get(key)
    if not isinstance(state, dict) or not state:
        raise CheckpointError(f"{path}: `{key}` is not a dict of tensors", "name a training checkpoint")
    claimed, backed = 0, {}
    for name, value in state.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise CheckpointError(f"{path}: `{key}.{str(name)[:200]}` is not a tensor", "name a training checkpoint")
        if value.layout is not torch.strided or value.is_nested or value.device.type != "cpu":
            raise CheckpointError(
                f"{path}: `{key}.{name}` is not a plain array of numbers", "name a training checkpoint"
            )
        size, storage = value.numel() * value.element_size(), value.untyped_storage()
        if size > storage.nbytes():
            raise CheckpointError(f"{path}: `{name}` claims shape {tuple(value.shape)}, more than the file holds")
        claimed += size
        backed[storage.data_ptr()] = storage.nbytes()
    if claimed > SHARED * sum(backed.values()):  # each would be copied
        raise CheckpointError(f"{path}: the tensors of `{key}` share memory, and claim more than the file holds")
    return state


def finite(state: dict[str, Tensor], path: Path, upstream=lambda name: name) -> None:
    """Raises CheckpointError for the first tensor with NaN or infinities in it; ``upstream``: its name in the file."""
    for name, value in state.items():
        if value.is_floating_point() and value.numel() and not all(map(torch.isfinite, value.aminmax())):  # keeps NaN
            raise CheckpointError(
                f"{path}: {upstream(name)} holds values that are not finite",
                "the training diverged: take an earlier checkpoint",
            )


def count(content: dict, key: str) -> int:
    """content[key], a number of training steps; 0 where it is missing or odd, because it is only displayed."""
    value = content.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63 else 0
