"""The acoustic model of the package hama (Apache-2.0; its weights lie in the wheel) as a conformer's first weights.

hama hears people whom nothing here has heard. Its network is a Conformer of four blocks on 80 log-mels of power at
16 kHz, 50 states a second; its mel is read from our own by a scale and a shift for each bin.
"""

from __future__ import annotations

import struct
from importlib import resources

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from fastsvc.audio.mel import log_mel
from fastsvc.config import MelConfig, RecogniserConfig
from fastsvc.errors import ConfigError, MissingPackageError
from fastsvc.model.local_conformer import ConformerTrunk
from fastsvc.model.recogniser import normalise

MAGIC = b"HAMAPK\x01\x02"
TYPES = {0: np.dtype("<f4"), 1: np.dtype("<f2")}
FLOOR = 1e-10  # of power
PARTS = {  # of a block: ours → theirs; of "·" there is a weight and a bias
    "before.0·": "ffn1.norm·",
    "after.0·": "ffn2.norm·",
    "attention_norm·": "attn_norm·",
    "conv_norm·": "conv.norm·",
    "gate·": "conv.pointwise1·",
    "mix·": "conv.pointwise2·",
    "norm·": "norm·",
    "before.1.bias": "ffn1.fc1.bias",
    "before.3.bias": "ffn1.fc2.bias",
    "after.1.bias": "ffn2.fc1.bias",
    "after.3.bias": "ffn2.fc2.bias",
    "joined.bias": "attn.in_proj_bias",
    "attended.bias": "attn.out_proj.bias",
}
MATRICES = ("before.1", "before.3", "joined", "attended", "after.1", "after.3")  # nameless there, in this order
SIZES = {"channels": 144, "layers": 4, "kernel": 31, "heads": 4}
MEL = MelConfig(
    rate_hz=16000, hop_samples=160, fft_samples=512, window_samples=400, bins=80, low_hz=0.0, high_hz=8000.0
)


def start(trunk: ConformerTrunk, config: RecogniserConfig, audio: Tensor) -> None:
    """Give the trunk hama's weights. audio [B, S] at 16 kHz: speech, by which the mels are compared.

    Raises MissingPackageError without the package, ConfigError for other sizes than hama's.
    """
    wrong = [f"{name} {size}" for name, size in (SIZES | {"mel": MEL}).items() if getattr(config, name) != size]
    if wrong:
        raise ConfigError(
            f"task.model differs from hama's network, which has {', '.join(wrong)}",
            "copy task.model from configs/people/recogniser.yaml",
        )
    try:
        held = weights(_content())
        trunk.load_state_dict(_named(held, config.layers), strict=False)
    except (struct.error, KeyError, IndexError, StopIteration, OSError, ValueError, RuntimeError):
        raise _other_version() from None
    wanted, given = _theirs(held, audio), normalise(log_mel(audio, config.mel), None, 0)
    frames = min(wanted.shape[1], given.shape[1])
    wanted, given = wanted[:, :frames].flatten(0, 1), given[:, :frames].flatten(0, 1)
    spread = given.var(0).clamp(min=1e-6)
    scale = ((given - given.mean(0)) * (wanted - wanted.mean(0))).mean(0) / spread
    with torch.no_grad():
        trunk.scale.copy_(scale)
        trunk.shift.copy_(wanted.mean(0) - scale * given.mean(0))


def weights(content: bytes) -> dict[str, Tensor]:
    """Name → float32 tensor of a ``.hama`` file: a table of names, types, shapes and places, then the numbers."""
    if content[: len(MAGIC)] != MAGIC:
        raise _other_version()
    (count,), at, table = struct.unpack_from("<I", content, 8), 12, []
    for _ in range(count):
        (length,) = struct.unpack_from("<H", content, at)
        name = content[at + 2 : at + 2 + length].decode()
        kind, rank = content[at + 2 + length : at + 4 + length]
        at += 4 + length
        shape, place = struct.unpack_from(f"<{rank}I", content, at), struct.unpack_from("<QQ", content, at + 4 * rank)
        table.append((name, TYPES[kind], shape, *place))
        at += 4 * rank + 16
    base = len(content) - max(start + size for *_, start, size in table)
    found = {}
    for name, kind, shape, place, size in table:
        values = np.frombuffer(content, kind, size // kind.itemsize, base + place)
        found[name] = torch.from_numpy(values.astype(np.float32).reshape(shape))
    return found


def _other_version() -> ConfigError:
    return ConfigError("hama's weights have another format than that of hama 1.7.0", "pip install hama==1.7.0")


def _named(held: dict[str, Tensor], layers: int) -> dict[str, Tensor]:
    """hama's tensors by our trunk's names."""
    multiplied = iter(value for name, value in held.items() if "MatMul" in name)
    convolved = iter(value for name, value in held.items() if "::Conv" in name)
    ours = {"stem.weight": next(convolved), "stem.bias": next(convolved)}
    for layer in range(layers):
        to, of = f"blocks.{layer}.", f"acoustic_model.model.blocks.{layer}."
        for mine, theirs in PARTS.items():
            for end in (".weight", ".bias") if "·" in mine else ("",):
                value = held[of + theirs.replace("·", end)]
                ours[to + mine.replace("·", end)] = value[..., 0] if value.dim() == 3 else value
        ours |= {f"{to}{name}.weight": next(multiplied).T for name in MATRICES}
        ours |= {f"{to}depthwise.{end}": next(convolved) for end in ("weight", "bias")}
    return ours


def _theirs(held: dict[str, Tensor], audio: Tensor) -> Tensor:
    """hama's log-mel of our frames, whose centres lie half a hop after theirs: [B, T, 80]."""
    hop, reach = MEL.hop_samples, MEL.window_samples // 2
    padded = F.pad(audio[:, None], (reach - hop // 2, reach), mode="reflect")
    parts = (F.conv1d(padded, held[f"stft_{part}_kernel"], stride=hop) for part in ("real", "imag"))
    return (sum(part.square() for part in parts).transpose(1, 2) @ held["mel_fb"] + FLOOR).log()


def _content() -> bytes:
    try:
        import hama
    except ImportError:
        raise MissingPackageError("hama", "task.init: hama", "phones") from None
    return (resources.files(hama) / "assets" / "asr_waveform.hama").read_bytes()
