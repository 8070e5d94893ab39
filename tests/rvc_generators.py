"""The generators inside the golden voices of RVC, read from the files by hand, and the cases that upstream computed."""

import json
import zlib
from pathlib import Path

import numpy as np
import torch

from fastsvc.config import MelConfig, VocoderConfig, rvc_sizes

FOLDER = Path(__file__).parent / "data" / "rvc"
CASES = {
    "v1_40k": ("T3", "T47"),
    "v2_40k": ("T3", "T13", "T57"),
    "v2_48k": ("T12",),
    "v1_48k": ("T31",),
    "v2_40k_nof0": ("T3", "T47"),
    "v1_40k_nof0": ("T31",),
}


def golden(name: str) -> tuple[VocoderConfig, dict[str, torch.Tensor]]:
    """The generator of the golden voice ``name``, and its tensors as the specification names them."""
    file = torch.load(FOLDER / name / f"{name}.pth", weights_only=True)
    weight, numbers = {key: value.float() for key, value in file["weight"].items()}, file["config"]
    rate_hz = 1000 * int(name.split("_")[1].removesuffix("k"))
    config = VocoderConfig(
        family="openvpi",
        mel=MelConfig(rate_hz, rate_hz // 100, bins=numbers[2], low_hz=0, high_hz=rate_hz / 2, log_base="e"),
        initial_channels=numbers[13],
        upsample_rates=tuple(numbers[12]),
        upsample_kernels=tuple(numbers[14]),
        harmonics=0,
        source="sines" if file["f0"] else "none",
        speakers=len(weight["emb_g.weight"]),
    )
    return config, taken(weight)


def taken(weight: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """A voice's generator: weight norm folded, and the speakers' part of it as a table."""
    own = {key.removeprefix("dec."): value for key, value in weight.items() if key.startswith("dec.")}
    tensors = {}
    for key, value in own.items():
        if key.endswith("weight_v"):
            gain = own[f"{key[:-1]}g"]
            tensors[key.removesuffix("_v")] = value * (gain / value.norm(dim=(1, 2), keepdim=True))
        elif not key.endswith("weight_g") and not key.startswith("cond."):
            tensors[key] = value
    tensors["speakers.weight"] = weight["emb_g.weight"] @ own["cond.weight"][..., 0].T
    tensors["conv_pre.bias"] = tensors["conv_pre.bias"] + own["cond.bias"]
    tensors["conv_post.bias"] = torch.zeros(1)
    return tensors


def full() -> dict[str, torch.Tensor]:
    """The generator of v2 40k at full size, its weights by the recipe of the golden data."""
    listed = json.loads((FOLDER / "full" / "shapes.json").read_text(encoding="utf-8"))
    shapes = {}
    for part in listed["voices"]["v2 40k f0"]["parts"]:
        shapes |= listed["parts"][part]
    rates, _ = rvc_sizes.SIZES["40k"]
    return taken({key: _by_recipe(key, shapes[key], rates) for key in shapes if key.startswith(("dec.", "emb_g."))})


def _by_recipe(key: str, shape: list[int], rates) -> torch.Tensor:
    draw = np.random.default_rng([zlib.crc32(key.encode()), 0]).standard_normal(shape, dtype=np.float32)
    gain = {"dec.conv_post.weight": 0.4}.get(key, 3.0 if "dec.noise_convs." in key else 1.0)
    if key.endswith("weight_g"):
        gain = 0.3 if ".convs2." in key else (rates[int(key.split(".")[2])] / 2) ** 0.5 if "dec.ups." in key else 1.0
        draw = gain * np.maximum(1 + 0.2 * draw, 0.2)
    elif key.endswith(("weight_v", "bias")):
        draw = 0.1 * draw
    elif key == "dec.m_source.l_linear.weight":
        draw = abs(draw) + 2
    elif key != "emb_g.weight":
        draw = draw * gain / np.sqrt(np.prod(shape[1:]))
    return torch.from_numpy(draw.astype(np.float16).astype(np.float32))


def case(name: str, frames: str) -> dict[str, torch.Tensor]:
    """z [1, T, C], source [1, T·hop] (absent without pitch), audio [1, T·hop] and sid of one golden case."""
    with np.load(FOLDER / name / f"{frames}.npz") as data:
        found = {"z": torch.from_numpy(data["z"]).float().transpose(1, 2), "sid": int(data["sid"].item())}
        if "har_source" in data:
            found["source"] = torch.from_numpy(data["har_source"]).float()[..., 0]
        return found | {"audio": torch.from_numpy(data["audio"]).float()[:, 0]}
