"""The class of a model's condition on a GPU."""

from __future__ import annotations

from fastsvc.config import AcousticConfig
from fastsvc.engine.cuda import amphion, condition


def condition_for(config: AcousticConfig) -> type[condition.CudaCondition] | type[amphion.CudaAmphionCondition]:
    return condition.CudaCondition if config.amphion is None else amphion.CudaAmphionCondition
