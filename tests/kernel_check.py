"""How kernels are compared: Dao's rule, poisoned outputs, batches of unequal lengths."""

import torch

GPU = torch.cuda.is_available()
DEVICE = "cuda" if GPU else "cpu"
ARCH = 10 * torch.cuda.get_device_capability()[0] + torch.cuda.get_device_capability()[1] if GPU else 90
torch.backends.cudnn.allow_tf32 = False  # the specification's convolutions, on a GPU, in full float32
# the interpreter computes bfloat16 on its raw bits, so that type needs a GPU
DTYPES = [torch.float32, torch.float16]


def random(*shape, dtype=torch.float32, scale=1.0):
    """Normal numbers, drawn in float32 and rounded to dtype."""
    return (torch.randn(*shape) * scale).to(dtype).to(DEVICE)


def poisoned(*shape, dtype=torch.float32):
    """An output in which every element that is not written shows."""
    return torch.full(shape, float("nan"), dtype=dtype, device=DEVICE)


def lengths_of(batch, frames):
    """[frames], or of a batch: all, some, and none."""
    given = [frames, frames // 2 + 1, 0, frames - 1][:batch]
    return torch.tensor([max(0, n) for n in given], dtype=torch.int32, device=DEVICE)


def doubled(*values):
    """The arguments of a reference in float64."""
    return [v.double() if isinstance(v, torch.Tensor) and v.is_floating_point() else v for v in values]


def check(out, reference, *arguments, dtype=None, eps=None, depth=1):
    """|out − exact| ≤ 2 |torch in out's type − exact| + eps, where exact is the reference in float64.

    ``arguments`` are the kernel's own; floating ones are brought to ``dtype`` (out's by default) for torch.
    ``eps``: of that type by default, and in float32 times √``depth``, the terms of a sum that is rounded after each of
    them, as "ieee" products are on a GPU; PyTorch adds in blocks, so that its own error says nothing of such a sum.
    """
    dtype = dtype or out.dtype
    exact = reference(*doubled(*arguments))
    low = reference(*[v.to(dtype) if isinstance(v, torch.Tensor) and v.is_floating_point() else v for v in arguments])
    assert out.shape == exact.shape
    assert torch.isfinite(out).all(), "an element was not written"
    eps = eps or torch.finfo(dtype).eps * (depth**0.5 if dtype == torch.float32 else 1)
    allowed = 2 * (low.double() - exact).abs().max() + eps * (1 + exact.abs().max())
    error = (out.double() - exact).abs().max()
    assert error <= allowed, f"error {float(error):.3g}, allowed {float(allowed):.3g}"
    assert exact.abs().max() > 0.05, "the case tests nothing"
