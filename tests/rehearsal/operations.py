"""PyTorch's operations on tensors of the stand-in GPU, computed by the CPU over the same memory."""

from __future__ import annotations

import torch
from torch.utils._pytree import tree_map

from rehearsal import memory, work
from rehearsal.memory import BELOW, on_cpu, on_device

VIEWS = {"view", "as_strided", "_reshape_alias", "unfold", "set_", "alias", "detach"}  # no byte is read
VIEWS |= {"view_as_real", "view_as_complex", "_conj", "_neg_view"}
WAITING = {"_local_scalar_dense", "equal", "nonzero", "masked_select", "is_nonzero"}  # the host must know the result
MAKING = {"empty", "empty_strided", "empty_like", "new_empty", "new_empty_strided"}  # nothing runs on a GPU for these
MIXED = {"index", "index_put_", "_index_put_impl_"}  # take indices from the host
# Operations that PyTorch takes apart in another way for a GPU, into parts that the CPU has not.
WHOLE = ("convolution", "scaled_dot_product_attention", "native_layer_norm", "lstm.input", "gru.input")
_libraries: list = []  # their registrations end with them


def install() -> None:
    fallback, own = torch.library.Library("_", "IMPL"), torch.library.Library("aten", "IMPL")
    fallback.fallback(compute, "CUDA")
    own.impl("copy_", copy, "CUDA")
    own.impl("record_stream", lambda tensor, stream: None, "CUDA")
    for name in WHOLE:
        packet, _, overload = name.partition(".")
        operation = getattr(getattr(torch.ops.aten, packet), overload or "default")
        own.impl(name, _whole(operation), "CUDA")
    _libraries.extend((fallback, own))


def _whole(operation):
    return lambda *args, **named: compute(operation, *args, **named)


def compute(operation, *args, **named):
    """An operation whose tensors, or whose results, are on the device."""
    name = operation._schema.name.partition("::")[2]
    if name in VIEWS:
        return operation.redispatch(BELOW, *args, **named)
    if name in WAITING:
        work.wait(name)
    given = _Given(operation, name, args, named)
    if name in MAKING:
        return memory.unwritten(given.results(given.run()))
    made: list = []

    def run() -> None:
        result = given.run()
        if not made:
            made.append(given.results(result))
        else:
            given.write(result, made[0])

    work.do(name, run)
    return made[0]


class _Given:
    """An operation's arguments, and how its results become the device's."""

    def __init__(self, operation, name: str, args, named):
        self.operation = operation
        self.args = tuple(_tensor(one, about) for one, about in zip(args, operation._schema.arguments))
        self.named = {key: value for key, value in named.items() if key != "pin_memory"}
        tensors = [one for one in torch.utils._pytree.tree_leaves((args, self.named)) if isinstance(one, torch.Tensor)]
        if (
            name not in MIXED
            and any(not one.is_cuda and one.dim() for one in tensors)
            and any(one.is_cuda for one in tensors)
        ):
            raise RuntimeError(f"Expected all tensors to be on the same device, but found cuda:0 and cpu! ({name})")

    def run(self):
        """The CPU's results."""
        self.originals = {}
        args, named = tree_map(self._to_cpu, (self.args, self.named))
        return self.operation(*args, **named)

    def _to_cpu(self, value):
        if isinstance(value, torch.Tensor) and value.is_cuda:
            alias = on_cpu(value) if value.untyped_storage().nbytes() else torch.empty(value.shape, dtype=value.dtype)
            self.originals[id(alias)] = alias, value
            return alias
        return torch.device("cpu") if isinstance(value, torch.device) and value.type == "cuda" else value

    def results(self, result):
        """The same on the device; what was written in place is the given tensor."""
        return tree_map(self._to_device, result)

    def _to_device(self, value):
        if not isinstance(value, torch.Tensor):
            return value
        _, original = self.originals.get(id(value), (None, None))
        if original is None:
            return on_device(value)
        if value.numel() and not original.untyped_storage().nbytes():  # out= of no size
            torch.ops.aten.set_.source_Tensor.redispatch(BELOW, original, on_device(value))
        return original

    def write(self, result, made) -> None:
        """A replay's results into the memory of the first ones."""
        leaves = torch.utils._pytree.tree_leaves
        for value, first in zip(leaves(result), leaves(made), strict=True):
            if isinstance(value, torch.Tensor) and id(value) not in self.originals:
                on_cpu(first).copy_(value)


def _tensor(value, about):
    """Numbers beside a tensor, as in ``x * 2``, arrive as numbers where an operation wants a tensor."""
    wanted = isinstance(value, (int, float, complex)) and str(about.type) == "Tensor"
    if not wanted:
        return value
    return torch.tensor(value, dtype=torch.float64 if isinstance(value, float) else None)


def copy(target: torch.Tensor, source: torch.Tensor, non_blocking: bool = False) -> torch.Tensor:
    """Between devices, too; the host waits unless its memory is pinned."""
    for host in (target, source):
        if not host.is_cuda and host.numel() and host.dim() and not (non_blocking and host.is_pinned()):
            work.wait("copy_")

    def run() -> None:
        one, other = (on_cpu(tensor) if tensor.is_cuda else tensor for tensor in (target, source))
        one.copy_(other)

    work.do("copy_", run)
    return target
