"""The module that specifies each kind of checkpoint."""

from __future__ import annotations

from typing import Any

from fastsvc.config.ddsp import DdspConfig


def module(kind: str, config) -> Any:
    """The specification's module for a kind of checkpoint: an nn.Module whose class only the kind tells."""
    if kind == "vocoder" and config.family == "source_filter":
        from fastsvc.model.source_filter import SourceFilter as build
    elif kind == "vocoder":
        from fastsvc.model.vocoder import Generator as build
    elif kind == "recogniser":
        from fastsvc.model.recogniser import Recogniser as build
    elif kind == "singer":
        from fastsvc.model.verifier import Verifier as build
    elif kind == "pitch":
        from fastsvc.model.pitch import PitchNet as build
    elif kind == "rvc":
        from fastsvc.model.rvc import RvcModel as build
    elif isinstance(config, DdspConfig):
        from fastsvc.model.ddsp import DdspModel as build
    elif kind == "hubert":
        from fastsvc.model.hubert import Hubert as build
    else:
        from fastsvc.model.acoustic import AcousticModel as build
    return build(config)
