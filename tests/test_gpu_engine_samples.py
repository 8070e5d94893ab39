"""The GPU's engine against the CPU's, its kernels interpreted: whole conversions, by where they are resampled."""

import sys

import interpreted
import pytest
import torch

pytest.importorskip("triton")

from gpu_pairs import AUDIO, built, close

from fastsvc.audio import polyphase
from fastsvc.engine.engine import Engine

pytestmark = pytest.mark.skipif(torch.cuda.is_available(), reason="the interpreter is not used where there is a GPU")


@pytest.fixture(autouse=True)
def prepared(monkeypatch):
    interpreted.prepare(monkeypatch)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return built(tmp_path_factory)


@pytest.mark.slow
@pytest.mark.parametrize(
    "where, rate_hz, bound", [("soxr", 24000, AUDIO), ("device", 24000, 1e-3), ("device", 44100, 1e-2)]
)
def test_recordings(folder, monkeypatch, where, rate_hz, bound):
    """From samples to samples, with soxr, and with the device's filter, whose slope random weights hear."""
    audio = 0.3 * torch.sin(2 * torch.pi * 220 * torch.arange(rate_hz // 4 + 1) / rate_hz)
    monkeypatch.setenv(polyphase.VARIABLE, where)
    cpu, gpu = Engine.open(folder, "cpu"), interpreted.engine(folder)
    assert (gpu.device_front is None) == (gpu.device_join is None) == (where == "soxr")
    want, _ = cpu.convert(audio, rate_hz, "Bert")
    monkeypatch.setitem(sys.modules, "soxr", sys.modules["soxr"] if where == "soxr" else None)
    got, out_hz = gpu.convert(audio, rate_hz, "Bert")
    close(torch.from_numpy(got), torch.from_numpy(want), bound)
    assert out_hz == rate_hz and len(got) == len(audio)
