"""Code that the vocoders' formats share: weight norm, folded or not, and lists of sizes."""

from __future__ import annotations

import functools
from pathlib import Path

from torch import Tensor

from fastsvc.checkpoints.files.yaml_file import YamlFile
from fastsvc.config import AnyVocoderConfig
from fastsvc.config.shown import shown
from fastsvc.errors import CheckpointError
from fastsvc.model.keys import FLOATS, fit

LONGEST = 4096  # entries of a list in a configuration
BLOCKS_LIMIT = 256  # upsampling stages × residual blocks × units of any real generator
VOCODER_MEL_FIELDS = ("rate_hz", "hop_samples", "fft_samples", "window_samples", "bins", "low_hz", "high_hz")


def generator(
    state: dict[str, Tensor], config: AnyVocoderConfig, path: Path
) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """(the vocoder's tensors, notes). Raises CheckpointError with the file's own name of each wrong tensor."""
    from fastsvc.model.modules import module

    tensors, file_names = folded(state, path)
    make = functools.partial(module, "vocoder", config)
    fitted = fit(tensors, make, path, lambda name: file_names.get(name, name))
    return fitted, ("weight norm folded",) if len(tensors) < len(state) else ()


def folded(state: dict[str, Tensor], path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """(the tensors with weight norm folded, the file's name of each). Raises CheckpointError for halves that do not
    fit each other."""
    from fastsvc.model import weight_norm

    halves = {name: other for name in state if (other := weight_norm.partner(name))}
    faults = [f"missing: {other}" for other in halves.values() if other not in state]
    for name, other in halves.items():
        gain, direction = state[name].shape, state.get(other, state[name]).shape
        fitting = len(direction) > 1 and gain == (*direction[:1], *[1] * (len(direction) - 1))
        if name.endswith(weight_norm.GAINS) and not fitting and not faults:
            faults.append(f"{name} has shape {tuple(gain)}, which does not fit {tuple(direction)} of its other half")
    single = [name for name in state if not name.endswith(weight_norm.GAINS)]
    file_names = {weight_norm.folded_name(name): name for name in single}
    faults += [
        f"{name} and {other} are one weight"
        for name in single
        if (other := file_names[weight_norm.folded_name(name)]) != name
    ]
    types = {name: state[name].dtype for name in halves if name in state}
    wrong = {name: dtype for name, dtype in types.items() if dtype not in FLOATS}
    faults += [f"{name} is {dtype}, not floating point of 16 to 64 bits" for name, dtype in wrong.items()]
    if faults:
        raise CheckpointError(
            f"{path} does not fit its configuration: {'; '.join(faults)}", "download the checkpoint again"
        )
    return weight_norm.fold(state), file_names


def sizes(file: YamlFile, key: str) -> tuple[int, ...]:
    """The whole numbers of a list in a configuration."""
    return _integers(file.get(key, list), f"{file.path}: {key}")


def rows(file: YamlFile, key: str) -> tuple[tuple[int, ...], ...]:
    """The whole numbers of a list of lists; YAML aliases could make one larger than memory."""
    values = file.get(key, list)
    if len(values) > BLOCKS_LIMIT:
        raise CheckpointError(f"{file.path}: {key} has {len(values)} rows", "correct the file")
    return tuple(_integers(row if isinstance(row, list) else [row], f"{file.path}: {key}") for row in values)


def _integers(values: list, where: str) -> tuple[int, ...]:
    if not 0 < len(values) <= LONGEST or any(isinstance(v, bool) or not isinstance(v, int) for v in values):
        raise CheckpointError(f"{where} is {shown(values)}, but whole numbers are expected", "correct the file")
    return tuple(values)


def resblock(file: YamlFile) -> str:
    """The kind of residual blocks, "1" or "2"; some files have it as a number."""
    value = file.values.get("resblock", "1")
    if not isinstance(value, (str, int)):
        raise CheckpointError(f"{file.path}: resblock is {shown(value)}", "correct the file")
    return str(value)


def refuse_absurd(rates: tuple[int, ...], dilations: tuple[tuple[int, ...], ...], where: Path) -> None:
    """Raises CheckpointError: thousands of blocks would cost hours before the first missing key is found."""
    if len(rates) * max(sum(map(len, dilations)), 1) > BLOCKS_LIMIT:
        raise CheckpointError(f"{where}: more than {BLOCKS_LIMIT} residual units", "correct the file")
