"""A small stand-in for the engine: it turns a recording upside down, and fails, waits or shouts on demand."""

import numpy as np
import torch

from fastsvc.audio.resample import resample, resampled_length
from fastsvc.config import AcousticConfig
from fastsvc.engine.speakers import Speakers
from fastsvc.errors import AudioError


class FakeEngine:
    path, steps, default_steps, rate_hz, config = "fake.fsvc", (1, 2), 1, 24000, AcousticConfig()
    device = torch.device("cpu")

    def __init__(self, gain=-0.5, names=("anna", "bert", "carla"), fail=None):
        self.table = Speakers(names, 0, [220.0] * len(names))
        self.gain, self.fail, self.calls, self.transposed = gain, fail or {}, [], 0.0

    @property
    def speakers(self):
        return self.table.names

    def check_convertible(self):
        pass

    def check_request(self, *arguments, **options):
        pass

    def convert(self, audio, rate_hz, speaker, **options):
        """``fail``: {number of the call: what to raise}."""
        assert audio.ndim == 1
        self.calls.append((len(audio), rate_hz, speaker, options))
        error = self.fail.get(len(self.calls))
        if error is not None:
            raise error
        self.transposed = 7.0 if options["transpose"] == "auto" else float(options["transpose"])
        options["progress"](0.5)
        out_hz = options["rate_out_hz"] or rate_hz
        if not len(audio):
            raise AudioError("nothing to convert")
        made = resample(audio * np.float32(self.gain), rate_hz, out_hz)
        assert len(made) == resampled_length(len(audio), rate_hz, out_hz)
        return made, out_hz
