"""Where a GPU's engine resamples: on the device (audio/polyphase.py), or by soxr on the processor."""

from __future__ import annotations

import os

from fastsvc import arguments

VARIABLE = "FASTSVC_RESAMPLE"
WAYS = ("device", "soxr")


def on_device() -> bool:
    """Whether $FASTSVC_RESAMPLE, by default "device", names the device. Raises ConfigError for another word."""
    return arguments.one_of(f"${VARIABLE}", os.environ.get(VARIABLE) or WAYS[0], WAYS) == WAYS[0]
