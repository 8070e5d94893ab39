"""How far the parts of an engine look to each side, in frames or units: what a stream keeps, and what is exact."""

from __future__ import annotations

import math
from dataclasses import dataclass

from fastsvc.config import RvcConfig
from fastsvc.engine import extraction
from fastsvc.features.content import RecogniserEncoder
from fastsvc.model import schedule, vocoders

PAST_S = 1.0  # of everything that attends to all it is shown, and of pitch
YIN_PAST_S = 0.5  # on examples/recordings even 0.16 s changes none of 3382 frames
PITCH_S = 0.1  # after which YIN's path does not change again: 85 ms measured, though its Viterbi search has no bound


@dataclass(frozen=True)
class Reach:
    """Frames that the acoustic part looks back and ahead, and the vocoder to both sides."""

    left: int
    right: int
    vocoder: int

    @classmethod
    def of(cls, engine, steps: int) -> Reach:
        sampler, vocoder = engine.sampler, vocoders.halo_frames(engine.synthesiser.config)
        if isinstance(engine.config, RvcConfig):
            # frames attend to each other, and repeated ones would be heard as a held note: nothing is added
            past = math.ceil(PAST_S * engine.config.mel.frame_rate_hz)
            return cls(past + engine.config.flow_halo_frames, 0, vocoder)
        evaluations = schedule.evaluations(sampler.method, sampler.schedules[steps])
        halo = sampler.denoiser.halo_frames * evaluations
        return cls(halo, halo, vocoder)


def units(encoder) -> int | None:
    """Units to each side that one depends on, the spectrum's window included; None where that is all of them."""
    if not isinstance(encoder, RecogniserEncoder) or encoder.model.halo_frames is None:
        return None
    mel = encoder.config.mel
    return encoder.model.halo_frames + math.ceil((mel.fft_samples - mel.hop_samples) / 2 / mel.hop_samples)


def exact_lookahead_ms(engine, steps: int) -> float | None:
    """The least look-ahead with which a stream is one pass over the whole recording; None where there is none."""
    ahead = units(engine.encoder)
    if ahead is None or isinstance(engine.config, RvcConfig):
        return None
    reach, frame_ms = Reach.of(engine, steps), 1000 / engine.config.mel.frame_rate_hz
    per_frame = extraction.units_per_frame(engine.config, engine.encoder)
    assert per_frame is not None, "an encoder has a hop"
    content = math.ceil((ahead + 1) / per_frame)
    return frame_ms * (reach.vocoder + reach.right + max(content, math.ceil(1000 * PITCH_S / frame_ms)))
