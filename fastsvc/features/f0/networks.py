"""CREPE, FCPE and RMVPE over recordings of any length: audio at 16 kHz -> salience, in blocks of bounded memory.

Blocks change nothing but rounding: CREPE's windows are independent; FCPE reads 92 frames to each side, and the
statistics of its only group norm are computed first; RMVPE's U-Net reads a halo, and its GRU runs through the blocks
forwards and backwards, carrying its state.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from fastsvc.audio import polyphase, resample, slicing
from fastsvc.audio.mel import log_mel, triangles
from fastsvc.features.f0 import pitch_weights
from fastsvc.model import crepe, fcpe, rmvpe

RATE_HZ = 16000
HOP = 160
CREPE_WINDOWS = {"crepe": 64, "crepe-tiny": 512}  # windows at once: about 300 MB
CREPE_ON_DEVICE = {"crepe": 512, "crepe-tiny": 4096}  # on a GPU, in float16: about 1.2 GB
FCPE_FRAMES = 8192  # 82 s: about 400 MB
RMVPE_FRAMES = 4096  # 41 s, and the halo to each side: about 900 MB

CENTS = crepe.FIRST_CENTS + crepe.CENTS_PER_BIN * torch.arange(crepe.BINS, dtype=torch.float64)


def at_16k(audio: torch.Tensor, rate_hz: int) -> torch.Tensor:
    """[samples] at any rate to 16 kHz, on its device."""
    if rate_hz == RATE_HZ:
        return audio
    if audio.is_cuda and polyphase.on_device() and polyphase.possible(rate_hz, RATE_HZ, audio.device):
        return polyphase.resampled(audio, rate_hz, RATE_HZ)
    return torch.from_numpy(resample.resample(audio.cpu().numpy(), rate_hz, RATE_HZ)).to(audio.device)


def salience(method: str, audio: torch.Tensor, hop: int = HOP, weights=None) -> Iterator[torch.Tensor]:
    """Blocks [t, 360] of the salience of audio [samples] at 16 kHz: samples // hop + 1 frames, i at sample i · hop.

    float32, on the audio's device. ``hop`` is free for CREPE alone. ``weights`` is the file of rmvpe.
    """
    tracker = network(method, audio.device, weights)
    run = {"fcpe": fcpe_blocks, "rmvpe": rmvpe_blocks}.get(method)
    windows = CREPE_ON_DEVICE if audio.is_cuda else CREPE_WINDOWS
    with convolutions(audio.device):
        blocks = run(tracker, audio) if run else crepe_blocks(tracker, audio, hop, windows[method])
        for block in blocks:
            yield block.float()


def network(method: str, device: torch.device, weights=None):
    """The network of ``method`` on the device. Raises the errors of :func:`pitch_weights.find` and of `read`."""
    return _network(method, str(pitch_weights.find(method, weights)), str(device), dtype_on(method, device))


def dtype_on(method: str, device: torch.device) -> torch.dtype:
    """A network's type. float16 on a GPU moves CREPE's and FCPE's pitch by less than a cent (docs/f0.md); its effect on
    RMVPE with its own weights, and on PESTO, was not measured."""
    return torch.float16 if device.type == "cuda" and method not in ("rmvpe", "pesto") else torch.float32


def convolutions(device: torch.device):
    """cuDNN with deterministic algorithms, and float32 products without TF32."""
    if device.type != "cuda":
        return contextlib.nullcontext()
    return torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False)


def cents_of(method: str, weights=None) -> torch.Tensor:
    """The centres [360] of the bins of ``method``, in cents above 10 Hz, float64."""
    return _cents(str(pitch_weights.find(method, weights))) if method == "fcpe" else CENTS


@functools.lru_cache(maxsize=4)
def _cents(path: str) -> torch.Tensor:
    return _network("fcpe", path, "cpu").cents.double()


@functools.lru_cache(maxsize=4)
def _network(method: str, path: str, device: str, dtype: torch.dtype = torch.float32):
    network = pitch_weights.read(method, Path(path)).to(device)
    for part in network.modules():
        if not isinstance(part, crepe.FrozenNorm):  # whose statistics exceed float16
            for value in part.parameters(recurse=False):
                value.data = value.data.to(dtype)
    return network.to(memory_format=torch.channels_last) if method.startswith("crepe") else network


@torch.inference_mode()
def crepe_blocks(network, audio: torch.Tensor, hop: int, block: int) -> Iterator[torch.Tensor]:
    """Windows of 1024 samples around sample i · hop, each brought to mean 0 and deviation 1, as torchcrepe does."""
    half = crepe.WINDOW // 2
    padded = F.pad(audio, (half, half))
    for first in range(0, len(audio) // hop + 1, block):
        last = min(first + block, len(audio) // hop + 1)
        windows = padded[first * hop : (last - 1) * hop + crepe.WINDOW].unfold(0, crepe.WINDOW, hop)
        windows = windows - windows.mean(1, keepdim=True)
        windows = windows / windows.std(1, keepdim=True).clamp(min=1e-10)
        yield network(windows.to(network.classifier.weight.dtype))


@torch.inference_mode()
def fcpe_blocks(network: fcpe.Fcpe, audio: torch.Tensor, block: int = FCPE_FRAMES) -> Iterator[torch.Tensor]:
    mel = fcpe_mel(audio).to(network.head.weight.dtype)
    frames, total, squares = mel.shape[1], 0.0, 0.0
    for first, last, start, end in slicing.blocks(frames, block, fcpe.FRONT_HALO):
        x = network.front(mel[:, start:end])[:, first - start : last - start]
        total, squares = (a + b for a, b in zip((total, squares), network.sums(x)))
    moments = network.moments(total, squares, frames)
    for first, last, start, end in slicing.blocks(frames, block, fcpe.HALO_FRAMES):
        # One frame more for `front`, so that its output is right up to the edge of the halo.
        outer = max(0, start - 1), min(frames, end + 1)
        x = network.front(mel[:, outer[0] : outer[1]])[:, start - outer[0] : end - outer[0]]
        yield network.back(x, *moments)[0, first - start : last - start]


def fcpe_mel(audio: torch.Tensor) -> torch.Tensor:
    """[samples] -> [1, samples // 160 + 1, 128]: the last frame is repeated, as in torchfcpe."""
    short = fcpe.MEL.hop_samples - len(audio)
    mel = log_mel(F.pad(audio, (0, max(0, short)))[None], fcpe.MEL)
    return mel if short > 0 else torch.cat((mel, mel[:, -1:]), 1)


@torch.inference_mode()
def rmvpe_blocks(network: rmvpe.Rmvpe, audio: torch.Tensor, block: int = RMVPE_FRAMES) -> list[torch.Tensor]:
    mel = rmvpe_mel(audio)
    frames = mel.shape[1]
    missing = -frames % rmvpe.MULTIPLE
    reflected = mel.flip(1)[:, 1 : missing + 1] if missing < frames else mel[:, -1:].expand(-1, missing, -1)
    mel = torch.cat((mel, reflected), 1)
    forwards, backwards = network.directions()
    hidden, states, state = [], [], None
    for first, last, start, end in slicing.blocks(mel.shape[1], block, rmvpe.HALO_FRAMES):
        hidden.append(network.hidden(mel[:, start:end])[:, first - start : last - start].clone())
        states.append(state)
        state = forwards(hidden[-1], state)[1]
    state, blocks = None, []
    for state_before in reversed(states):  # the forward half once more: cheaper than keeping all its output
        x = hidden.pop()
        back, state = backwards(x.flip(1), state)
        blocks.append(network.head(torch.cat((forwards(x, state_before)[0], back.flip(1)), 2))[0])
    blocks[0] = blocks[0][: len(blocks[0]) - missing]
    return blocks[::-1]


def rmvpe_mel(audio: torch.Tensor) -> torch.Tensor:
    """[samples] -> [1, samples // 160 + 1, 128]: magnitudes through filters on the HTK mel scale, natural log."""
    half = rmvpe.WINDOW // 2
    frames = len(audio) // rmvpe.HOP + 1
    audio = F.pad(audio, (0, max(0, half + 1 - len(audio))))
    padded = F.pad(audio[None, None], (half, half), mode="reflect")[0, 0]
    window = torch.hann_window(rmvpe.WINDOW, device=audio.device)
    bank = torch.from_numpy(_htk_filters()).to(audio.device)
    blocks = []
    for first in range(0, frames, 8192):
        count = min(8192, frames - first)
        samples = padded[first * rmvpe.HOP : (first + count - 1) * rmvpe.HOP + rmvpe.WINDOW]
        spectrum = torch.stft(samples, rmvpe.WINDOW, rmvpe.HOP, window=window, center=False, return_complex=True)
        blocks.append((bank @ spectrum.abs()).clamp(min=rmvpe.FLOOR).log().T)
    return torch.cat(blocks)[None]


@functools.lru_cache(maxsize=1)
def _htk_filters() -> np.ndarray:
    """[MEL_BINS, WINDOW // 2 + 1] on HTK's scale, mel = 2595 log10(1 + f / 700): librosa.filters.mel(htk=True)."""
    low, high = (2595.0 * np.log10(1.0 + hz / 700.0) for hz in (rmvpe.LOW_HZ, rmvpe.HIGH_HZ))
    edges_hz = 700.0 * (10.0 ** (np.linspace(low, high, rmvpe.MEL_BINS + 2) / 2595.0) - 1.0)
    return triangles(edges_hz, RATE_HZ, rmvpe.WINDOW)
