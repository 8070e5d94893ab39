"""Voices of RVC from tests/data/rvc as the specification's modules, what upstream computed with them, and the recipe of
full-sized ones. Files are read by hand here, so that nothing of the compiler's reader is needed to judge the model."""

import json
import math
import zlib
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from fastsvc.config import MelConfig, VocoderConfig
from fastsvc.config.acoustic import FeatureConfig
from fastsvc.config.rvc import RvcConfig
from fastsvc.model import source, weight_norm
from fastsvc.model.modules import module
from fastsvc.model.rvc import RvcModel, live
from fastsvc.model.vocoder import Generator

FOLDER = Path(__file__).parent / "data" / "rvc"
VOICES = {
    folder.name: sorted(path.name for path in folder.glob("*.pth"))
    for folder in sorted(FOLDER.iterdir())
    if list(folder.glob("*.pth"))
}
CASES = [
    (f"{folder}/{file}", f"{folder}/{path.stem}")
    for folder, files in VOICES.items()
    for file in files
    for path in sorted((FOLDER / folder).glob("*.npz"))
]
TRANSPOSED = ("m_p", "logs_p", "z_p", "z", "dec_in", "noise_z")  # [1, C, T] in the files
SAMPLES = "har_source", "har_exact", "audio", "audio_exact"
FULL = "full/v2_40k_T30"


class Voice(NamedTuple):
    """A voice's two modules."""

    acoustic: RvcModel
    generator: Generator


def voice(file: dict) -> Voice:
    """The modules of what lies in a voice's file: its "weight", "config", "f0" and "version"."""
    weight = weight_norm.fold({name: tensor.float() for name, tensor in file["weight"].items()})
    acoustic_config, generator_config = configs(file, weight)
    own = {name.removeprefix("dec."): weight.pop(name) for name in list(weight) if name.startswith("dec.")}
    own["speakers.weight"] = weight["emb_g.weight"] @ own.pop("cond.weight")[..., 0].T
    own["conv_pre.bias"] = own["conv_pre.bias"] + own.pop("cond.bias")
    own["conv_post.bias"] = torch.zeros(1)
    acoustic, generator = module("rvc", acoustic_config), module("vocoder", generator_config)
    acoustic.load_state_dict(weight)
    generator.load_state_dict(own)
    return Voice(acoustic.eval().requires_grad_(False), generator.eval().requires_grad_(False))


def configs(file: dict, weight: dict[str, Tensor]) -> tuple[RvcConfig, VocoderConfig]:
    """Of the acoustic part and of the generator; the number of speakers is that of the table's rows."""
    numbers, pitch = file["config"], bool(file["f0"])
    rate_hz, speakers = numbers[17], len(weight["emb_g.weight"])
    mel = MelConfig(rate_hz, rate_hz // 100, bins=numbers[2], low_hz=0, high_hz=rate_hz / 2, log_base="e")
    units = weight["enc_p.emb_phone.weight"].shape[1]
    encoder = {256: "vec256l9", 768: "vec768l12"}[units]
    names = "hidden", "filter_channels", "heads", "layers", "kernel"
    acoustic = RvcConfig(
        mel=mel,
        features=FeatureConfig(encoder, units, unit_align="left", f0_low_hz=50.0, f0_high_hz=1100.0),
        speakers=speakers,
        speaker_channels=numbers[16],
        pitch=pitch,
        **dict(zip(names, numbers[3:8])),
    )
    return acoustic, VocoderConfig(
        family="openvpi",
        mel=mel,
        initial_channels=numbers[13],
        upsample_rates=tuple(numbers[12]),
        upsample_kernels=tuple(numbers[14]),
        harmonics=0,
        source="sines" if pitch else "none",
        speakers=speakers,
    )


@lru_cache(maxsize=2)
def read(name: str) -> dict:
    """A voice's file, "v2_40k/v2_40k.pth"."""
    return torch.load(FOLDER / name, weights_only=True)


@lru_cache(maxsize=2)
def case(name: str) -> dict[str, Tensor]:
    """A case, "v2_40k/T13": time on the second axis, floating-point arrays as float32."""
    with np.load(FOLDER / f"{name}.npz") as data:
        found = {key: torch.from_numpy(data[key]) for key in data.files if data[key].dtype.kind in "fi"}
    found = {key: value.float() if value.is_floating_point() else value for key, value in found.items()}
    found |= {key: found[key].transpose(1, 2) for key in TRANSPOSED if key in found}
    return found | {key: found[key].flatten(1) for key in SAMPLES if key in found}


def pieces(name: str) -> dict[str, np.ndarray]:
    """The arrays of a step around the network, "pitch"."""
    with np.load(FOLDER / "pieces" / f"{name}.npz") as data:
        return dict(data)


def run(voice: Voice, case: dict[str, Tensor]) -> dict[str, Tensor]:
    """The case's inputs through the specification: every intermediate, named as in the case."""
    model, generator = voice
    speaker, coarse = model.speaker(case["sid"][None]), case.get("pitch")
    mean, log_deviation = model.prior(case["units"], coarse)
    f0_hz, length = case.get("pitchf"), mean.shape[1]
    if "skip_head" in case:
        window = live.Window(int(case["skip_head"]), int(case["return_length"]))
        first, length = window.first(model), int(case["return_length2"])
        mean, log_deviation = mean[:, first:], log_deviation[:, first:]
        z = live.latent(model, window, case["units"], coarse, speaker, case["noise_z"])
        f0_hz = None if f0_hz is None else f0_hz[:, window.head : window.head + window.frames]
    else:
        z = model.latent(case["units"], coarse, speaker, case["noise_z"])
    got = {"m_p": mean, "logs_p": log_deviation, "z_p": model.draw(mean, log_deviation, case["noise_z"]), "z": z}
    excitation, config = None, generator.config
    if f0_hz is not None:
        phase, start = source.frame_phase(f0_hz, config), torch.zeros(1, dtype=torch.float64)
        sines = source.harmonics(f0_hz, phase, start, case["noise_source"], config)
        got["har_source"] = generator.source(sines.to(z.dtype))
        excitation = live.stretched(got["har_source"][..., None], length * config.mel.hop_samples)[..., 0]
    got["dec_in"] = live.stretched(z, length)
    added = generator.speakers.weight[case["sid"]][None, None]
    return got | {"audio": generator(got["dec_in"], excitation, added)}


def exactly(voice: Voice, case: dict[str, Tensor]) -> dict[str, Tensor]:
    """:func:`run` in float64."""
    wide = {key: value.double() if value.is_floating_point() else value for key, value in case.items()}
    return run(Voice(*(part.double() for part in voice)), wide)


def full_size(name: str) -> dict:
    """The file of a full-sized voice, "v2 40k f0": random weights by the golden data's recipe."""
    shapes = json.loads((FOLDER / "full" / "shapes.json").read_text(encoding="utf-8"))
    about = shapes["voices"][name]
    keys = {key: shape for part in about["parts"] for key, shape in shapes["parts"][part].items()}
    weight = {key: torch.from_numpy(_recipe(key, shape, about["config"])) for key, shape in keys.items()}
    return {"weight": weight, "config": about["config"], "f0": int("no f0" not in name), "version": name[:2]}


def _recipe(key: str, shape: list[int], numbers: list) -> np.ndarray:
    r = np.random.default_rng([zlib.crc32(key.encode()), 0]).standard_normal(shape, dtype=np.float32)
    if key.endswith("weight_g"):
        gain = 0.3 if ".convs2." in key else 1.0
        if key.startswith("dec.ups."):
            gain = (numbers[12][int(key.split(".")[2])] / 2) ** 0.5
        r = gain * np.maximum(1 + 0.2 * r, 0.2)
    elif key.endswith(("weight_v", "beta", "bias")):
        r = 0.1 * r
    elif key.endswith("gamma"):
        r = 1 + 0.1 * r
    elif key.endswith(("emb_rel_k", "emb_rel_v")):
        r = 2 * r / shape[-1] ** 0.5
    elif key == "dec.m_source.l_linear.weight":
        r = np.abs(r) + 2
    elif key not in ("emb_g.weight", "enc_p.emb_pitch.weight"):
        gains = {"enc_p.proj.weight": 0.5, ".post.": 0.5, "dec.conv_post.weight": 0.4, "dec.noise_convs.": 3.0}
        gain = next((gain for part, gain in gains.items() if part in key), 1.0)
        r = r * (gain / math.prod(shape[1:]) ** 0.5)
    return r.astype(np.float16)
