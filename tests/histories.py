"""What a training has written down."""

import json
from pathlib import Path


def figures_of(history: Path, group: str = "train") -> list[dict]:
    """The records of one group in a history.jsonl."""
    records = [json.loads(line) for line in Path(history).read_text().splitlines()]
    return [record for record in records if record["group"] == group]
