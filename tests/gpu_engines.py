"""An engine of a real width for an NVIDIA GPU, and how far two engines' results may lie apart."""

import engines
import pytest
import torch
from golden import relative_rms
from test_engines import FLOAT32

from fastsvc.build.passes import measure
from fastsvc.config import AcousticConfig, ConditionConfig, DenoiserConfig, FeatureConfig

# of a real width, so that tensor cores and all tiles are met
CONFIG = AcousticConfig(
    features=FeatureConfig(unit_channels=6),
    condition=ConditionConfig(unit_channels=6, channels=256, speakers=3, key_shift=False, voicing=True),
    denoiser=DenoiserConfig(channels=512, layers=6, cond_channels=256, dilation_cycle=2),
)
# Of mels. In the interpreter: 1e-6 and 8e-4; bfloat16 has 3 bits less. Doubled f0 moves them by 0.4, a semitone 0.05.
BOUNDS = {"fp32": FLOAT32, "fp16": 4e-3, "bf16": 3e-2}


def built(tmp_path_factory):
    torch.manual_seed(0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measure, "SECONDS_OF_AUDIO", {"denoiser": 0.1, "vocoder": 0.01})
        patch.setattr(engines, "ACOUSTIC", CONFIG)
        given = {"target": "cpu", "vocoder_backend": "torch"}  # Triton would compile the vocoder's kernels in each test
        return engines.build_engine(tmp_path_factory.mktemp("gpu"), **given)


def told(frames, seed=0):
    generator = torch.Generator().manual_seed(seed)
    f0_hz = 150 + 200 * torch.rand(frames, generator=generator)
    f0_hz[: frames // 7] = 0
    return torch.randn(frames, 6, generator=generator), f0_hz, 0.3 * torch.rand(frames, generator=generator)


def error(got, want):
    assert got.shape == want.shape and torch.isfinite(got).all()
    return relative_rms(got, want)
