"""How far the parts of an engine look to each side, in frames or units: what a stream keeps, and what is exact."""

from __future__ import annotations

import math

from fastsvc.config import RvcConfig
from fastsvc.config.reach import Reach
from fastsvc.features import f0
from fastsvc.features.content import RecogniserEncoder
from fastsvc.features.f0.candidates import reach_samples
from fastsvc.model import schedule, vocoders

PAST_S = 1.0  # of everything that attends to all it is shown, and of pitch
YIN_PAST_S = 0.5  # on examples/recordings even 0.16 s changes none of 3382 frames
PITCH_S = 0.1  # after which YIN's path does not change again: 85 ms measured, though its Viterbi search has no bound


def acoustic(engine, steps: int) -> Reach:
    """Frames before and after its own that a frame of the mel depends on."""
    if isinstance(engine.config, RvcConfig):
        # frames attend to each other, and repeated ones would be heard as a held note: nothing is added
        return Reach(math.ceil(PAST_S * engine.config.mel.frame_rate_hz) + engine.config.flow_halo_frames, 0)
    sampler = engine.sampler
    evaluations = schedule.evaluations(sampler.method, sampler.schedules[steps])
    past, ahead = (sum(side) * evaluations for side in zip(*sampler.denoiser.reaches))
    return Reach(past, ahead)


def vocoder(engine) -> Reach:
    return vocoders.reach(engine.synthesiser.config)


def units(encoder) -> int | None:
    """Units before its own that one depends on, the spectrum's window included; None where attention reaches far."""
    if not isinstance(encoder, RecogniserEncoder) or encoder.config.architecture != "conv":
        return None
    mel, halo = encoder.config.mel, encoder.model.halo_frames
    assert halo is not None, "convolutions are local"
    return halo + math.ceil((mel.fft_samples - mel.hop_samples) / 2 / mel.hop_samples)


def exact_lookahead_ms(engine, steps: int) -> float | None:
    """The least look-ahead with which a stream is one pass over the whole recording; None where there is none."""
    if units(engine.encoder) is None or isinstance(engine.config, RvcConfig):
        return None
    frames = vocoder(engine).ahead + acoustic(engine, steps).ahead + max(_content(engine), _pitch(engine))
    return frames * 1000 / engine.config.mel.frame_rate_hz


def _content(engine) -> int:
    """Frames after its own whose audio a frame's unit depends on: the unit begins with the frame or before it."""
    mel, own = engine.encoder.config.mel, engine.config.mel
    samples = engine.encoder.model.future_frames * mel.hop_samples + (mel.fft_samples + mel.hop_samples) // 2
    if engine.config.features.unit_align not in ("hops", "nearest", "left"):
        samples += mel.hop_samples  # the unit may begin later
    return math.ceil(samples / mel.rate_hz * own.frame_rate_hz - 1)


def _pitch(engine) -> int:
    """The same for pitch, by YIN over the engine's own range."""
    spec, mel = engine.config.features, engine.config.mel
    if spec.f0_future_frames is None:
        return math.ceil(PITCH_S * mel.frame_rate_hz)
    model_range, widest = f0.ranges(spec.f0_low_hz, spec.f0_high_hz, mel.rate_hz, None)
    window = reach_samples(mel.rate_hz, *(model_range or widest), widest)
    return math.ceil(spec.f0_future_frames + 0.5 + window / mel.hop_samples - 1)
