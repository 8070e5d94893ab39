"""The class of a model's condition on a CPU."""

from __future__ import annotations

from fastsvc.config import AcousticConfig
from fastsvc.engine.cpu import amphion, condition


def condition_for(config: AcousticConfig) -> type[condition.CpuCondition] | type[amphion.CpuAmphionCondition]:
    return condition.CpuCondition if config.amphion is None else amphion.CpuAmphionCondition
