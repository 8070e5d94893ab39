"""Each kernel's tests of test_kernels*.py run compiled where there is a GPU; here they are marked for it."""

import pytest
import torch
from kernel_check import DEVICE

pytest.importorskip("triton")

import test_kernels_denoiser as whole

pytestmark = pytest.mark.gpu


@pytest.mark.parametrize("dtype, bound", [(torch.float32, 1e-4), (torch.float16, 1e-2), (torch.bfloat16, 8e-2)])
def test_layers(dtype, bound):
    assert DEVICE == "cuda"
    whole.test_layer_by_layer(dtype, bound)


@pytest.mark.parametrize("method, splits", [("consistency", 1), ("euler", 1)])
def test_schedule(method, splits):
    whole.test_schedule(method, splits)
