"""docs/results.md says what the JSON behind it says."""

import json
from pathlib import Path

from bench.ablation import table
from fastsvc.evaluation import report

ROOT = Path(__file__).parent.parent
FOUND = ROOT / "bench" / "results" / "students" / "ablation.json"


def test_the_tables_of_students_are_those_of_the_json():
    found = json.loads(FOUND.read_text(encoding="utf-8"))
    text = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    columns = table.shown()
    assert report.markdown_table(found["systems"], columns) in text
    assert report.markdown_table(found["differences"], columns, signed=True) in text
    assert found["about"]["against"] == "CD, 1 step" and not found["failed"]


def test_the_goals_that_the_text_calls_reached_are():
    found = json.loads(FOUND.read_text(encoding="utf-8"))["systems"]
    text = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    base, best = found["CD, 1 step"], found["all, 1 step"]
    change = best["phone_error_rate"]["mean"] / base["phone_error_rate"]["mean"] - 1
    assert f"{100 * change:+.1f} %".replace("-", "−") in text
    assert abs(best["fpc_voiced"]["mean"] - base["fpc_voiced"]["mean"]) < 0.005
