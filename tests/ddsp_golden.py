"""Voices of DDSP-SVC 6 with weights by recipe, what upstream computed with them, and their files as upstream writes
them. Weights are read by hand here, so that nothing of the compiler's reader is needed to judge the model."""

import json
import shutil
import zlib
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from fastsvc.config import DdspConfig, FeatureConfig, MelConfig
from fastsvc.model import weight_norm
from fastsvc.model.modules import module

FOLDER = Path(__file__).parent / "data" / "ddsp"
SMALL_CASES = ("T2", "T29_mix", "T37")
CASES = [*(("small_6.1", name) for name in SMALL_CASES), ("full_6.0", "T20"), ("full_6.1", "T20")]
SMALL_MEL = MelConfig(44100, 64, 256, 256, 16, 40.0, 16000.0, "e")
SMALL = DdspConfig(
    mel=SMALL_MEL,
    features=FeatureConfig("contentvec768l12", 24, "round", "rmvpe", "diffusion_svc", 65.0, 800.0),
    speakers=3,
    window_samples=256,
    hidden=24,
    hidden_layers=2,
    channels=48,
    layers=3,
)
FEATURES = replace(SMALL.features, unit_channels=768)
CONFIGS = {
    "small_6.1": SMALL,
    "full_6.0": DdspConfig(version="6.0", features=FEATURES, speakers=3),
    "full_6.1": DdspConfig(features=FEATURES, speakers=3),
}


def recipe(key: str, shape, kind: str, gain: float) -> Tensor:
    """The tensor of one key of `weights.json`."""
    if kind == "integer":
        return torch.tensor(int(gain))
    if kind == "window":
        return torch.hann_window(shape[0])
    seed = np.random.default_rng([zlib.crc32(key.encode()), 0])
    random, gain = seed.standard_normal(shape, dtype=np.float32), np.float32(gain)
    of_kind = {
        "g": lambda: gain * np.maximum(1 + np.float32(0.2) * random, np.float32(0.2)),
        "norm": lambda: 1 + gain * random,
        "prelu": lambda: np.float32(0.25) + gain * random,
    }
    return torch.from_numpy(of_kind.get(kind, lambda: gain * random)())


@lru_cache(maxsize=2)
def weights(voice: str) -> dict[str, Tensor]:
    """The state dict of a checkpoint, as upstream saves it."""
    listed = json.loads((FOLDER / voice / "weights.json").read_text())
    return {key: recipe(key, *entry) for key, entry in listed.items()}


def model(voice: str):
    """The specification's module with these weights, evaluated without gradients."""
    state, built = weight_norm.fold(weights(voice)), module("ddsp", CONFIGS[voice])
    built.load_state_dict({name: state[name] for name in built.state_dict()})
    return built.eval().requires_grad_(False)


def small_6_0() -> dict[str, Tensor]:
    """A voice of version 6.0 with the small sizes: upstream's keys, weights by the recipe of the large one."""
    listed, state = json.loads((FOLDER / "full_6.0" / "weights.json").read_text()), {}
    small = weights("small_6.1")
    for key, (shape, kind, gain) in listed.items():
        if "residual_layers." in key and int(key.split("residual_layers.")[1].split(".")[0]) >= SMALL.layers:
            continue
        if kind in ("integer", "window"):
            state[key] = small[key]
            continue
        state[key] = recipe(key, [_small(size, key) for size in shape], kind, gain)
    return state


def _small(size: int, key: str) -> int:
    """A size of the small voice, in place of the full one's."""
    if size in (1, 3, 31):
        return size
    if key.startswith("reflow_model."):
        return SMALL.mel.bins if size == 128 else size * SMALL.channels // 512
    if size == 768:
        return SMALL.unit_channels
    return 4 * SMALL.filter_bins if size == 4100 else size * 24 // 256


def case(voice: str, name: str) -> dict[str, Tensor]:
    """The arrays of a case; draws and units widened to float32, time second."""
    with np.load(FOLDER / voice / f"{name}.npz") as data:
        arrays = {key: torch.from_numpy(np.asarray(data[key])) for key in data.files}
    arrays = {key: value.float() if value.dtype == torch.float16 else value for key, value in arrays.items()}
    for key in arrays:
        if arrays[key].dim() == 4:  # [1, 1, M, T]
            arrays[key] = arrays[key][:, 0].transpose(1, 2)
    arrays["f0"], arrays["volume"] = arrays["f0"][..., 0], arrays["volume"][..., 0]
    return arrays


def speaker(golden: dict[str, Tensor], speakers: int = 3) -> Tensor:
    """Rows, or weights of a mixture, as the model takes them."""
    if "mix_ids" not in golden:
        return (golden["spk_id"] - 1).view(1)
    mixture = torch.zeros(1, speakers)
    mixture[0, golden["mix_ids"] - 1] = golden["mix_weights"].float()
    return mixture


def mixture(golden: dict[str, Tensor]) -> dict[int, float]:
    """Weights by rows of the table, as engines take them."""
    if "mix_ids" not in golden:
        return {int(golden["spk_id"]) - 1: 1.0}
    return {int(i) - 1: float(w) for i, w in zip(golden["mix_ids"], golden["mix_weights"])}


def key_shift(golden: dict[str, Tensor]) -> Tensor | None:
    return golden["aug_shift"].float().view(1) if "aug_shift" in golden else None


def conditions(golden: dict[str, Tensor]) -> tuple:
    """The arguments of DdspModel.first_mel."""
    features = golden["units"], golden["f0"], golden["volume"]
    return *features, speaker(golden), golden["noise_source"], key_shift(golden)


def write(folder: Path, voice: str = "small_6.1", state: dict | None = None) -> Path:
    """A training's folder as upstream leaves it: the checkpoint and its config.yaml."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(FOLDER / voice / "config.yaml", folder / "config.yaml")
    path = folder / "model_100000.pt"
    torch.save({"global_step": 100000, "model": weights(voice) if state is None else state}, path)
    return path
