"""Vocoders with random weights and the folders of engines that hold nothing else, for graphs and plans."""

from dataclasses import replace
from pathlib import Path

import torch
import weights

from bench import vocoder_folder
from bench.vocoder_cpu import OPENVPI
from fastsvc.artifact import engine_folder
from fastsvc.config import VocoderConfig, rvc_sizes
from fastsvc.model import vocoders
from fastsvc.model.stored import half
from fastsvc.model.vocoder import Generator

FULL = {
    "m4": VocoderConfig(),
    "openvpi": VocoderConfig(**OPENVPI),
    "pc-nsf": VocoderConfig(**OPENVPI, source="sine", noise_sigma=0.3),
}
SMALL = {name: replace(config, initial_channels=32) for name, config in FULL.items()} | {
    "pulse": VocoderConfig(initial_channels=16, source="pulse", resblock="2"),
    # kernels that are no multiple of their rates, and one block, so that nothing is averaged
    "uneven": VocoderConfig(
        initial_channels=16, upsample_kernels=(10, 4, 6, 2), resblock_kernels=(3,), resblock_dilations=((1, 3, 5),)
    ),
    "rvc": rvc_sizes.generator("v2 48k", channels=16, bins=20, speakers=3),
    "rvc without pitch": rvc_sizes.generator("40k", channels=16, bins=24, source="none", speakers=2),
}


def generator(config: VocoderConfig) -> Generator:
    """Random weights under which every layer matters."""
    model = Generator(config).eval().requires_grad_(False)
    model.load_state_dict(weights.vocoder(config))
    return model


def given(config: VocoderConfig, batch: int, frames: int) -> dict[str, torch.Tensor]:
    """The generator's inputs, by their names in the graph."""
    torch.manual_seed(frames)
    shapes = vocoders.shapes(config, batch, frames)
    found = {"mel": torch.randn(shapes["mel"]) - 2}
    if "source" in shapes:
        found["source"] = 0.1 * torch.randn(shapes["source"])
    if "noise" in shapes:
        found["noise"] = torch.randn(shapes["noise"])
    if "speaker" in shapes:
        found["speaker"] = torch.randn(batch, 1, config.initial_channels).repeat(1, frames, 1)
    return found


def arguments(given: dict[str, torch.Tensor]) -> tuple[torch.Tensor | None, ...]:
    """The same as a Generator takes them: mel, source, and what is added."""
    return given["mel"], given.get("source"), given.get("noise", given.get("speaker"))


def folder(path: Path, model: Generator, stored_half: bool = False, with_graphs: bool = True) -> engine_folder.Artifact:
    """An engine's folder with the vocoder and its graphs; ``model`` gets the weights as they are stored."""
    tensors = {name: value.detach().contiguous() for name, value in model.state_dict().items()}
    if stored_half:
        tensors = {name: half(name, value) for name, value in tensors.items()}
        model.load_state_dict(tensors)
    return vocoder_folder.write(path, model.config, tensors, with_graphs)
