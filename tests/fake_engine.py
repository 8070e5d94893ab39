"""A small stand-in for the engine: it turns a recording upside down, and fails, waits or shouts on demand."""

from dataclasses import asdict
from types import SimpleNamespace

import numpy as np
import torch

from fastsvc.audio.resample import resample, resampled_length
from fastsvc.config import AcousticConfig
from fastsvc.convert.settings import ConversionSettings
from fastsvc.engine.conversion import OutputSpec
from fastsvc.engine.request import Request
from fastsvc.engine.speakers import Speakers
from fastsvc.errors import AudioError

SUNG = {
    "speaker",
    "steps",
    "formant",
    "seed",
    "noise_scale",
}  # fields of a request for synthesise_many; the others are for extract


def settings(speaker="anna", **asked) -> ConversionSettings:
    """Of a batch, its request's fields and its own on one level."""
    own = {name: asked.pop(name) for name in ConversionSettings.__dataclass_fields__ if name in asked}
    return ConversionSettings(Request(speaker, **asked), **own)


class FakeEngine:
    path, steps, default_steps, rate_hz, config = "fake.fsvc", (1, 2), 1, 24000, AcousticConfig()
    device, content_hash = torch.device("cpu"), "of the fake"
    precision, rounded = "fp32", ()

    def __init__(self, gain=-0.5, names=("anna", "bert", "carla"), fail=None, fail_sing=None, shares_batches=False):
        self.table = Speakers(names, 0, [220.0] * len(names))
        self.gain, self.fail, self.fail_sing = gain, fail or {}, fail_sing or {}
        self.notes = ()
        self.calls, self.sung, self.asked = [], [], []  # what extract and synthesise_many received
        self.shares_batches = shares_batches

    @property
    def speakers(self):
        return self.table.names

    def check_convertible(self):
        pass

    def check_request(self, request):
        pass

    def extract(self, audio, rate_hz, request):
        """``fail``: {number of the call: what to raise}. What is heard is the recording itself."""
        assert audio.ndim == 1
        heard = {name: value for name, value in asdict(request).items() if name not in SUNG}
        self.calls.append((len(audio), rate_hz, request.speaker, heard))
        error = self.fail.get(len(self.calls))
        if error is not None:
            raise error
        if not len(audio):
            raise AudioError("nothing to convert")
        semitones = 7.0 if request.transpose == "auto" else request.transpose
        output_spec = OutputSpec(len(audio), rate_hz, request.rate_out_hz or rate_hz, 1.0)
        return SimpleNamespace(
            features=audio.copy(),
            semitones=semitones,
            output_spec=output_spec,
            frames=-(-len(audio) // 128),
            notes=self.notes,
        )

    def synthesise_many(self, heard, request, *, progress):
        """``fail_sing``: {number of samples of a recording: what to raise}, however many it is sung with."""
        self.sung.append([one.frames for one in heard])
        self.asked.append((request.speaker, request.steps, request.formant, request.seed, request.noise_scale))
        for one in heard:
            error = self.fail_sing.get(len(one.features))
            if error is not None:
                raise error
        progress(0.5)
        return [one.features * np.float32(self.gain) for one in heard]

    def join(self, made, samples, rate_hz, rate_out_hz, gain, level=None, quality="HQ"):
        joined = resample(made, rate_hz, rate_out_hz)  # it sings at the recording's own rate
        assert len(made) == samples and len(joined) == resampled_length(samples, rate_hz, rate_out_hz)
        return joined
