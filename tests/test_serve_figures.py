"""docs/serve.md says what the JSON behind it says, and no job was lost."""

import json
from pathlib import Path

from bench import serve

ROOT = Path(__file__).parent.parent
FOUND = json.loads((ROOT / "bench" / "results" / "serve.json").read_text(encoding="utf-8"))


def test_the_table_is_that_of_the_json():
    assert serve.table(FOUND) in (ROOT / "docs" / "serve.md").read_text(encoding="utf-8")


def test_no_job_is_lost_and_memory_stays():
    assert FOUND["clients"] >= 50 and FOUND["jobs"] == FOUND["done"] >= 500
    assert FOUND["lost"] == FOUND["wrong"] == FOUND["exit_code"] == 0
    for memory in FOUND["resident_mb"].values():
        assert memory["at_the_end"] <= memory["after_a_fifth"] * 1.1 + 10
