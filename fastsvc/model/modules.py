"""Which module specifies a kind of checkpoint."""

from __future__ import annotations


def module(kind: str, config):
    """The specification's module for a kind of checkpoint."""
    if kind == "vocoder":
        from fastsvc.model.vocoder import Generator as build
    elif kind == "recogniser":
        from fastsvc.model.recogniser import Recogniser as build
    elif kind == "singer":
        from fastsvc.model.verifier import Verifier as build
    elif kind == "pitch":
        from fastsvc.model.pitch import PitchNet as build
    elif kind == "hubert":
        from fastsvc.model.hubert import Hubert as build
    else:
        from fastsvc.model.acoustic import AcousticModel as build
    return build(config)
