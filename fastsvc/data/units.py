"""Content units for every item of a prepared corpus."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from fastsvc import arguments, files, screen
from fastsvc.audio.resample import resample
from fastsvc.config import HubertConfig, MelConfig, RecogniserConfig, from_dict
from fastsvc.data import records
from fastsvc.data.store import save_arrays, save_json
from fastsvc.errors import ConfigError
from fastsvc.model import encoder_hash as model_hash
from fastsvc.reading import arrays


@torch.no_grad()
def add_units(corpus_dir, encoder, *, progress: bool = True) -> int:
    """Encode every item that lacks the units of ``encoder``; returns how many were encoded.

    ``encoder`` is a content encoder (``name``, ``rate_hz``, ``hop_samples``, ``channels``, ``encode(audio) ->
    [Tu, D]``). Its hash is stored in each item and in corpus.json, so that units of two encoders never mix. Until all
    items are encoded, corpus.json names no encoder and the corpus opens without units. An interrupted run continues.
    """
    path = arguments.path("corpus_dir", corpus_dir) / "corpus.json"
    arguments.flag("progress", progress)
    with records.alone(path, "adding units") as corpus:
        files.clear_leftovers(path.parent, deep=True)
        return _add(path, corpus, encoder, progress)


def _add(path: Path, corpus: dict, encoder, progress: bool) -> int:
    described = describe(encoder)
    if corpus.get("encoder") != described:
        corpus.pop("encoder", None)
        corpus.pop("pseudo", None)  # its clusters are of the old units
        save_json(path, corpus)
    encoded, rate_hz = 0, from_dict(MelConfig, corpus["mel"]).rate_hz
    for item in screen.bar(corpus["items"], desc="units", unit="item", disable=not progress):
        encoded += _encode_item(path.parent / item["file"], encoder, described, rate_hz)
    corpus["encoder"] = described
    save_json(path, corpus)
    return encoded


def describe(encoder) -> dict:
    """An encoder's entry in corpus.json."""
    plain = {key: getattr(encoder, key) for key in ("name", "rate_hz", "hop_samples", "channels")}
    return plain | {"hash": encoder_hash(encoder)}


def encoder_hash(encoder) -> str:
    """``encoder.hash`` if it has one, else SHA-256 over the tensors of the encoder or of its ``model``."""
    known_hash = getattr(encoder, "hash", None)
    if isinstance(known_hash, str):
        return known_hash
    module = encoder if isinstance(encoder, torch.nn.Module) else getattr(encoder, "model", None)
    if not isinstance(module, torch.nn.Module):
        raise ConfigError(
            f"content encoder {encoder.name!r} has no hash and no weights to take one from",
            "set the encoder's attribute `hash`, so that units of two encoders are never mixed",
        )
    config = getattr(encoder, "config", None)
    known = isinstance(config, (RecogniserConfig, HubertConfig))
    return model_hash.encoder_hash(model_hash.named(config) if known else str(encoder.name), module.state_dict())


def known_hashes(encoder) -> frozenset[str]:
    """The hashes of a recogniser or HuBERT, as it is and as engines that round it have it."""
    return model_hash.KnownEncoder(encoder.config, encoder.model.state_dict()).hashes


def _encode_item(path: Path, encoder, described: dict, rate_hz: int) -> bool:
    stored = arrays.npz(path)
    if "units" in stored and str(stored["units_hash"]) == described["hash"]:
        return False
    audio = resample(stored["audio"].astype(np.float32) / 32768, rate_hz, encoder.rate_hz)
    units = encoder.encode(torch.from_numpy(audio))
    units = units.float().cpu().numpy() if isinstance(units, torch.Tensor) else np.asarray(units)
    with np.errstate(over="ignore"):  # caught below
        units = units.astype(np.float16)
    if units.ndim != 2 or units.shape[1] != encoder.channels or not len(units) or not np.isfinite(units).all():
        raise ConfigError(
            f"{path}: encoder {encoder.name!r} gave units of shape {units.shape}, or not finite ones",
            f"[Tu, {encoder.channels}] within the range of float16 is expected",
        )
    save_arrays(path, stored | {"units": units, "units_hash": np.array(described["hash"])})
    return True
