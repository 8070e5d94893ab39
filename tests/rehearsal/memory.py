"""Memory of the stand-in GPU: tensors of the device cuda:0 whose bytes lie in this machine's memory.

PyTorch's build for CPUs makes such tensors from DLPack's description of one. An operation is computed on an alias of
each, a CPU's tensor over the same bytes. What was never written reads as NaN.
"""

from __future__ import annotations

import ctypes

import torch

ALIGNMENT, HEAD, BYTE = 256, 512, torch.uint8  # bytes of an allocation; of what is before it
CUDA = torch.device("cuda", 0)
BELOW = torch._C.DispatchKeySet(torch._C.DispatchKey.CPU)  # kernels that only make views do not look at the device
_KIND_CUDA, _KIND_BYTE = 2, 1  # of DLPack


class _Description(ctypes.Structure):
    """DLPack's DLManagedTensor."""

    _fields_ = [
        ("data", ctypes.c_void_p),
        ("device", ctypes.c_int32 * 2),
        ("dims", ctypes.c_int32),
        ("dtype", ctypes.c_uint8 * 4),
        ("shape", ctypes.c_void_p),
        ("strides", ctypes.c_void_p),
        ("offset", ctypes.c_uint64),
        ("context", ctypes.c_void_p),
        ("deleter", ctypes.c_void_p),
    ]


_libc = ctypes.CDLL(None)
_libc.malloc.restype, _libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
_FREE = ctypes.cast(_libc.free, ctypes.c_void_p).value
_capsule = ctypes.pythonapi.PyCapsule_New
_capsule.restype, _capsule.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]


class Allocated:
    """Bytes allocated since :func:`reset`; what was freed meanwhile is not taken off."""

    total = since = 0


def allocate(size: int) -> torch.Tensor:
    """Bytes [size] of the device, all bits set: NaN in each floating type."""
    held = -(-max(1, size) // ALIGNMENT) * ALIGNMENT
    start = _libc.malloc(HEAD + held + ALIGNMENT)  # description and bytes in one piece, which free() ends
    if not start:
        raise torch.OutOfMemoryError(f"CUDA out of memory. Tried to allocate {size / 2**30:.2f} GiB.")
    data = -(-(start + HEAD) // ALIGNMENT) * ALIGNMENT
    ctypes.memset(data, 0xFF, held)  # as unwritten() does
    sizes = (ctypes.c_int64 * 2).from_address(start + ALIGNMENT)
    sizes[:] = (size, 1)
    one = _Description.from_address(start)
    one.data, one.dims, one.offset, one.context, one.deleter = data, 1, 0, None, _FREE
    one.device[:], one.dtype[:] = (_KIND_CUDA, 0), (_KIND_BYTE, 8, 1, 0)
    one.shape, one.strides = start + ALIGNMENT, start + ALIGNMENT + 8
    Allocated.since += held
    return torch.utils.dlpack.from_dlpack(_capsule(start, b"dltensor", None))


def unwritten(tensor: torch.Tensor) -> torch.Tensor:
    """The tensor, whose storage is as if nobody had written to it."""
    storage = tensor.untyped_storage()
    ctypes.memset(storage.data_ptr(), 0xFF, storage.nbytes())
    return tensor


def storage_copy(storage):
    """Of torch.UntypedStorage.clone, which deep copies of modules call."""
    copy = allocate(storage.nbytes()) if storage.device.type == "cuda" else torch.empty(storage.nbytes(), dtype=BYTE)
    ctypes.memmove(copy.data_ptr(), storage.data_ptr(), storage.nbytes())
    return copy.untyped_storage()


def on_cpu(tensor: torch.Tensor) -> torch.Tensor:
    """The CPU's tensor over the same bytes. Valid as long as ``tensor`` is."""
    storage = tensor.untyped_storage()
    held = -(-max(1, storage.nbytes()) // ALIGNMENT) * ALIGNMENT
    raw = torch.frombuffer((ctypes.c_char * held).from_address(storage.data_ptr()), dtype=torch.uint8)
    return raw.view(tensor.dtype).as_strided(tensor.shape, tensor.stride(), tensor.storage_offset())


def on_device(tensor: torch.Tensor) -> torch.Tensor:
    """A copy on the device, with the same strides."""
    shape, strides = tensor.shape, tensor.stride()
    span = 1 + sum((n - 1) * stride for n, stride in zip(shape, strides)) if tensor.numel() else 0
    raw = allocate(span * tensor.element_size())
    if tensor.dtype != torch.uint8:
        raw = torch.ops.aten.view.dtype(raw, tensor.dtype)
    copy = torch.ops.aten.as_strided.default.redispatch(BELOW, raw, shape, strides, 0)
    if tensor.numel():
        on_cpu(copy).copy_(tensor)
    return copy
