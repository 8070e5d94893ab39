"""What an evaluation leaves of one cell of an ablation."""


def cell(values: dict, diversity=0.5) -> dict:
    """A cell.json of one metric: values by system, one for each clip."""
    rows = [{"system": s, "clip": i, "mcd_db": v, "rtf": 1.0} for s, of in values.items() for i, v in enumerate(of)]
    about = {"date": "today", "machine": {"hardware": "abacus"}, "stopped": ""}
    return about | {"rows": rows, "diversity": {"1": diversity}}
