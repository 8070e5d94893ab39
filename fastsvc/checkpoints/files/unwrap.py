"""The content of a file without wrappers that others have added, as the reader of its format expects it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from fastsvc import reading
from fastsvc.checkpoints.read_options import ReadOptions
from fastsvc.errors import CheckpointError
from fastsvc.reading import wrappers
from fastsvc.reading.loading import count
from fastsvc.reading.wrappers import WeightSet

STEPS = ("global_step", "step", "iteration", "steps", "num_updates")
NAMES = {
    "unit2mel": "an acoustic model",
    "ddsp": "a voice of DDSP-SVC",
    "amphion": "an acoustic model of Amphion",
    "own": "an acoustic model",
    "vocoder": "a vocoder",
    "fairseq": "a HuBERT",
    "huggingface": "a HuBERT",
}
FORMAT = "fastsvc"


@dataclass(frozen=True)
class Unwrapped:
    """``content`` for the reader; ``weights``: their keys in the file; ``options`` without those already used."""

    content: dict
    options: ReadOptions
    weights: str = ""
    notes: tuple[str, ...] = ()


def unwrap(content: dict, path: Path, options: ReadOptions) -> Unwrapped:
    """Find the weights in ``content`` and put them under the keys that their reader expects.

    Without known weights the content stays unchanged. Averaged weights are preferred to the last ones, as in fastsvc's
    own checkpoints. Raises CheckpointError.
    """
    if content.get("format") == FORMAT:
        return Unwrapped(content, options, "ema" if content.get("ema") else "model")
    combined = content.get("diff_model")
    if isinstance(combined, dict):  # a .ptc: its first network, inside which names may be wrapped
        inner = unwrap(combined, path, options)
        return replace(inner, content=content | {"diff_model": inner.content}, weights=f"diff_model.{inner.weights}")
    try:
        weight_sets = wrappers.find_weights(content)
    except wrappers.DuplicateName as error:
        raise CheckpointError(f"{path}: {error}", "save its state dict alone") from None
    if not weight_sets:
        tensors = {name: value for name, value in content.items() if hasattr(value, "dtype")}
        if tensors and _own_config(path, options):  # of a network without distinctive names
            return Unwrapped(*_own_checkpoint(tensors, path, options), "the file itself")
        return Unwrapped(content, options)
    chosen, notes = _chosen([weights for weights in weight_sets if weights.family == weight_sets[0].family])
    for other in {weights.family: weights for weights in weight_sets if weights.family != chosen.family}.values():
        notes += (f"{NAMES[other.family]}, under {other}, is left out",)
    plain, options = _content(chosen, content, path, options)
    return Unwrapped(plain, options, str(chosen), notes)


def _chosen(weight_sets: list[WeightSet]) -> tuple[WeightSet, tuple[str, ...]]:
    """(the weights to use, from several of one family; notes on the others)."""
    last = [weights for weights in weight_sets if not weights.averaged]
    averaged = [weights for weights in weight_sets if weights.averaged]
    chosen, notes = (averaged or last)[0], []
    if averaged and last:
        missing = {name: value for name, value in last[0].state.items() if name not in chosen.state}
        filled = f"; {len(missing)} tensors that it lacks are those of {last[0]}" if missing else ""
        notes.append(f"averaged weights ({chosen}) are taken, not the last ones ({last[0]}){filled}")
        chosen = replace(chosen, state={**missing, **chosen.state})
    others = (averaged or last)[1:]
    if others:
        notes.append(f"{chosen} is taken; left out: {'; '.join(map(str, others[:4]))}")
    return chosen, tuple(notes)


def _content(chosen: WeightSet, content: dict, path: Path, options: ReadOptions) -> tuple[dict, ReadOptions]:
    state = chosen.state
    if chosen.family in ("unit2mel", "ddsp"):
        return {"model": state, "global_step": _step(content)}, options
    if chosen.family == "fairseq":
        return {"model": state, "cfg": content.get("cfg")}, options
    if chosen.family == "own":
        return _own_checkpoint(state, path, options)
    if chosen.family != "vocoder":
        return dict(state), options
    if _own_config(path, options):
        return _own_checkpoint(state, path, options)
    if "generator" in content and chosen.keys == ("generator",):
        return {"generator": state}, options
    if _is_m4(chosen, path, options):
        return {"state_dict": {"model_gen": state}, "global_step": _step(content)}, options
    return {"generator": state}, options


def _step(content: dict) -> int:
    return next((count(content, key) for key in STEPS if count(content, key)), 0)


def _is_m4(chosen: WeightSet, path: Path, options: ReadOptions) -> bool:
    """Whether a generator, named as openvpi's, is M4Singer's: by its key, else by its configuration."""
    if "model_gen" in (*chosen.keys, *chosen.prefix.split(".")):
        return True
    for values in _settings(path, options):
        if "audio_sample_rate" in values or "sampling_rate" in values:
            return "audio_sample_rate" in values
    return False


def _own_config(path: Path, options: ReadOptions) -> dict | None:
    """The configuration of a fastsvc checkpoint (all of it but the weights), if it is in a file beside them."""
    return next((values for values in _settings(path, options) if values.get("format") == FORMAT), None)


def _settings(path: Path, options: ReadOptions) -> Iterator[dict]:
    """The mappings in --config, or in `config.json` and `config.yaml` beside; the reader reports their faults."""
    beside = [path.with_name(name) for name in ("config.json", "config.yaml")]
    for file in [options.config] if options.config else beside:
        read = reading.read_json if file.suffix == ".json" else reading.read_yaml
        with contextlib.suppress(CheckpointError):
            values = read(file, error=CheckpointError)
            if isinstance(values, dict):
                yield values


def _own_checkpoint(state: dict, path: Path, options: ReadOptions) -> tuple[dict, ReadOptions]:
    config = _own_config(path, options)
    if config is None:
        raise CheckpointError(
            f"{path} holds the weights of a checkpoint of fastsvc alone, without its configuration",
            "name the .pt that fastsvc train wrote; or put everything in it but the tensors (format, "
            "version, kind, config, speakers) into a config.json beside the weights",
        )
    return {**config, "model": state}, replace(options, config=None)
