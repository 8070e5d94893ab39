"""Full-size voices of RVC with their HuBERT, random weights in RVC's and transformers' layouts, and engines of them.

Weights are scaled so that every layer's output has about the size of its input, as trained ones do: the audio is noise,
but its level is that of a voice.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path

from bench.models import UNITS
from fastsvc.config import FeatureConfig, HubertConfig, RvcConfig, VocoderConfig
from fastsvc.config.rvc_sizes import generator

SIZES = {"v2 40k": "40k", "v1 48k": "v1 48k"}  # a voice's name → the generator's in rvc_sizes
# (part of a parameter's name, its gain); 1 for all others
GAINS = {"enc_p.proj.": 0.5, ".post.": 0.5, ".convs2.": 0.3, "conv_post.": 0.4, "noise_convs.": 3.0}


def configs(voice: str, channels: int = 512, hidden: int = 192) -> tuple[RvcConfig, VocoderConfig]:
    """Of a voice of SIZES; ``channels`` of the generator and ``hidden`` of the rest are smaller for tests."""
    vocoder, v2 = generator(SIZES[voice], channels, hidden), voice.startswith("v2")
    features = FeatureConfig("vec768l12" if v2 else "vec256l9", UNITS if v2 else 256, "left")
    return RvcConfig(mel=vocoder.mel, features=features, hidden=hidden, filter_channels=4 * hidden), vocoder


def make(folder: Path, voice: str, say=print, small: bool = False, channels: int = 512, **options) -> Path:
    """The voice, its HuBERT and the engine of both: ``folder``/voice.pth, hubert/, rvc.fsvc.

    ``options``: of fastsvc.build.compile. ``small``: little of everything, for tests. ``channels``: of the generator.
    """
    from fastsvc import build

    acoustic, vocoder = configs(voice, *((32, 16) if small else (channels,)))
    v2 = voice.startswith("v2")
    hubert = HubertConfig()
    if small:
        hubert = HubertConfig(channels=UNITS if v2 else 32, heads=4, hidden=8, conv_channels=(16,) * 7)
    content = write_hubert(folder / "hubert", hubert, projection=0 if v2 else 256)
    path = write_voice(folder / "voice.pth", voice, acoustic, vocoder)
    plain = {"target": "cpu", "precision": "fp32", "progress": say}
    return build.compile(path, folder / "rvc.fsvc", content=content, **plain | options)


def write_voice(path: Path, voice: str, acoustic: RvcConfig, vocoder: VocoderConfig) -> Path:
    """A voice's file as RVC writes it, but without weight norm."""
    import torch

    from fastsvc.model.rvc import RvcModel
    from fastsvc.model.vocoder import Generator

    part = Generator(vocoder).state_dict()
    for name in ("speakers.weight", "conv_post.bias"):
        del part[name]
    shapes = {f"dec.{name}": value.shape for name, value in part.items()}
    shapes |= {name: value.shape for name, value in RvcModel(acoustic).state_dict().items()}
    shapes["dec.cond.weight"] = torch.Size((vocoder.initial_channels, acoustic.speaker_channels, 1))
    shapes["dec.cond.bias"] = torch.Size((vocoder.initial_channels,))
    draw = torch.Generator().manual_seed(0)
    weight = {name: _random(name, shape, vocoder, draw).half() for name, shape in shapes.items()}
    torch.save(
        {
            "weight": weight,
            "config": sizes(acoustic, vocoder),
            "info": "random",
            "sr": f"{vocoder.mel.rate_hz // 1000}k",
            "f0": 1,
            "version": voice[:2],
        },
        path,
    )
    return path


def sizes(acoustic: RvcConfig, vocoder: VocoderConfig) -> list:
    """The list `config` of a voice's file."""
    encoder = [acoustic.mel.bins, acoustic.hidden, acoustic.filter_channels, acoustic.heads, acoustic.layers]
    blocks = ["1", list(vocoder.resblock_kernels), [list(row) for row in vocoder.resblock_dilations]]
    stages = [list(vocoder.upsample_rates), vocoder.initial_channels, list(vocoder.upsample_kernels)]
    speakers = [acoustic.speakers, acoustic.speaker_channels, vocoder.mel.rate_hz]
    return [1025, 32, *encoder, acoustic.kernel, 0, *blocks, *stages, *speakers]


def _random(name: str, shape, vocoder: VocoderConfig, draw):
    import torch

    values = torch.randn(shape, generator=draw)
    if name.endswith("gamma"):
        return 1 + 0.1 * values
    if name.endswith(("bias", "beta")):
        return 0.1 * values
    if name == "dec.m_source.l_linear.weight":
        return values.abs() + 2
    if name in ("emb_g.weight", "enc_p.emb_pitch.weight"):
        return values
    gain = next((gain for part, gain in GAINS.items() if part in name), 1.0)
    if name.startswith("dec.ups."):
        gain = math.sqrt(vocoder.upsample_rates[int(name.split(".")[2])] / 2)
    if "emb_rel_" in name:
        gain = 2.0
    return values * (gain / math.sqrt(math.prod(shape[1:])))


def write_hubert(folder: Path, config: HubertConfig, projection: int) -> Path:
    """HuBERT as transformers writes it: model.safetensors and config.json."""
    import dataclasses

    import torch
    from safetensors.torch import save_file

    from fastsvc.checkpoints.readers.huggingface import FIELDS
    from fastsvc.model.hubert import Hubert

    torch.manual_seed(0)
    config = dataclasses.replace(config, projection=projection)
    state: Mapping = Hubert(config).state_dict()
    name = "encoder.pos_conv_embed.conv.weight"
    halves = {f"{name}_g": state[name].norm(dim=(0, 1), keepdim=True), f"{name}_v": state[name].clone()}
    folder.mkdir(parents=True, exist_ok=True)
    save_file({key: value for key, value in state.items() if key != name} | halves, folder / "model.safetensors")
    values = {key: getattr(config, field) for key, field in FIELDS.items()}
    text = {"model_type": "hubert", "classifier_proj_size": projection, **values}
    (folder / "config.json").write_text(json.dumps(text), encoding="utf-8")
    return folder
