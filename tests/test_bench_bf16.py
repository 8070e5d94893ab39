"""bench.bf16: turns, tables, and their place in a page. No time is asserted."""

import pytest
import torch
from test_engine_blocks import lowered_plan, tiny

from bench import bf16_cases, bf16_forms, bf16_table
from fastsvc.artifact import engine_folder
from fastsvc.engine.cpu import denoiser_bf16

ABOUT = {
    "machine": {"cpu": "A", "flags": ["avx2"], "threads": 1, "cores": 2},
    "versions": {"torch": "2"},
    "date": "2026-11-29T12",
    "command": "python -m bench.bf16 x",
    "load_1min": 0.1,
}


def test_turns_and_their_table():
    one = torch.arange(1.0, 9.0)
    rows = bf16_cases.turns({"plain": lambda: one, "other": lambda: one * 1.01}, 2)
    assert rows["plain"]["error"] is None and rows["other"]["error"] == pytest.approx(0.01, rel=1e-2)
    figures = {"wall_ms": 8.0, "cpu_ms": 4.0, "ratio": 2.5, "cpu_ratio": 3.0, "error": 4e-3}
    text = bf16_table.tables({"denoiser": {"figures": {"seconds": 2, "gflop": 2, "rows": {"bf16": figures}}, **ABOUT}})
    assert "| bf16 | 8 | 2.50 | 4 | 3.00 | 4.0e-03 | 500 |" in text
    assert "A (avx2), 2 cores, 1 thread, PyTorch 2, 2026-11-29: `python -m bench.bf16 x`. Load" in text


def test_machine_and_command_stand_once():
    demo = {"figures": {"rows": []}, **ABOUT, "load_1min_after": 5.0}
    text = bf16_table.tables({"demo": demo, "caps": {"figures": {"rows": {}}, **ABOUT}})
    assert text.count("python -m bench.bf16 x") == 1 and "Load of the machine: 0.1 to 5." in text


def test_the_page_keeps_the_rest(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"above\n{bf16_table.BEGIN}old\n{bf16_table.END}below\n")
    bf16_table.write(page, "new\n")
    bf16_table.write(page, "newer\n")
    assert page.read_text() == f"above\n{bf16_table.BEGIN}\nnewer\n\n{bf16_table.END}below\n"
    page.write_text("nothing")
    with pytest.raises(SystemExit, match="lacks the lines"):
        bf16_table.write(page, "new")


@pytest.mark.skipif(not denoiser_bf16.supported(), reason="this processor has no bfloat16 units")
@torch.inference_mode()
def test_all_forms_that_are_compared_compute_the_same():
    plan = lowered_plan(tiny(4, 5))
    tensors, config, level = plan.tensors[engine_folder.WEIGHTS], plan.acoustic_config, plan.levels[0]
    x, cond = level * torch.randn(40, 80), torch.randn(40, 6)
    exact = bf16_forms.CpuDenoiser(tensors, config, plan.levels)
    expected = exact(x, level, exact.prepare(cond))
    for name, form in bf16_forms.FORMS.items():
        net = form(tensors, config, plan.levels)
        error = float((net(x, level, net.prepare(cond)) - expected).norm() / expected.norm())
        assert 1e-5 < error < 2e-2, (name, error)
