"""Listeners in training: frozen networks in a student's losses, and their twins, which only judge.

A network of the losses cannot judge the result. So a held-out checkpoint (``task.held_out``, or an architecture that
exists for evaluation) is refused as a listener, and a guard's twin must be held out.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from fastsvc.audio.mel import log_mel
from fastsvc.config import MelConfig, PitchConfig, RecogniserConfig, VerifierConfig, from_dict, to_dict
from fastsvc.data import pseudo
from fastsvc.errors import CheckpointError, ConfigError
from fastsvc.model.keys import fit
from fastsvc.model.pitch import PitchNet
from fastsvc.model.recogniser import Recogniser
from fastsvc.model.verifier import Verifier
from fastsvc.training import checkpoint, perceptual

KINDS = {
    "recogniser": (RecogniserConfig, Recogniser),
    "singer": (VerifierConfig, Verifier),
    "pitch": (PitchConfig, PitchNet),
}
HELD_OUT = ("gru", "conv2d")  # architectures that exist for evaluation alone
CENTROID_CROPS, CENTROID_FRAMES = 24, 192


def listener(path: str, kind: str, mel: MelConfig, held_out: bool = False) -> nn.Module:
    """The network of a checkpoint, frozen, in eval mode, on the CPU. ``held_out``: whether it must be a twin.

    Raises CheckpointError where the file is damaged, or a twin is given as a listener (or the reverse), and ConfigError
    where it has another mel than the corpus.
    """
    content = checkpoint.load(path, kind)
    config_class, network_class = KINDS[kind]
    config = from_dict(config_class, content["config"]["model"])
    if is_held_out(content) and not held_out:
        raise CheckpointError(
            f"{path} is held out for evaluation, so training cannot use it as a listener",
            f"train another {kind}, without task.held_out and of the plain architecture",
        )
    if held_out and not is_held_out(content):
        raise CheckpointError(
            f"{path} is not held out from training, so it cannot be a guard",
            f"train a {kind} with task.held_out and another architecture and seed",
        )
    if to_dict(config.mel) != to_dict(mel):
        raise ConfigError(
            f"{path} has another mel than the corpus",
            "train the recogniser with task.domain: corpus"
            if kind == "recogniser"
            else f"train the {kind} on this corpus",
        )
    model = network_class(config)
    model.load_state_dict(fit(content["ema"], lambda: network_class(config), Path(path)))
    model.labels = (content["config"].get("train") or {}).get("labels")  # which clusters a recogniser names
    return model.requires_grad_(False).eval()


def is_held_out(content: dict) -> bool:
    """Whether a checkpoint's own configuration forbids it in training's losses."""
    settings = (content["config"].get("train") or {}).get("task") or {}
    return bool(settings.get("held_out")) or content["config"]["model"].get("architecture") in HELD_OUT


def check_phones(recogniser: Recogniser, corpus, path: str) -> None:
    """Raises ConfigError where the recogniser names other phones than the corpus, or other clusters of units."""
    labels = None if corpus.clusters is None else pseudo.mark(corpus.clusters)
    others = None not in (labels, recogniser.labels) and labels != recogniser.labels
    if others or list(recogniser.config.phones[1:]) != list(corpus.phones):
        raise ConfigError(f"{path} has other phones than the corpus", "train the recogniser on the current corpus")


@torch.no_grad()
def centroids(verifier: Verifier, corpus, singers: list[int | None], seed: int) -> Tensor:
    """[S, E]: the mean direction of clips of each singer, drawn from training songs; deterministic.

    None in ``singers``: a singer without songs, who is never a target; the row is zeros.
    """
    rows, device = [], next(verifier.parameters()).device
    for singer in singers:
        if singer is None:
            rows.append(torch.zeros(verifier.config.embedding, device=device))
            continue
        rng = np.random.default_rng([seed, 7, singer])
        crops = [corpus.crop(rng, "train", CENTROID_FRAMES, singer) for _ in range(CENTROID_CROPS)]
        audio = torch.from_numpy(np.stack([crop["audio"] for crop in crops]))
        valid = torch.from_numpy(np.stack([crop["mask"] for crop in crops])).float()
        rows.append(perceptual.centroid(verifier(log_mel(audio, corpus.mel).to(device), valid.to(device))))
    return torch.stack(rows)
