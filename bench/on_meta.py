"""What a GPU would spend on PyTorch's operations, counted on the device "meta": launches, bytes, operations."""

from __future__ import annotations

from collections.abc import Callable

COPY_BYTES_S = 4.3e12  # read and written: one H200, measured (docs/performance.md)
L2_BYTES_S, L2_HOLDS = 30 * 132 * 1.75e9, 40e6  # as in bench/roofline.py; what is no larger stays in the L2 cache
FP32_FLOPS = 0.5 * 67e12  # half of what NVIDIA states: products without tensor cores, of odd sizes
HALF_FLOPS = 0.6 * 790e12  # 0.6 of a large product, measured, as these are smaller
LAUNCH_US = 1.3  # of one graph, as in bench/roofline.py
# Operations that start nothing
VIEWS = {
    "view",
    "expand",
    "slice",
    "select",
    "unsqueeze",
    "squeeze",
    "t",
    "transpose",
    "permute",
    "as_strided",
    "unbind",
}
VIEWS |= {"unfold", "alias", "detach", "split", "split_with_sizes", "empty", "new_empty", "_unsafe_view", "lift_fresh"}
PRODUCTS = {"mm", "bmm", "addmm", "baddbmm", "mv"}


def counting():
    """A mode that adds up what a GPU would spend on the operations within it: ``us`` in a graph, ``launches``."""
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode

    class Counting(TorchDispatchMode):
        us, launches, flops, moved = 0.0, 0, 0.0, 0.0

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            out = func(*args, **(kwargs or {}))
            name = func.name().removeprefix("aten::").partition(".")[0].rstrip("_")
            if name in VIEWS:
                return out
            tensors = [one for one in _flat((args, out)) if isinstance(one, torch.Tensor)]
            moved = sum(one.nbytes for one in tensors)
            flops, rate = _product(name, args)
            launches = 1
            if flops and any(_overlaps(one) for one in tensors):  # a product copies rows that overlap
                launches, moved = 2, moved + sum(2 * one.nbytes for one in tensors if _overlaps(one))
            self.launches += launches
            self.moved, self.flops = self.moved + moved, self.flops + flops
            bytes_s = L2_BYTES_S if moved <= L2_HOLDS else COPY_BYTES_S
            self.us += LAUNCH_US * launches + 1e6 * max(moved / bytes_s, flops / rate)
            return out

    return Counting()


def _flat(value):
    if isinstance(value, (tuple, list)):
        for one in value:
            yield from _flat(one)
    else:
        yield value


def _overlaps(tensor) -> bool:
    return tensor.dim() == 2 and tensor.stride(1) == 1 and 0 < tensor.stride(0) < tensor.shape[1]


def _product(name: str, args) -> tuple[float, float]:
    """(operations, operations a second) of a product of matrices or an attention; (0, 1) for other operations."""
    if "scaled_dot_product" in name:
        q, k = args[:2]
        return 4.0 * q.numel() * k.shape[-2], HALF_FLOPS
    if name not in PRODUCTS:
        return 0.0, 1.0
    a, b = args[-2:] if name.startswith(("addmm", "baddbmm")) else args[:2]
    columns = b.shape[-1] if b.dim() > 1 else 1
    return 2.0 * a.numel() * columns, HALF_FLOPS if a.itemsize == 2 else FP32_FLOPS


def counted(run: Callable[[], object]) -> dict:
    """{"ms", "launches", "GFLOP", "MB"} of what ``run`` does on the device "meta"."""
    run()  # tables are made
    with counting() as mode:
        run()
    return {
        "ms": round(mode.us / 1e3, 3),
        "launches": mode.launches,
        "GFLOP": round(mode.flops / 1e9, 2),
        "MB": round(mode.moved / 1e6, 1),
    }
