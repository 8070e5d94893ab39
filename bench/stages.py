"""The stages of a conversion as separate calls on prepared inputs, for `bench.latency`."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from bench import counts
from fastsvc.audio import loudness, polyphase
from fastsvc.engine import extraction
from fastsvc.engine.cpu.sampler import Features, SeededNoise
from fastsvc.engine.cuda.resampling import DeviceResampler
from fastsvc.features import align
from fastsvc.model import schedule

STAGES = ("content", "f0", "loudness", "condition", "denoiser", "vocoder", "joining")
WHOLE = "end to end"
STEPPED = ("denoiser", WHOLE)  # what the number of steps changes
WIDTH = {"fp32": 4, "fp16": 2, "bf16": 2}  # bytes


@dataclass(frozen=True)
class TimedStage:
    """A name, the call, and the work in it (None: not counted). ``waits``: the call waits for the device by itself."""

    name: str
    run: Callable
    work: counts.Work | None = None
    waits: bool = False


def voice(samples: int, rate_hz: int) -> torch.Tensor:
    """A tone with vibrato and a little noise [samples]: work for every stage."""
    time_s = torch.arange(samples, dtype=torch.float64) / rate_hz
    phase = 2 * torch.pi * (220 * time_s + 0.9 * torch.sin(2 * torch.pi * 5.5 * time_s))
    tone = sum(torch.sin(k * phase) / k for k in range(1, 9)).float()
    return 0.2 * tone + 0.003 * torch.randn(samples, generator=torch.Generator().manual_seed(0))


def stages(engine, seconds: float, steps: int) -> list[TimedStage]:
    """All stages of ``seconds`` of audio, in order, and the whole; ``engine`` must be able to convert."""
    config, encoder, device = engine.config, engine.encoder, engine.device
    mel, width = config.mel, width_of(engine, "")
    frames = max(1, round(seconds * mel.frame_rate_hz))
    samples = frames * mel.hop_samples
    seconds = samples / mel.rate_hz
    at_mel = voice(samples, mel.rate_hz)
    at_encoder = voice(round(seconds * encoder.rate_hz), encoder.rate_hz)
    on_device = at_mel.to(device)
    f0_hz, voiced, volume = extraction.melody(at_mel, frames, config, device=device, yin=engine.yin)
    units = encoder.encode(at_encoder)
    ratio = extraction.units_per_frame(config, encoder)
    places = align.indices(len(units), frames, config.features.unit_align, ratio=ratio)
    features = Features(units, places, f0_hz, voiced, volume)
    speaker = engine.sampler.condition.speaker({0: 1.0})
    pieces = engine.sampler.timed_stages(features, speaker, steps, SeededNoise(0, mel.bins))
    log_mel = engine.sampler(features, speaker, steps, SeededNoise(0, mel.bins))
    vector = engine.synthesiser.speaker({0: 1.0})
    audio = engine.synthesiser(log_mel, f0_hz, speaker=vector).numpy()
    evaluations = schedule.evaluations(engine.sampler.method, engine.sampler.schedules[steps])
    convert = end_to_end(engine, at_mel, at_encoder, frames, steps)
    encoder_width = width_of(engine, "content encoder")
    return [
        TimedStage("content", lambda: encoder.encode(at_encoder), counts.content(encoder, seconds, encoder_width)),
        TimedStage("f0", lambda: extraction.pitch(on_device, frames, config, yin=engine.yin)),
        TimedStage("loudness", lambda: loudness.frame_rms(on_device[None], mel.hop_samples), counts.loudness(samples)),
        TimedStage("condition", pieces["condition"], counts.condition(config, frames, width)),
        TimedStage(
            "denoiser", pieces["denoiser"], counts.denoiser(config, frames, evaluations, width_of(engine, "denoiser"))
        ),
        TimedStage(
            "vocoder",
            lambda: engine.synthesiser(log_mel, f0_hz, speaker=vector),
            counts.vocoder(engine.synthesiser.config, frames, width_of(engine, "vocoder")),
            waits=True,
        ),
        TimedStage("joining", lambda: engine.join(audio, samples, mel.rate_hz, mel.rate_hz, 0.9), waits=True),
        TimedStage(WHOLE, convert, waits=True),
    ]


def width_of(engine, part: str) -> int:
    """Bytes of a weight in a stage; on a CPU some parts may compute in bfloat16."""
    if engine.device.type == "cpu":
        return WIDTH["bf16" if part in engine.rounded else "fp32"]
    return WIDTH[engine.precision]


def resampling(engine) -> str:
    """Whether the end-to-end time includes resampling, which the content encoder's own rate needs."""
    if engine.device_front is not None or on_the_device(engine):
        return "included (on the device)"
    has_soxr = importlib.util.find_spec("soxr") is not None
    return "included (soxr)" if has_soxr else "left out: soxr is not installed; the encoder gets its rate at once"


def on_the_device(engine) -> bool:
    """Whether the engine's device itself takes a recording from the voice's own rate to the content encoder's."""
    rates = engine.rate_hz, engine.encoder.rate_hz
    return isinstance(engine.resample, DeviceResampler) and polyphase.possible(*rates, engine.device)


def end_to_end(engine, at_mel: torch.Tensor, at_encoder: torch.Tensor, frames: int, steps: int) -> Callable:
    """First sample in to last sample out; where soxr is needed and missing, it starts from audio at both rates."""
    if not resampling(engine).startswith("left out"):
        audio = at_mel.numpy()
        return lambda: engine.convert(audio, engine.rate_hz, engine.table.base, steps=steps)

    def run() -> np.ndarray:
        f0_hz, voiced, volume = extraction.melody(at_mel, frames, engine.config, device=engine.device, yin=engine.yin)
        units = engine.encoder.encode(at_encoder)
        options = {"voiced": voiced, "steps": steps}
        audio, _ = engine.synthesise(units, f0_hz, volume, engine.table.base, **options)
        return engine.join(audio.numpy(), len(at_mel), engine.rate_hz, engine.rate_hz, 1.0)

    return run
