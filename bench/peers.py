"""The denoiser's peers: the plain PyTorch model, and the usual ways to speed it up.

Each peer does the work of the engine's stage `denoiser`: from noise and a condition to a normalised mel.
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch

from fastsvc.model import sampler
from fastsvc.model.acoustic import AcousticModel


class NotHere(Exception):
    """A peer cannot run; the text is the reason."""


@torch.inference_mode(False)  # compilers want ordinary tensors
def random_model(config, device: torch.device) -> AcousticModel:
    """The plain model with random weights of a usual size: times do not depend on them."""
    torch.manual_seed(0)
    return AcousticModel(config).eval().requires_grad_(False).to(device)


@torch.inference_mode(False)
def peer(name: str, model: AcousticModel, levels: list[float], method: str, frames: int) -> Callable:
    """A call of one peer, warmed up. Raises NotHere."""
    config, device = model.config, next(model.parameters()).device
    if name != "eager32":
        if device.type != "cuda":
            raise NotHere("needs an NVIDIA GPU")
        model = copy.deepcopy(model).half()
    dtype = next(model.parameters()).dtype
    cond = torch.randn(1, frames, config.denoiser.cond_channels, device=device, dtype=dtype)
    noise = torch.randn(len(levels), 1, frames, config.mel.bins, device=device)
    net = compiled(model.denoiser) if name == "compile" else model.denoiser

    @torch.inference_mode(False)
    @torch.no_grad()
    def run() -> torch.Tensor:
        return sampler.sample(config, method, denoise, levels, lambda step: noise[step], cond)

    denoise = _denoise(net, config, cond, dtype)
    return graph(run) if name == "graphs" else run


def _denoise(net, config, cond, dtype):
    """D(x, σ) with the network in ``dtype`` and everything else in float32; the scalars are computed once."""
    from fastsvc.model import process

    scalars_by_level: dict[float, tuple] = {}

    def denoise(x, sigma):
        if sigma not in scalars_by_level:
            scalars = process.coefficients(config, torch.tensor([sigma], dtype=torch.float32))
            scalars_by_level[sigma] = *map(float, scalars[:3]), scalars[3].to(x.device, dtype)
        c_skip, c_out, c_in, c_noise = scalars_by_level[sigma]
        return c_skip * x + c_out * net((c_in * x).to(dtype), c_noise, cond).float()

    return denoise


def compiled(net):
    """torch.compile at its best. Raises NotHere."""
    try:
        return torch.compile(net, mode="max-autotune", dynamic=False)
    except RuntimeError as error:
        raise NotHere(f"torch.compile: {error}") from None


def graph(run: Callable) -> Callable:
    """The same work as one CUDA graph."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            run()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        run()
    return graph.replay
