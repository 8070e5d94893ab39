"""The estimate of samples to samples: what is counted of PyTorch's operations, and the sums."""

import pytest
import torch

from bench import on_meta, samples


def test_operations_are_counted_once():
    """A view costs nothing; a product whose rows overlap first copies them."""
    meta = torch.device("meta")
    a, b = torch.empty(100, 30, device=meta), torch.empty(30, 7, device=meta)
    with on_meta.counting() as mode:
        a.T.reshape(30, 100)[:, :5].unsqueeze(0)
    assert mode.launches == 0
    with on_meta.counting() as mode:
        a @ b
        a + 1
    assert mode.launches == 2 and mode.flops == 2 * 100 * 30 * 7
    assert mode.moved == 4 * (100 * 30 + 30 * 7 + 100 * 7 + 2 * 100 * 30)
    assert mode.us == pytest.approx(2 * on_meta.LAUNCH_US, abs=0.1)
    rows = torch.empty(400, device=meta).as_strided((100, 30), (3, 1))
    with on_meta.counting() as mode:
        torch.mm(rows, b)
    assert mode.launches == 2 and mode.flops == 2 * 100 * 30 * 7
    half = torch.empty(1, 2, 5, 4, device=meta, dtype=torch.float16)
    with on_meta.counting() as mode:
        torch.nn.functional.scaled_dot_product_attention(half, half, half)
    assert mode.flops >= 4 * 2 * 5 * 5 * 4


def test_the_devices_parts():
    """The front is one graph of some hundred operations, and its products are those of the two filters."""
    parts = samples.device_parts(0.5, 44100)
    assert set(parts) == {"front", "f0", "content", "output, before its level", "output, its level"}
    assert 60 < parts["front"]["launches"] < 200 and parts["front"]["ms"] < 0.4
    assert parts["content"]["GFLOP"] == pytest.approx(0.5 * 13.5, rel=0.5)  # docs: 13.5 for a second; padding
    assert parts["output, its level"]["launches"] < 40


def test_sums():
    """Before, everything waits for its turn; now the host checks and copies, and the device does the rest."""
    host = dict.fromkeys(("checks of the samples", "a copy of the samples", "gains", "checks of the output"), 0.1)
    host |= {"high-pass": 8.0, "loudness of the recording": 1.5, "level": 0.5, "soxr, mel": 2.5, "soxr, encoder": 2.0}
    host |= {"low band": 3.5, "soxr, output": 3.0, "loudness of the output": 4.5}
    device = {name: {"ms": 0.2, "launches": 20} for name in ("front", "output, before its level", "output, its level")}
    device |= {"f0": {"ms": 0.7}, "content": {"ms": 0.5}}
    found = samples.sums(host, device, 10, 44100, 0.5, 2.5)
    assert found["networks"] == 3.5
    link = 0.01 + 4e3 * 441000 / 50e9
    before = 0.1 + 8 + 1.5 + 0.5 + 2.5 + 5.5 + 3.5 + 3.0 + 0.1 + 4.5 + 2 * link
    assert found["before"] == pytest.approx(before, abs=0.01)
    now = 0.1 + 0.2 + 2 * link + 0.03 + 0.2 + 0.2 + 3.5 + 0.2 + 0.2 + 0.1
    assert found["now"] == pytest.approx(now, abs=0.01)
