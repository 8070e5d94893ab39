"""Which condition a model has, on a GPU."""

from __future__ import annotations

from fastsvc.config import AcousticConfig
from fastsvc.engine.cuda import amphion, condition


def condition_for(config: AcousticConfig) -> type[condition.Condition] | type[amphion.Condition]:
    return condition.Condition if config.amphion is None else amphion.Condition
