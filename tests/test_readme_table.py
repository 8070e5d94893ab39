"""README's table of the bundled voices says what the evaluation behind it says."""

import json
from pathlib import Path

ROOT = Path(__file__).parent.parent
FOUND = json.loads((ROOT / "bench" / "results" / "voices" / "evaluation.json").read_text(encoding="utf-8"))
COLUMNS = ["f0_rmse_cents", "fpc_voiced", "mcd_db", "phone_error_rate", "singer_correct", "singer_similarity", "rtf"]


def test_the_table_is_that_of_the_evaluation():
    rows = [line.strip("| ").split(" | ") for line in (ROOT / "README.md").read_text(encoding="utf-8").splitlines()]
    table = {cells[0]: cells[1:] for cells in rows if len(cells) == 1 + len(COLUMNS)}
    summary = FOUND["choir"]["summary"]
    # Of engines beside the bundled one, their one step alone.
    wanted = {name for name in summary if name.startswith("student") or not name.endswith("steps")}
    assert wanted == set(table) & set(summary)
    for system in wanted:
        figures = summary[system]
        for name, cell in zip(COLUMNS, table[system]):
            if cell == "–":
                assert not figures.get(name), f"{system}: {name} was measured"
                continue
            text, factor = cell.removesuffix(" %"), 100 if "%" in cell else 1
            last = 10.0 ** -len(text.partition(".")[2])
            assert abs(float(text) - factor * figures[name]["mean"]) <= 0.51 * last, f"{system}: {name} is {cell}"
