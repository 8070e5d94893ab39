"""The ablation's table, and how the settings of its cells are laid over one another."""

import math

import numpy as np
import pytest
from ablation_cells import cell

from bench.ablation import plan as ablation_plan
from bench.ablation import table
from fastsvc.errors import ConfigError


def test_the_table_averages_seeds_by_clip_and_pairs_clips(tmp_path):
    clips = np.arange(30.0)
    cells = {
        "A": {0: cell({"true target": clips * 0, "student, 1 step": clips}), 1: cell({"student, 1 step": clips + 2})},
        "B": {0: cell({"true target": clips * 0, "student, 1 step": clips - 3}, 0.2)},
    }
    found = table.table(cells, "A, 1 step")
    a, b = found["systems"]["A, 1 step"]["mcd_db"], found["systems"]["B, 1 step"]["mcd_db"]
    assert a["mean"] == pytest.approx(clips.mean() + 1) and a["by_seed"] == {0: 14.5, 1: 16.5}
    assert a["low"] < a["mean"] < a["high"] and b["mean"] == pytest.approx(11.5)
    difference = found["differences"]["B, 1 step"]["mcd_db"]
    assert [difference[k] for k in ("mean", "low", "high")] == pytest.approx([-4.0, -4.0, -4.0])  # paired: no spread
    assert list(found["systems"]) == ["true target", "A, 1 step", "B, 1 step"]
    assert found["systems"]["B, 1 step"]["diversity"]["mean"] == 0.2
    assert math.isnan(found["systems"]["B, 1 step"]["diversity"]["low"]) and "rtf" not in found["systems"]["A, 1 step"]
    table.write(tmp_path, found)
    assert (tmp_path / "ablation.png").read_bytes()[:4] == b"\x89PNG"
    text = table.markdown(found)
    assert "![ablation.png](ablation.png)" in text
    assert "14.50 … 16.50" in text and "abacus" in text
    with pytest.raises(ConfigError, match="no row 'A, 3 steps'"):
        table.table(cells, "A, 3 steps")
    assert table.table(cells, "C, 1 step")["differences"] == {}


def test_changes_are_laid_over_key_by_key():
    base = {"a": 1, "task": {"b": 2, "losses": {"c": {"weight": 1}, "d": 0}}}
    laid = ablation_plan.merged(base, {"task": {"losses": {"c": {"start": 0.5}}, "e": 3}})
    assert laid == {"a": 1, "task": {"b": 2, "e": 3, "losses": {"c": {"weight": 1, "start": 0.5}, "d": 0}}}
    assert base["task"]["losses"]["c"] == {"weight": 1}
