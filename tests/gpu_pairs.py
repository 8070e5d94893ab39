"""An engine for the CPU and for the GPU, what they are told, and how close their results are."""

import engines
import pytest
import torch
from golden import relative_rms

from fastsvc.build.passes import measure

FRAMES = 33
MEL, AUDIO = 1e-5, 2e-5  # of float32; measured: 1.3e-6 and 3.5e-6


def built(tmp_path_factory):
    torch.manual_seed(0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measure, "SECONDS_OF_AUDIO", {"denoiser": 0.1, "vocoder": 0.01})
        return engines.build_engine(tmp_path_factory.mktemp("engine"), precision="fp32", target="cpu")


def told(frames=FRAMES):
    f0_hz = torch.full((frames,), 220.0)
    f0_hz[: frames // 5] = 0
    return torch.randn(frames, 6), f0_hz, 0.3 * torch.rand(frames)


def close(got, want, bound=MEL):
    assert got.shape == want.shape and torch.isfinite(got).all()
    assert relative_rms(got, want) <= bound
