"""Which pitch trackers can work on this server, found without PyTorch and without importing their packages."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

from fastsvc.config import F0_METHODS

RMVPE = "FASTSVC_RMVPE"  # the variable that names its weights
MODULES = {  # method → the module that it needs; tests/test_serve_options.py holds this against fastsvc.features.f0
    "pyin": "librosa",
    "dio": "pyworld",
    "harvest": "pyworld",
    "crepe": "torchcrepe",
    "crepe-tiny": "torchcrepe",
    "fcpe": "torchfcpe",
    "pesto": "pesto",
    "pm": "parselmouth",
    "swift": "swift_f0",
}


def usable() -> list[str]:
    """The methods that clients may choose."""
    return [method for method in F0_METHODS if _usable(method)]


def _usable(method: str) -> bool:
    if method == "rmvpe":
        return bool(os.environ.get(RMVPE)) and Path(os.environ[RMVPE]).is_file()
    module = MODULES.get(method)
    try:
        return module is None or importlib.util.find_spec(module) is not None
    except ValueError:  # sys.modules holds None
        return False
