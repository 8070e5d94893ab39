"""Which configuration an acoustic model's kind has."""

from __future__ import annotations

from typing import Any

from fastsvc.config import ddsp, rvc
from fastsvc.config.acoustic import AcousticConfig
from fastsvc.config.ddsp import DdspConfig
from fastsvc.config.plain import from_dict
from fastsvc.config.rvc import RvcConfig

AnyAcousticConfig = AcousticConfig | RvcConfig | DdspConfig


def acoustic_config(data: Any, where: str = "acoustic") -> AnyAcousticConfig:
    """An acoustic model's configuration of plain values, by its kind. Raises ConfigError as from_dict does."""
    kind = data.get("kind") if isinstance(data, dict) else None
    if kind == rvc.KIND:
        return from_dict(RvcConfig, data, where)
    if kind == ddsp.KIND:
        return from_dict(DdspConfig, data, where)
    return from_dict(AcousticConfig, data, where)
