"""An engine that takes a fixed time for a recording and no processor: so nodes that are simulated on one machine do not
share what they would not share."""

from __future__ import annotations

import os
import signal
import time
from types import SimpleNamespace

import numpy as np
import torch

from fastsvc.config import AcousticConfig
from fastsvc.convert.spread.ray_crew import ClusterWorker
from fastsvc.engine.conversion import OutputSpec
from fastsvc.engine.speakers import Speakers


class FixedCostEngine:
    """Gives each recording back, ``cost_s`` later."""

    path, steps, default_steps, rate_hz, config = "fixed.fsvc", (1,), 1, 24000, AcousticConfig()
    device, content_hash, shares_batches = torch.device("cpu"), "fixed cost", False

    def __init__(self, cost_s: float):
        self.cost_s, self.table = cost_s, Speakers(("anna",), 0, [220.0])

    def check_request(self, request) -> None:
        pass

    def extract(self, audio, rate_hz, request):
        spec = OutputSpec(len(audio), rate_hz, request.rate_out_hz or rate_hz, 1.0)
        return SimpleNamespace(features=audio.copy(), semitones=0.0, output_spec=spec, frames=len(audio), notes=())

    def synthesise_many(self, features, request, *, progress):
        time.sleep(self.cost_s * len(features))
        return [one.features for one in features]

    def join(self, audio, samples, rate_hz, rate_out_hz, gain, level=None, quality="HQ"):
        return np.asarray(audio, np.float32)


class FixedCostWorker(ClusterWorker):
    """``spec.engine`` is the seconds; recordings called poison end their process."""

    def opened(self):
        return FixedCostEngine(float(self.spec.engine))

    def convert(self, staged, progress=lambda recordings: None):
        if any("poison" in job.source for job in staged.task.jobs):
            os.kill(os.getpid(), signal.SIGTERM if os.name == "nt" else signal.SIGKILL)
        super().convert(staged, progress)
