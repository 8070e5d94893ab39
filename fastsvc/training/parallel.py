"""Data parallelism under torchrun: one process a device, gradients averaged after the backward pass.

PyTorch's DDP wrapper hooks the forward of one module, but a turn's loss calls several modules in its own way. So the
mean is taken here, explicitly, in one collective a turn.
"""

from __future__ import annotations

import contextlib
import datetime
import os

import torch
import torch.distributed as dist
from torch import Tensor, nn

# Processes other than the first wait in a collective while it validates and writes, which takes hours for large
# corpora. NCCL would end them after ten minutes, gloo after thirty.
PATIENCE = datetime.timedelta(days=2)


class ProcessGroup:
    """The processes of this run; alone, every method is free of communication."""

    def __init__(self, rank: int = 0, size: int = 1):
        self.rank, self.size = rank, size

    @property
    def first(self) -> bool:
        return self.rank == 0

    def broadcast(self, modules) -> None:
        """Copy the weights of rank 0 to all processes."""
        if self.size > 1:
            for module in modules:
                for tensor in [*module.parameters(), *module.buffers()]:
                    dist.broadcast(tensor.data, 0)

    def average_gradients(self, parameters: list[nn.Parameter], loss: Tensor) -> Tensor:
        """Replace each gradient by its mean over the processes; → mean loss. One collective.

        A parameter without a gradient in any process keeps none (AdamW would decay it otherwise).
        """
        if self.size == 1:
            return loss
        present = torch.tensor([p.grad is not None for p in parameters], dtype=torch.float32, device=loss.device)
        grads = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        flat = torch.cat([g.float().reshape(-1) for g in grads] + [present, loss.detach().float().reshape(1)])
        dist.all_reduce(flat)
        present = flat[-len(parameters) - 1 : -1]
        flat = flat / self.size
        offset = 0
        for parameter, has_gradient in zip(parameters, present.tolist()):
            count = parameter.numel()
            if has_gradient:
                parameter.grad = flat[offset : offset + count].view_as(parameter).to(parameter.dtype)
            offset += count
        return flat[-1]

    def maximum(self, *values: float) -> list[float]:
        """The largest of each value over the processes, which must agree on time and on stopping."""
        if self.size == 1:
            return list(values)
        device = "cuda" if dist.get_backend() == "nccl" else "cpu"
        tensor = torch.tensor(values, dtype=torch.float64, device=device)
        dist.all_reduce(tensor, op=dist.ReduceOp.MAX)
        return tensor.tolist()


def mean(value: Tensor) -> Tensor:
    """The mean of a tensor over the processes of this run; with several, all must call it."""
    if not (dist.is_available() and dist.is_initialized()):
        return value
    value = value.detach().clone()
    dist.all_reduce(value)
    return value / dist.get_world_size()


@contextlib.contextmanager
def session(device: torch.device):
    """Join the processes that torchrun started (or go alone): yields (group, the device of this process)."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1 or not dist.is_available():
        yield ProcessGroup(), device
        return
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=PATIENCE)
    try:
        yield ProcessGroup(dist.get_rank(), size), device
    finally:
        dist.destroy_process_group()
