"""--noise-scale by the GPU's sampler, its kernels interpreted: stepped, as the kernels draw with deviation 1."""

import interpreted
import pytest
import torch

pytest.importorskip("triton")

from gpu_pairs import FRAMES, built, close, told

from fastsvc.engine.cpu.sampler import Features, SeededNoise
from fastsvc.engine.engine import Engine

pytestmark = pytest.mark.skipif(torch.cuda.is_available(), reason="the interpreter is not used where there is a GPU")


@pytest.fixture
def pair(tmp_path_factory, monkeypatch):
    """(the CPU's engine, the GPU's)."""
    interpreted.prepare(monkeypatch)
    folder = built(tmp_path_factory)
    return Engine.open(folder, "cpu"), interpreted.engine(folder)


@pytest.mark.slow
def test_draws_of_another_deviation(pair):
    """As the CPU's, one step and two; recordings of one batch may differ in it. At 1 the graph of before runs."""
    cpu, gpu = (engine.sampler for engine in pair)
    units, f0_hz, volume = told()
    heard = Features(units, torch.arange(FRAMES), f0_hz, f0_hz > 0, volume)
    voice, noises = cpu.condition.speaker({1: 1.0}), [SeededNoise(4, 80, scale=scale) for scale in (1.0, 0.5, 0.0)]
    full, half, none = gpu.many([heard] * 3, voice, 2, noises)
    for mel, noise in zip((full, half, none), noises, strict=True):
        close(mel, cpu(heard, voice, 2, noise))
    assert not torch.allclose(half, full, atol=1e-3) and not torch.allclose(half, none, atol=1e-3)
    assert "sampling" not in {key[1] for key in gpu.network.replays}
    close(gpu(heard, voice, 2, noises[0]), full)
    assert "sampling" in {key[1] for key in gpu.network.replays}
    close(pair[1].synthesise(units, f0_hz, volume, 1, seed=4, noise_scale=0.5)[1], cpu(heard, voice, 1, noises[1]))
