"""A stranger's file → the content as its own project would have written it, which that project's reader takes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from fastsvc import reading
from fastsvc.checkpoints.read_options import ReadOptions
from fastsvc.errors import CheckpointError
from fastsvc.reading import dress
from fastsvc.reading.dress import Weights
from fastsvc.reading.loading import count

STEPS = ("global_step", "step", "iteration", "steps", "num_updates")
NAMES = {
    "unit2mel": "an acoustic model",
    "amphion": "an acoustic model of Amphion",
    "own": "an acoustic model",
    "vocoder": "a vocoder",
    "fairseq": "a HuBERT",
    "huggingface": "a HuBERT",
}
FORMAT = "fastsvc"


@dataclass(frozen=True)
class Unwrapped:
    """``content`` for the reader; ``weights``: where they were in the file; ``options`` without what is used up."""

    content: dict
    options: ReadOptions
    weights: str = ""
    notes: tuple[str, ...] = ()


def unwrap(content: dict, path: Path, options: ReadOptions) -> Unwrapped:
    """Find the weights in ``content`` and put them where their reader looks. What is not found is left as it is.

    Averaged weights are preferred to the last ones, as in checkpoints of our own. Raises CheckpointError.
    """
    if content.get("format") == FORMAT:
        return Unwrapped(content, options, "ema" if content.get("ema") else "model")
    combined = content.get("diff_model")
    if isinstance(combined, dict):  # a .ptc: its first network, inside which names may be wrapped
        inner = unwrap(combined, path, options)
        return replace(inner, content=content | {"diff_model": inner.content}, weights=f"diff_model.{inner.weights}")
    try:
        found = dress.find(content)
    except dress.Twice as error:
        raise CheckpointError(f"{path}: {error}", "save its state dict alone") from None
    if not found:
        tensors = {name: value for name, value in content.items() if hasattr(value, "dtype")}
        if tensors and _about(path, options):  # of a network that no mark tells
            return Unwrapped(*_own(tensors, path, options), "the file itself")
        return Unwrapped(content, options)
    chosen, notes = _chosen([one for one in found if one.family == found[0].family])
    for other in {one.family: one for one in found if one.family != chosen.family}.values():
        notes += (f"{NAMES[other.family]}, under {other}, is left out",)
    plain, options = _content(chosen, content, path, options)
    return Unwrapped(plain, options, str(chosen), notes)


def _chosen(found: list[Weights]) -> tuple[Weights, tuple[str, ...]]:
    """(the weights to take out of several of one family, notes on the others)."""
    last = [one for one in found if not one.averaged]
    averaged = [one for one in found if one.averaged]
    first, notes = (averaged or last)[0], []
    if averaged and last:
        lacking = {name: value for name, value in last[0].state.items() if name not in first.state}
        filled = f"; {len(lacking)} tensors that it lacks are those of {last[0]}" if lacking else ""
        notes.append(f"averaged weights ({first}) are taken, not the last ones ({last[0]}){filled}")
        first = replace(first, state={**lacking, **first.state})
    others = (averaged or last)[1:]
    if others:
        notes.append(f"{first} is taken; left out: {'; '.join(map(str, others[:4]))}")
    return first, tuple(notes)


def _content(chosen: Weights, content: dict, path: Path, options: ReadOptions) -> tuple[dict, ReadOptions]:
    state = chosen.state
    if chosen.family == "unit2mel":
        return {"model": state, "global_step": _step(content)}, options
    if chosen.family == "fairseq":
        return {"model": state, "cfg": content.get("cfg")}, options
    if chosen.family == "own":
        return _own(state, path, options)
    if chosen.family != "vocoder":
        return dict(state), options
    if _about(path, options):
        return _own(state, path, options)
    if "generator" in content and chosen.keys == ("generator",):
        return {"generator": state}, options
    if _is_m4(chosen, path, options):
        return {"state_dict": {"model_gen": state}, "global_step": _step(content)}, options
    return {"generator": state}, options


def _step(content: dict) -> int:
    return next((count(content, key) for key in STEPS if count(content, key)), 0)


def _is_m4(chosen: Weights, path: Path, options: ReadOptions) -> bool:
    """Whether a generator is M4Singer's, whose tensors are named as openvpi's: by its key, else by its settings."""
    if "model_gen" in (*chosen.keys, *chosen.prefix.split(".")):
        return True
    for values in _settings(path, options):
        if "audio_sample_rate" in values or "sampling_rate" in values:
            return "audio_sample_rate" in values
    return False


def _about(path: Path, options: ReadOptions) -> dict | None:
    """What stands beside the weights in a checkpoint of our own, if it lies beside as a configuration."""
    return next((values for values in _settings(path, options) if values.get("format") == FORMAT), None)


def _settings(path: Path, options: ReadOptions) -> Iterator[dict]:
    """The mappings in --config, or in `config.json` and `config.yaml` beside; faults are left to the reader."""
    for place in (
        [options.config] if options.config else [path.with_name(name) for name in ("config.json", "config.yaml")]
    ):
        read = reading.json_file if place.suffix == ".json" else reading.yaml_file
        with contextlib.suppress(CheckpointError):
            values = read(place, error=CheckpointError)
            if isinstance(values, dict):
                yield values


def _own(state: dict, path: Path, options: ReadOptions) -> tuple[dict, ReadOptions]:
    about = _about(path, options)
    if about is None:
        raise CheckpointError(
            f"{path} holds the weights of a checkpoint of fastsvc alone, without its configuration",
            "name the .pt that fastsvc train wrote; or put everything in it but the tensors (format, "
            "version, kind, config, speakers) into a config.json beside the weights",
        )
    return {**about, "model": state}, replace(options, config=None)
