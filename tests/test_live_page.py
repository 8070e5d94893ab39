"""docs/live.md says what the JSON behind it says."""

import json
from pathlib import Path

from bench import live

ROOT = Path(__file__).parent.parent
FOUND = json.loads((ROOT / "bench" / "results" / "live.json").read_text(encoding="utf-8"))


def test_the_table_is_that_of_the_json():
    assert live.table(FOUND) in (ROOT / "docs" / "live.md").read_text(encoding="utf-8")


def test_the_goals_of_streams_are_reached():
    """Of the bundled voices: near at 43 + 160 ms, one pass at the exact look-ahead, in time on one core at 80 ms."""
    rows = {(round(row["block_ms"]), round(row["lookahead_ms"])): row for row in FOUND["rows"]}
    near, exact, usual = rows[43, 160], rows[160, 960], rows[85, 160]
    assert near["mel_db"] <= 0.35 and near["pesq"] >= 4.5 and near["edge_ratio"] <= 2
    assert exact["off_peak"] <= 1e-4 and usual["rtf_p95"] <= 0.45
    memory = FOUND["long"]["resident_mb"]
    assert memory["at_the_end"] <= memory["after_a_minute"] + 5
