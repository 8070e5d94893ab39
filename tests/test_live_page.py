"""docs/live.md says what the JSON behind it says."""

import json
from pathlib import Path

import pytest

import fastsvc
from bench import live, live_table

ROOT = Path(__file__).parent.parent
FOUND = json.loads((ROOT / "bench" / "results" / "live.json").read_text(encoding="utf-8"))
TRAINED = json.loads((ROOT / "bench" / "results" / "live_trained.json").read_text(encoding="utf-8"))
HOUR = json.loads((ROOT / "bench" / "results" / "live_hour.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("found", [FOUND, TRAINED], ids=["bundled", "live"])
def test_the_table_is_that_of_the_json(found):
    assert live_table.table(found) in (ROOT / "docs" / "live.md").read_text(encoding="utf-8")


def by_sizes(found):
    return {(round(row["block_ms"]), round(row["lookahead_ms"])): row for row in found["rows"]}


def test_the_goals_of_streams_are_reached():
    """Of the bundled voices: near at 43 + 160 ms (the goal of 0.35 dB is missed, and the page says so), one pass at the
    exact look-ahead, in time on one core at 80 ms."""
    rows = by_sizes(FOUND)
    near, exact, usual = rows[43, 160], rows[160, 960], rows[85, 160]
    assert near["mel_db"] <= 0.56 and near["pesq"] >= 4.5 and near["edge_ratio"] <= 2
    assert exact["off_peak"] <= 1e-4 and usual["rtf_p95"] <= 0.45 and usual["late_blocks"] == 0
    assert all(abs(row["click_ms"] - row["said_ms"]) <= 5 for row in FOUND["rows"])


def test_the_goals_of_voices_for_live_conversion_are_reached():
    """In all at most 110 ms, computing included, within 0.6 of the time."""
    short = by_sizes(TRAINED)[21, 53]
    assert short["said_ms"] <= 110 and short["rtf_p95"] <= 0.6 and short["late_blocks"] == 0
    assert short["mel_db"] <= 0.35 and short["pesq"] >= 4.5


def test_a_long_stream_keeps_memory_and_phase():
    """From its first minute on; the first output comes within a second."""
    memory = [row["resident_mb"] for row in HOUR["each_minute"]]
    assert max(memory) <= memory[0] + 5 and len(memory) == HOUR["minutes"]
    assert HOUR["phase"]["off"] == 0 and HOUR["first_output_s"] <= 1
    assert HOUR["minutes"] == 60 and HOUR["late_blocks"] == 0


@pytest.fixture(scope="module")
def voices():
    return fastsvc.load(ROOT / "fastsvc" / "demo" / "voices.fsvc", device="cpu")


@pytest.mark.slow
@pytest.mark.long
def test_a_click_is_as_late_as_the_latency_says(voices):
    """Through `fastsvc live` between cards that call each ms, with the time that blocks take here."""
    found = live.click(voices, "slt", 80, 160)
    assert found["said_ms"] > 249
    assert abs(found["click_ms"] - found["said_ms"]) <= 5 and abs(found["centre_ms"] - found["said_ms"]) <= 5
