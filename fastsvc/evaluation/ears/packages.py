"""Where the judges' packages lie, found without importing them: two would import torchaudio or a compiled package."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from fastsvc.errors import CheckpointError, MissingPackageError

# torchaudio may replace PyTorch by another build and webrtcvad needs a compiler, hence --no-deps.
COMMAND = "pip install --no-deps distillmos==0.9.1 xls-r-sqa==0.1.0 Resemblyzer==0.1.4"
PURPOSE = "the evaluation by public judges"
# Import name → the file inside that a judge reads.
WEIGHTS = {
    "distillmos": "weights/distill_mos_v7.pt",
    "resemblyzer": "pretrained.pt",
    "moonshine_voice": "assets/tiny-en/encoder_model.ort",
    "swift_f0": "model.onnx",
}
NAMES = {"distillmos": "distillmos", "resemblyzer": "Resemblyzer"}


def folder(module: str) -> Path:
    """The folder of a top-level package. Raises MissingPackageError; nothing of the package is executed."""
    found = importlib.util.find_spec(module)
    if found is None or not found.submodule_search_locations:
        name = NAMES.get(module, module.replace("_", "-"))
        raise MissingPackageError(name, PURPOSE, "ears", COMMAND if module in (*NAMES, "xls_r_sqa") else "")
    return Path(found.submodule_search_locations[0])


def weights(module: str) -> Path:
    """The file of a judge's weights. Raises MissingPackageError, CheckpointError where this version has none."""
    path = folder(module) / WEIGHTS[module]
    if not path.is_file():
        raise CheckpointError(
            f"the package {module} carries no {path.name}", 'install the pinned one: pip install "fastsvc[ears]"'
        )
    return path


def require(module: str) -> None:
    """Raises MissingPackageError, CheckpointError unless the package is there with what a judge reads of it."""
    (weights if module in WEIGHTS else folder)(module)


def missing() -> list[str]:
    """Import names of the judges' packages that are not installed, or carry no weights."""
    return [name for name in (*WEIGHTS, "xls_r_sqa") if not _there(name)]


def _there(module: str) -> bool:
    try:
        require(module)
    except (MissingPackageError, CheckpointError):
        return False
    return True
