"""Which condition a model has, on a CPU."""

from __future__ import annotations

from fastsvc.config import AcousticConfig
from fastsvc.engine.cpu import amphion, condition


def condition_for(config: AcousticConfig) -> type[condition.Condition] | type[amphion.Condition]:
    return condition.Condition if config.amphion is None else amphion.Condition
