"""The specification of DDSP-SVC 6 against what upstream computed from the same weights: tests/data/ddsp."""

import ddsp_golden
import numpy as np
import pytest
import torch

from fastsvc.audio.loudness import frame_rms
from fastsvc.features import align
from fastsvc.model.ddsp import flow, source, synthesis
from fastsvc.model.ddsp.blocks import ControlLayer

VELOCITY, FLOW, CONTROL, TOOTH, MEL = 1e-6, 4e-5, 1e-5, 3e-4, 2e-3  # the last two: upstream's float32 phase


def off(found: torch.Tensor, golden: torch.Tensor) -> float:
    assert found.shape == golden.shape
    return float((found - golden).abs().max())


@pytest.fixture(scope="module", params=("small_6.1", "full_6.0", "full_6.1"))
def voice(request):
    return request.param, ddsp_golden.model(request.param)


def cases(name: str) -> list[str]:
    return [case for of, case in ddsp_golden.CASES if of == name]


def test_the_first_mel(voice):
    name, model = voice
    for case in cases(name):
        golden = ddsp_golden.case(name, case)
        control, excitation = model.control(*ddsp_golden.conditions(golden))
        if "combtooth" in golden:
            assert off(excitation[..., 0], golden["combtooth"]) < TOOTH
        if "ctrl" in golden:
            assert off(control, golden["ctrl"]) < CONTROL
        audio = model.audio(control, excitation)
        assert off(synthesis.first_mel(audio, model.config.mel), golden["ddsp_mel"]) < MEL
        if "ddsp_wav" in golden:
            assert off(audio, golden["ddsp_wav"]) < 1e-4
            assert off(synthesis.first_mel(golden["ddsp_wav"], model.config.mel), golden["ddsp_mel"]) < 1e-5


def test_the_velocity(voice):
    name, model = voice
    for case in cases(name):
        golden = ddsp_golden.case(name, case)
        for time in (0.0, 0.7, 0.925):
            if f"v_t{time}" in golden:
                found = model.velocity(golden["v_x"], 1 - time, golden["ddsp_mel"])
                want = golden[f"v_t{time}"]  # itself up to 1.2e-6 of its peak from the exact value (float64)
                assert off(found, want) < VELOCITY * want.abs().max()


def test_the_flow(voice):
    name, model = voice
    for case in cases(name):
        golden = ddsp_golden.case(name, case)
        for array, (steps, method, start) in {
            "mel_euler1": (1, "euler", None),
            "mel_euler4": (4, "euler", None),
            "mel_rk4_3": (3, "rk4", None),
            "mel_euler10_t0": (10, "euler", 0.0),
        }.items():
            if array in golden:
                found = model.refine(golden["ddsp_mel"], golden["noise_reflow"], steps, method, start)
                assert off(found, golden[array]) < FLOW
        assert model.refine(golden["ddsp_mel"], golden["noise_reflow"], 4, t_start=1.0) is golden["ddsp_mel"]


def test_the_phase_is_exact_after_hours():
    """Frames of whole cycles: after ten hours the phase is still 0, where float32 sums are off by cycles."""
    rate_hz, hop = 44100, 441
    f0_hz = torch.full((1, 3_600_000), 200.0)
    assert float(source.frame_phase(f0_hz, rate_hz, hop)[0, -1]) == 0.0
    glide = torch.linspace(80, 700, 2001)[None]
    phase, (step, slope) = source.frame_phase(glide, rate_hz, hop), source.steps(glide, rate_hz)
    _, first = source.comb_tooth(step, slope, phase, hop)
    n = torch.arange(hop, dtype=torch.float64)
    each = (step[0, :, None] + slope[0, :, None] * n / hop).cumsum(1)
    exact = (torch.cat((torch.zeros(1), each[:-1, -1].cumsum(0))) + each[:, 0]).remainder(1.0)
    assert float(((first[0] - exact + 0.5).remainder(1.0) - 0.5).abs().max()) < 1e-9


def test_levels_fall_from_the_start_to_nothing():
    row = flow.levels(0.7, 4)
    assert row[0] == pytest.approx(0.3) and row[-1] == 0 and len(row) == 5
    assert flow.evaluated("euler", row) == row[:-1]
    assert len(flow.evaluated("rk4", row)) == 9 and flow.evaluations("rk4", row) == 16


def test_attention_is_that_of_each_frame_alone():
    """As upstream's module gives one item, which it is fed batch-first."""
    torch.manual_seed(0)
    layer = ControlLayer(16, "6.1", norm=True, attention=True).eval()
    assert layer.attn is not None and layer.norm is not None
    x = torch.randn(1, 7, 16)
    with torch.no_grad():
        ahead = x + layer.attn(layer.norm(x))
        assert torch.allclose(layer(x), ahead + layer.conformer(ahead), atol=1e-6)
        two = layer(torch.cat((x, 2 * x)))
        assert torch.allclose(two[:1], layer(x), atol=1e-6)


def test_front():
    """Volume and units on the frame grid of recordings at the voice's rate; upstream has one frame more."""
    with np.load(ddsp_golden.FOLDER / "front.npz") as data:
        golden = {name: torch.from_numpy(data[name]) for name in data.files}
    volume = frame_rms(golden["44k_audio"][None], 512)[0]
    assert float((volume - golden["44k_volume"][: len(volume)])[:-1].abs().max()) < 1e-6
    for samples in (8000, 16123, 399):
        units, frames = golden[f"units_{samples}"][0], golden[f"units_{samples}_frames"][0]
        places = align.indices(len(units), len(frames), "round", ratio=(512 / 44100) / (320 / 16000))
        assert torch.equal(units[places], frames)
