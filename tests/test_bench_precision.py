"""bench.precision: its arithmetic against the plain model, its rounding, and the page that shows its figures."""

import json
from pathlib import Path

import pytest
import torch

from bench import rounding

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def case():
    torch.manual_seed(0)
    return rounding.full_size(0.1, (32, 3))


def test_without_rounding_it_is_the_plain_model(case):
    """Against the plain one in float16, at float16's error; its own float16 is no worse than twice that."""
    x = case.levels[0] * torch.randn(len(case.cond), 80)
    with torch.inference_mode():
        given = case.tensors, case.config, x, 0, case.levels[0], case.cond
        exact, half = (rounding.evaluate(*given, rounding.FORMATS[name]) for name in ("float32", "float16"))
        plain = case.plain(x, case.levels[0], case.cond)
    off = [float((value - exact).norm() / exact.norm()) for value in (plain, half)]
    assert 0 < off[1] < 2 * off[0] < 1e-2


def test_eight_bits():
    """Three bits behind the first, relative to the largest of a row, column or all."""
    value = torch.randn(5, 7) * torch.tensor([1e-6, 1.0, 1e6, 1.0, 0.0])[:, None]
    assert torch.allclose(rounding.eight_bits(value, 1), value, rtol=2**-4, atol=0)
    assert not torch.allclose(rounding.eight_bits(value, None), value, rtol=2**-4, atol=0)
    largest = value.abs().amax(1)
    assert torch.allclose(rounding.eight_bits(value, 1).abs().amax(1), largest, rtol=1e-6)


def test_errors_follow_the_number_of_bits(case):
    with torch.inference_mode():
        rows = rounding.errors(case)
    for steps in rounding.STEPS:
        found = {row["format"]: row["relative_rms"] for row in rows if row["steps"] == steps}
        assert 0 < found["float16"] < found["bfloat16"] / 4 < found["float8, scale by row"] / 8
    assert "| 32×3, random | bfloat16 | " in rounding.table(rows)


def test_the_page_shows_what_was_measured():
    found = json.loads((ROOT / "bench" / "results" / "precision.json").read_text(encoding="utf-8"))
    assert rounding.table(found["errors"]) in (ROOT / "docs" / "kernels.md").read_text(encoding="utf-8")
