"""Engines of the golden voices of RVC with a small HuBERT, built through the public path."""

from pathlib import Path

import huberts
import rvc_golden

from fastsvc import build
from fastsvc.config import HubertConfig

CHANNELS = (16,) * 7
# of version 1's units, vec256l9, and of version 2's, vec768l12
HUBERTS = {
    "v1": HubertConfig(channels=32, layers=9, heads=4, hidden=24, projection=256, conv_channels=CHANNELS),
    "v2": HubertConfig(channels=768, layers=12, heads=4, hidden=8, conv_channels=CHANNELS, position_groups=64),
}


def voice(name: str) -> Path:
    """The golden voice's file; the first of several."""
    return rvc_golden.FOLDER / name / rvc_golden.VOICES[name][0]


def build_engine(folder: Path, name: str = "v1_40k", **options) -> Path:
    """``folder``/NAME.fsvc, with a content encoder of random weights unless ``content`` says otherwise."""
    version = "v1" if "v1" in name else "v2"
    if "content" not in options:
        options["content"] = huberts.huggingface(
            folder / f"hubert_{version}",
            HUBERTS[version],
            num_conv_pos_embedding_groups=HUBERTS[version].position_groups,
        )
    plain = {"target": "cpu", "progress": None}
    return build.compile(voice(name), folder / f"{name}.fsvc", **plain | options)
