"""The stages of a conversion by a voice of RVC as separate calls on prepared inputs, for `bench.latency`.

Every stage gets what it gets in a conversion: frames of the recording and the margins around it, which the vocoder gets
as far as it reads.
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch

from bench import counts, peers
from bench.peers import NotHere
from bench.stages import WHOLE, TimedStage, resampling, voice, width_of
from fastsvc.config import RvcConfig
from fastsvc.engine import rvc_front, rvc_options, synthesis
from fastsvc.engine.cpu.sampler import SeededNoise
from fastsvc.engine.request import Request
from fastsvc.model.rvc import RvcModel

STAGES = ("units", "f0", "retrieval", "prior", "flow", "generator", "joining")
LATENT = ("prior", "flow")  # the work of the peers
MARGIN = rvc_front.MARGIN


def sizes(config: RvcConfig) -> str:
    pitch = "with pitch" if config.pitch else "without pitch"
    return f"RVC {config.version}, {config.mel.rate_hz} Hz, {pitch}, {config.layers}×{config.hidden}"


def stages(engine, seconds: float) -> list[TimedStage]:
    """All stages of ``seconds`` of audio, in order, and the whole. Retrieval only where the engine has an index."""
    config, asked = engine.config, Request(engine.table.base)
    hop, width = config.mel.hop_samples, width_of(engine, "")
    own = max(1, round(seconds * config.mel.frame_rate_hz))
    recording = voice(own * rvc_front.HOP, rvc_front.RATE_HZ).numpy()
    frames, audio = own + 2 * MARGIN, rvc_front.continued(recording, own)
    heard = rvc_front.features(engine, recording, rvc_front.RATE_HZ, asked)
    found = rvc_front.settled(heard, rvc_options.of(engine, asked).unvoiced)
    speaker, noise = engine.sampler.condition.speaker({0: 1.0}), SeededNoise(0, config.mel.bins)
    pieces = engine.sampler.timed_stages(found, speaker, 1, noise)
    latent, vector = engine.sampler(found, speaker, 1, noise), engine.synthesiser.speaker({0: 1.0})
    latent, f0_hz, _ = synthesis.without_margin(latent, found.f0_hz, found.margin, engine.synthesiser.config)
    result = engine.synthesiser(latent, f0_hz, speaker=vector).numpy()[: own * hop]
    samples = len(audio) - rvc_front.HALF
    work = counts.content(engine.encoder, samples / rvc_front.RATE_HZ, width_of(engine, "content encoder"))
    timed = [TimedStage("units", lambda: engine.encoder.encode(audio[rvc_front.HALF :]), work)]
    method = rvc_options.f0_method(engine, asked)
    if method is not None:
        timed.append(TimedStage("f0", lambda: rvc_front.pitch(engine, audio, frames, method, asked), waits=True))
    if engine.index is not None:
        options, units = rvc_options.of(engine, asked), heard.original_units
        blend = {"rate": options.index_rate, "search": options.index_search}
        timed.append(TimedStage("retrieval", lambda: engine.index.blend(units, **blend)))
    return [
        *timed,
        TimedStage("prior", pieces["encoder"], counts.rvc_prior(config, frames, width)),
        TimedStage("flow", pieces["flow"], counts.rvc_flow(config, frames, width)),
        TimedStage(
            "generator",
            lambda: engine.synthesiser(latent, f0_hz, speaker=vector),
            counts.vocoder(engine.synthesiser.config, len(latent), width_of(engine, "vocoder")),
            waits=True,
        ),
        TimedStage(
            "joining", lambda: engine.join(result, len(result), engine.rate_hz, engine.rate_hz, 1.0), waits=True
        ),
        TimedStage(WHOLE, end_to_end(engine, own), waits=True),
    ]


def end_to_end(engine, frames: int) -> Callable:
    """First sample in to last sample out, at the voice's own rate; where nothing can resample, it comes at 16 kHz."""
    rate_hz = rvc_front.RATE_HZ if resampling(engine).startswith("left out") else engine.rate_hz
    audio = voice(frames * rate_hz // 100, rate_hz).numpy()
    return lambda: engine.convert(audio, rate_hz, engine.table.base, rate_out_hz=engine.rate_hz)


@torch.inference_mode(False)  # compilers want ordinary tensors
def peer(name: str, config: RvcConfig, device: torch.device, frames: int) -> Callable:
    """A call of the plain acoustic part on random weights and inputs: units to latent. Raises NotHere."""
    if name != "eager32" and device.type != "cuda":
        raise NotHere("needs an NVIDIA GPU")
    torch.manual_seed(0)
    model, dtype = RvcModel(config).eval().requires_grad_(False).to(device), torch.float32
    if name != "eager32":
        model, dtype = copy.deepcopy(model).half(), torch.float16
    units, noise, speaker = (
        torch.randn(1, *shape, device=device, dtype=dtype)
        for shape in ((frames, config.unit_channels), (frames, config.mel.bins), (config.speaker_channels,))
    )
    coarse = torch.randint(1, 256, (1, frames), device=device) if config.pitch else None
    net = peers.compiled(model) if name == "compile" else model

    @torch.inference_mode(False)
    @torch.no_grad()
    def run() -> torch.Tensor:
        return net(units, coarse, speaker, noise)

    return peers.graph(run) if name == "graphs" else run
