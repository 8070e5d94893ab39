"""How exactly kernels are compared: what rounding may do and what a wrong kernel does lie on two sides of the bound."""

import kernel_check
import pytest
import torch

DEPTH = 3072


def product(x, weight):
    return x @ weight


def one_after_another(x, weight):
    """A float32 sum that is rounded after each term, as a GPU's "ieee" product is."""
    sums = torch.zeros(len(x), weight.shape[1])
    for column, row in zip(x.T, weight):
        sums = torch.addcmul(sums, column[:, None], row[None])
    return sums


@pytest.fixture
def case():
    return torch.randn(16, DEPTH), torch.randn(DEPTH, 16) * DEPTH**-0.5


def test_a_long_float32_sum_may_round_after_each_term(case):
    out = one_after_another(*case)
    kernel_check.check(out, product, *case, depth=DEPTH)
    with pytest.raises(AssertionError, match="allowed"):  # PyTorch's sums in blocks are no measure of it
        kernel_check.check(out, product, *case)


def test_a_missing_term_is_seen_at_any_depth(case):
    x, weight = case
    out = product(x[:, :-1], weight[:-1])
    with pytest.raises(AssertionError, match="allowed"):
        kernel_check.check(out, product, *case, depth=DEPTH)


def test_float16_has_no_wider_bound(case):
    x, weight = (part.half() for part in case)
    exact = x.double() @ weight.double()
    allowed = 2 * ((x @ weight).double() - exact).abs().max() + torch.finfo(torch.float16).eps * (1 + exact.abs().max())
    out = (exact + 1.2 * allowed).half()
    with pytest.raises(AssertionError, match="allowed"):
        kernel_check.check(out, product, x, weight, depth=DEPTH)
