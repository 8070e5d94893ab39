"""The vocoder by every backend of the engine's device, and its peers: the plain generator, sped up in the usual ways.

Backends do the whole stage, from mel and f0 to audio in host memory. Peers are the generator alone, from a ready
excitation to audio on the device, so the comparison favours the peers.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterator

import torch

from bench import counts, peers, roofs
from bench.peers import NotHere
from bench.stages import width_of
from bench.timing import Clock
from fastsvc import faults
from fastsvc.engine.cpu.generators import CPU_BACKENDS
from fastsvc.engine.engine import Engine
from fastsvc.model.modules import module


def rows(engine: Engine, seconds: float, clock: Clock, machine_roofs: dict) -> list[dict]:
    """A row for each backend; a backend that cannot run has its reason."""
    config = engine.synthesiser.config
    frames = max(1, round(seconds * config.mel.frame_rate_hz))
    generator = torch.Generator().manual_seed(0)
    mel = (torch.randn(frames, config.mel.bins, generator=generator) - 2).to(engine.device)
    f0_hz = (150 + 100 * torch.rand(frames, generator=generator)).to(engine.device)
    work = counts.vocoder(config, frames, width_of(engine, "vocoder"))
    floor = roofs.floor_ms(work.flops, work.bytes, machine_roofs)
    backend_rows = []
    for name in backends(engine):
        row = {"seconds": seconds, "backend": name}
        try:
            with using(engine, name) as synthesise:
                voice = synthesise.speaker({0: 1.0})
                row |= clock(
                    lambda synthesise=synthesise, voice=voice: synthesise(mel, f0_hz, speaker=voice), waits=True
                )
            row["percent_of_floor"] = roofs.percent(floor, row["p50_ms"])
        except Exception as error:  # Triton's and TensorRT's have no common base; the other rows must still come
            row["skipped"] = reason(error)
        backend_rows.append(row)
    return backend_rows


def peer_rows(engine: Engine, seconds: float, names: list[str], clock: Clock) -> Iterator[dict]:
    """A row for each of the peers ``names``; a peer that cannot run has its reason."""
    frames = max(1, round(seconds * engine.synthesiser.config.mel.frame_rate_hz))
    return (_peer_row(engine, name, seconds, frames, clock) for name in names)


def backends(engine: Engine) -> list[str]:
    """All backends of the engine's kind of device, whether they can run or not."""
    return list(engine.synthesiser.choice.makers) if engine.device.type == "cuda" else list(CPU_BACKENDS)


@contextlib.contextmanager
def using(engine: Engine, name: str) -> Iterator[Callable]:
    """The engine's vocoder by one backend. Raises FastsvcError where it cannot run."""
    if engine.device.type != "cuda":
        yield Engine.open(engine.path, "cpu", vocoder_backend=name).synthesiser
        return
    choice = engine.synthesiser.choice
    requested_before = choice.requested
    choice.generator(name)
    choice.requested = name
    try:
        yield engine.synthesiser
    finally:
        choice.requested = requested_before


def reason(error: Exception) -> str:
    """Why a row has no figures, in one line; a bug of ours is named as such."""
    if faults.is_bug(error):
        return faults.line(error)
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]


def _peer_row(engine: Engine, name: str, seconds: float, frames: int, clock: Clock) -> dict:
    row = {"seconds": seconds, "peer": name}
    try:
        return row | clock(peer(name, engine.synthesiser.config, engine.device, frames))
    except (NotHere, RuntimeError, ImportError) as error:
        return row | {"skipped": reason(error)}


@torch.inference_mode(False)  # compilers want ordinary tensors
def peer(name: str, config, device: torch.device, frames: int) -> Callable:
    """A call of the plain generator on random weights and inputs. Raises NotHere."""
    if name != "eager32" and device.type != "cuda":
        raise NotHere("needs an NVIDIA GPU")
    torch.manual_seed(0)
    model = module("vocoder", config).eval().requires_grad_(False).to(device)
    dtype = torch.float32
    if name != "eager32":
        model, dtype = copy.deepcopy(model).half(), torch.float16
    mel = torch.randn(1, frames, config.mel.bins, device=device).to(dtype) - 2
    excitation = 0.1 * torch.randn(1, frames * config.source_hop_samples, device=device).to(dtype)
    net = peers.compiled(model) if name == "compile" else model

    @torch.inference_mode(False)
    @torch.no_grad()
    def run() -> torch.Tensor:
        return net(mel, excitation)

    return peers.graph(run) if name == "graphs" else run
