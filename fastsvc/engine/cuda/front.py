"""From samples to features without a way back to the host: the front of models of mels on a GPU.

The host sends the samples and starts graphs: engine/cuda/front_program.py, YIN's and the encoder's. Levels, pitch and
the low band come to the host meanwhile: the output's level, notes and the gate of hum are made of them later. Hum is
rare: features are used before the host has looked for it, and where it is found, the work is done again.
"""

from __future__ import annotations

import contextlib
import functools
import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from fastsvc import arguments
from fastsvc.audio import envelope, loudness, polyphase
from fastsvc.audio.resample import resampled_length
from fastsvc.config import AcousticConfig, AnyAcousticConfig
from fastsvc.engine import extraction, fronts, pitch_notes
from fastsvc.engine.buckets import Buckets
from fastsvc.engine.conversion import OutputSpec, RecordingFeatures
from fastsvc.engine.cpu.sampler import Features
from fastsvc.engine.cuda.copies import HostValues, host_stream
from fastsvc.engine.cuda.front_program import FrontProgram, FrontShape
from fastsvc.engine.cuda.pitch import LONGEST
from fastsvc.engine.cuda.programs import Programs, audio_to_device
from fastsvc.engine.level import LoudnessProfile
from fastsvc.engine.request import Request
from fastsvc.features import align, hum

MOST_SAMPLES = 1 << 23  # 3 minutes at 44.1 kHz, some 60 bytes each; longer recordings are prepared on the processor
MOST_HELD = 1 << 25  # samples of all graphs together, 2 GB: each rate of a recording needs graphs of its own


class DeviceFront:
    """The role of fastsvc.engine.fronts.OfflineMelFront together with extraction.features, on a GPU."""

    def __init__(self, config: AcousticConfig, encoder, yin, device):
        self.config, self.encoder, self.yin, self.device = config, encoder, yin, torch.device(device)
        make = functools.partial(FrontProgram, config.mel, encoder, device=self.device)
        self.programs, self.side = Programs(make, self.device, "resampling"), host_stream(self.device)

    def takes(self, samples: int, rate_hz: int, request: Request) -> bool:
        """Whether :meth:`begin` can do this recording: not what streams do, nor rates without a filter."""
        if request.resampler != "long" or request.f0_fill != "interpolate" or samples > MOST_SAMPLES:
            return False
        rates = self.config.mel.rate_hz, self.encoder.rate_hz
        known = all(polyphase.possible(rate_hz, to_hz, self.device) for to_hz in rates)
        return known and resampled_length(samples, rate_hz, rates[0]) > 0

    def begin(self, engine, audio: np.ndarray, note: str, rate_hz: int, request: Request) -> LateRecording:
        """As conversion.extracted; the device is still at work on the result."""
        return self.programs.within_memory(lambda: self._begin(engine, audio, note, rate_hz, request))

    def _begin(self, engine, audio, note, rate_hz, request) -> LateRecording:
        mel, encoder, spec = self.config.mel, self.encoder, self.config.features
        at_mel_hz, at_encoder_hz = (resampled_length(len(audio), rate_hz, hz) for hz in (mel.rate_hz, encoder.rate_hz))
        frames = math.ceil(at_mel_hz / mel.hop_samples)
        program, replay = self._prepared(FrontShape(rate_hz, frames, request.high_pass))
        on_device = audio_to_device(audio, self.device)
        program.set(on_device, (len(audio), at_mel_hz, at_encoder_hz, frames), fronts.input_peak(engine, request))
        replay()
        with self._beside() as finished:
            measured = HostValues(program.measured)
            at_mel = program.at_mel[: frames * mel.hop_samples]
            tracker = request.f0_method, request.f0_weights, self.yin, request.range_of(engine)
            f0_hz, voiced = extraction.pitch(at_mel, frames, self.config, *tracker)
            volume = loudness.frame_rms(at_mel[None], mel.hop_samples)[0]
            melody = HostValues(torch.stack((f0_hz, voiced.to(f0_hz.dtype), volume)))
        units = encoder.encode(program.at_encoder[: max(at_encoder_hz, encoder.hop_samples)])
        finished(f0_hz, voiced, volume)
        ratio = extraction.units_per_frame(self.config, encoder)
        unit_indices = align.indices(len(units), frames, spec.unit_align, ratio=ratio)
        levels = MeasuredRecording(program.sizes, measured, melody, len(audio), rate_hz, self.config, request)
        late = LateRecording(Features(units, unit_indices, f0_hz, voiced, volume), levels, note)
        late.transpose(request.target_hz(engine))
        return late

    @contextlib.contextmanager
    def _beside(self):
        """Work for which the encoder does not wait: YIN's many small operations leave most of a GPU idle. Before its
        results are used, they are handed to the call that is given."""
        side = self.side
        if side is None:
            yield lambda *results: None
            return
        current = torch.cuda.current_stream(self.device)
        side.wait_stream(current)

        def finished(*results: Tensor) -> None:
            current.wait_stream(side)
            for result in results:
                result.record_stream(current)  # whose memory belongs to the other stream

        with torch.cuda.stream(side):
            yield finished

    def _prepared(self, shape: FrontShape):
        """The program of a shape that holds this one, and its replay; no graph of long recordings is kept."""
        if shape.frames <= LONGEST:
            shape = FrontShape(shape.rate_hz, Buckets().bucket(shape.frames), shape.high_pass)
            held = self.programs.by_shape
            if shape not in held and sum(program.capacity for program, _ in held.values()) > MOST_HELD:
                self.programs.release()
            return self.programs.prepared(shape)
        program = self.programs.make(shape)
        return program, program.run


@dataclass(frozen=True)
class MeasuredRecording:
    """What the device has measured of a recording. Each method waits until its values are on the host."""

    sizes: list[int]
    measured: HostValues
    melody: HostValues  # [3, frames]: f0_hz, voiced, volume
    samples: int
    rate_hz: int
    config: AnyAcousticConfig
    request: Request

    def parts(self) -> list[np.ndarray]:
        return np.split(self.measured.wait(), np.cumsum(self.sizes)[:-1])

    def output_spec(self) -> OutputSpec:
        (gain, peak), powers, fine, *_ = self.parts()
        counts = (envelope.blocks(self.samples, self.rate_hz, hz * envelope.BLOCKS_HZ) for hz in (1, envelope.FINE))
        powers, fine = (values[:count] for values, count in zip((powers, fine), counts))
        level = LoudnessProfile.measured(powers, fine, float(peak), self.request.rms_mix_rate)
        out_hz = self.request.rate_out_hz or self.rate_hz
        blocks = envelope.blocks(resampled_length(self.samples, self.rate_hz, out_hz), out_hz)
        if level is not None and blocks > 0:  # while the device is at work; of a sample or two nothing may be left
            level.source(blocks)
        return OutputSpec(self.samples, self.rate_hz, out_hz, float(1 / gain), level, self.request.resample_quality)

    @functools.cached_property
    def gated(self) -> tuple[np.ndarray, np.ndarray, bool]:
        """(f0_hz, voiced, whether hum was found), as extraction.features gives them."""
        f0_hz, voiced = self.melody.wait()[0], self.melody.wait()[1] > 0
        if not self.request.high_pass:
            return f0_hz, voiced, False
        mel, spec, frames = self.config.mel, self.config.features, len(f0_hz)
        level_db, audio = self.parts()[3:]
        factor = hum.low_factor(mel.rate_hz)
        audio = audio[: -(-frames * mel.hop_samples // factor)].astype(np.float32)
        band = hum.LowBand(audio, mel.rate_hz / factor, mel.hop_samples / factor, level_db[:frames])
        gated_hz, gated = hum.without_hum(band, f0_hz, voiced, spec.f0_style, spec.f0_low_hz)
        return gated_hz, gated, gated is not voiced


class LateRecording:
    """A fastsvc.engine.conversion.Recording whose :attr:`features` lie on the device."""

    def __init__(self, tracked: Features, measured: MeasuredRecording, note: str):
        self.features, self.measured, self.note, self.semitones = tracked, measured, note, 0.0
        self.known = False  # whether hum was looked for before the features were used

    def transpose(self, target_hz: float | None) -> None:
        """Move the melody as requested. "auto" must know the melody, and waits for it."""
        transpose, tracked = self.measured.request.transpose, self.features
        if transpose in arguments.AUTO_TRANSPOSE:
            (f0_hz, voiced), self.known = map(torch.from_numpy, self.measured.gated[:2]), True
            self.semitones = extraction.shift_semitones(transpose, f0_hz, voiced, target_hz)
            self.features = self.on_host
            return
        self.semitones = float(arguments.transpose(transpose))
        self.features = self._with(tracked.f0_hz * 2 ** (self.semitones / 12), tracked.voiced, tracked.volume)

    def _with(self, f0_hz: Tensor, voiced: Tensor, volume: Tensor) -> Features:
        return Features(self.features.units, self.features.unit_indices, f0_hz, voiced, volume)

    @functools.cached_property
    def on_host(self) -> Features:
        """Without hum; units stay where they are."""
        f0_hz, voiced, _ = self.measured.gated
        moved, volume = torch.from_numpy(f0_hz * np.float32(2 ** (self.semitones / 12))), self.measured.melody.wait()[2]
        return self._with(moved, torch.from_numpy(voiced), torch.from_numpy(volume))

    def regated(self) -> Features | None:
        return None if self.known or not self.measured.gated[2] else self.on_host

    def settled(self) -> RecordingFeatures:
        notes = pitch_notes.notes(self.on_host, self.semitones, self.measured.config)
        notes = (self.note, *notes) if self.note else notes
        return RecordingFeatures(self.on_host, self.semitones, self.measured.output_spec(), notes)
