"""How many frames the parts of an engine get besides a recording's own, at each end."""

from __future__ import annotations

from collections.abc import Sequence

from fastsvc.config import AnyAcousticConfig, AnyVocoderConfig, RvcConfig
from fastsvc.engine import rvc_front
from fastsvc.model import vocoders


def acoustic(config: AnyAcousticConfig) -> int:
    """Frames at each end of a converted recording that continue it, of which the features tell, too."""
    return rvc_front.MARGIN if isinstance(config, RvcConfig) else 0


def vocoder(margin: int, config: AnyVocoderConfig) -> int:
    """Those of ``margin`` frames that the vocoder gets: as many as its first and last own frames read."""
    return min(margin, vocoders.halo_frames(config))


def widened(groups: Sequence[Sequence[int]], margin: int) -> list[list[int]]:
    """Frames of recordings, with ``margin`` more at each end."""
    return [[frames + 2 * margin for frames in group] for group in groups]
