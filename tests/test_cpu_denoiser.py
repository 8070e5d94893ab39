"""The denoiser on a CPU at sizes that fit no vector, in lengths that follow one another, and its filtering alone."""

import golden
import pytest
import torch
from test_engine_blocks import lowered_plan, tiny

from fastsvc.artifact import engine_folder
from fastsvc.engine.cpu import denoiser as cpu_denoiser
from fastsvc.engine.cpu import winograd
from fastsvc.model.modules import module


def filtered(rows: torch.Tensor, taps: torch.Tensor) -> torch.Tensor:
    """[4n + 2, C] → [4n, D] through the six products."""
    inputs, outputs = winograd.transforms()
    tiles = rows.unfold(0, winograd.PRODUCTS, winograd.OUTPUTS)  # [n, C, 6]
    products = torch.einsum("nci,pi,pcd->npd", tiles, inputs, winograd.filters(taps))
    return torch.einsum("op,npd->nod", outputs, products).flatten(0, 1)


def test_filtering_is_the_convolution():
    rows, taps = torch.randn(4 * 50 + 2, 96), torch.randn(3, 96, 32)
    exact = sum(rows[k : k + 200].double() @ taps[k].double() for k in range(3))
    plain = sum(rows[k : k + 200] @ taps[k] for k in range(3))
    error = golden.relative_rms(filtered(rows, taps), exact)
    assert error < 1e-6
    assert error < 4 * golden.relative_rms(plain, exact), "the points amplify rounding more than they should"


def test_filters_are_exact_for_a_single_tap():
    """A tap alone picks one input row: every output is that row, whichever of the three it is."""
    for tap in range(3):
        taps = torch.zeros(3, 7, 7)
        taps[tap] = torch.eye(7)
        rows = torch.randn(4 * 5 + 2, 7)
        torch.testing.assert_close(filtered(rows, taps), rows[tap : tap + 20], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("cycle", [1, 2, 4])
@pytest.mark.parametrize("channels", [2, 10, 22])
def test_lengths_in_turn(cycle, channels):
    """One denoiser for all: what a longer input left in the buffers must not be seen by a shorter one."""
    config = tiny(cycle, 5, channels)
    plan = lowered_plan(config, steps=(1,))
    model = module("student", config)
    model.load_state_dict(plan.acoustic.tensors)
    denoiser, level = cpu_denoiser.CpuDenoiser(plan.tensors[engine_folder.WEIGHTS], config, plan.levels), plan.levels[0]
    for frames in (33, 1, 70, 2, 5, 64, 7, 3, 4, 129, 31):
        x, cond = level * torch.randn(frames, 80), torch.randn(frames, 6)
        with torch.no_grad():
            want = model.denoise(x[None], level, cond[None])[0]
        got = denoiser(x, level, denoiser.prepare(cond))
        assert got.shape == want.shape and golden.relative(got, want) < 1e-5, f"{frames} frames"
        assert torch.equal(got, denoiser(x, level, denoiser.prepare(cond))), "a second call differs"


def test_projections_kept_or_made_anew(monkeypatch):
    plan = lowered_plan(tiny(2, 4), steps=(2,))
    denoiser = cpu_denoiser.CpuDenoiser(plan.tensors[engine_folder.WEIGHTS], plan.acoustic_config, plan.levels)
    x, cond = torch.randn(45, 80), torch.randn(45, 6)
    kept = denoiser.prepare(cond, 2)
    monkeypatch.setattr(cpu_denoiser, "PROJECTION_LIMIT", 0)
    anew = denoiser.prepare(cond, 2)
    assert kept.projections is not None and anew.projections is None
    for level in plan.levels:
        assert torch.equal(denoiser(x, level, kept), denoiser(x, level, anew))
