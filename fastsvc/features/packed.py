"""Linear layers in bfloat16 whose weights lie in oneDNN's own order.

oneDNN multiplies by weights in blocks. Given plain ones it arranges them anew in each call, which takes as long as the
product with a hundred rows; here they are arranged once.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

ROWS = 512  # for which oneDNN chooses the order; other numbers of rows work too


class PackedLinear(nn.Module):
    """x [..., K] @ weight + bias → [..., N] in bfloat16; ``weight`` [N, K] as torch.nn.Linear has it."""

    def __init__(self, weight: Tensor, bias: Tensor | None = None):
        super().__init__()
        self.bias = None if bias is None else bias.detach().bfloat16()
        self.ops, self.packed = _operators(), weight.detach().bfloat16().contiguous()
        if self.ops is not None:
            try:
                self.packed = self.ops._reorder_linear_weight(self.packed, ROWS)
            except RuntimeError:  # a processor whose bfloat16 is emulated has no such order
                self.ops = None

    def forward(self, x: Tensor) -> Tensor:
        if self.ops is None:
            return F.linear(x, self.packed, self.bias)
        return self.ops._linear_pointwise(x, self.packed, self.bias, "none", [], "")


def pack(module: nn.Module) -> None:
    """Replace every torch.nn.Linear within a module."""
    for parent in list(module.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.Linear):
                setattr(parent, name, PackedLinear(child.weight, child.bias))


def _operators():
    """PyTorch's operators on weights in oneDNN's order, those of its compiler; None where this build lacks them."""
    ops = torch.ops.mkldnn
    names = "_reorder_linear_weight", "_linear_pointwise"
    return ops if torch.backends.mkldnn.is_available() and all(hasattr(ops, name) for name in names) else None
