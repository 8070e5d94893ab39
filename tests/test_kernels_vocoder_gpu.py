"""What only a GPU shows of the vocoder's kernels: bfloat16, float32 as three TF32 products, real sizes, graphs."""

import pytest
import torch
from kernel_check import ARCH, DEVICE, GPU, check, poisoned, random

pytest.importorskip("triton")

from fastsvc.kernels.tiles import power_of_two
from fastsvc.kernels.vocoder import conv, residual_unit, upsample, waveform

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not GPU, reason="needs an NVIDIA GPU")]
CASES = [(torch.float16, "ieee"), (torch.bfloat16, "ieee"), (torch.float32, "tf32x3")]


@pytest.mark.parametrize("dtype, precision", CASES)
@pytest.mark.parametrize("channels, taps, dilation", [(32, 11, 5), (64, 7, 3), (128, 3, 1)])
@pytest.mark.parametrize("batch, frames", [(1, 1), (3, 6001), (1, 120_001)])
def test_residual_unit(dtype, precision, channels, taps, dilation, batch, frames):
    """Blocks as tile() gives them: one a program, several, and programs without any; twice, as the scratch is used."""
    eps = 2.0**-19 if precision == "tf32x3" else None
    x, before = (random(batch, frames, channels, dtype=dtype) for _ in range(2))
    shape, scale = (taps, channels, channels), (taps * channels) ** -0.5
    weights = [random(*shape, dtype=dtype, scale=scale), random(channels), random(*shape, dtype=dtype, scale=scale)]
    weights.append(random(channels))
    block = residual_unit.tile(batch * frames, channels, dtype, ARCH)
    programs = residual_unit.programs(frames, taps, batch, block, dtype.itemsize, ARCH)
    scratch = poisoned(programs, block.rows, channels, dtype=dtype)
    for _ in range(2):
        out = poisoned(batch, frames, channels, dtype=dtype)
        given = {"block": block, "dilation": dilation, "slope": 0.1, "precision": precision}
        residual_unit.run(x, *weights, scratch, out, **given)
        check(out, residual_unit.reference, x, *weights, dilation, 0.1, eps=eps)
    out = before.clone()
    residual_unit.run(x, *weights, scratch, out, keep=True, scale=1 / 3, **given)
    check(out, residual_unit.reference, x, *weights, dilation, 0.1, before, 1 / 3, eps=eps)


@pytest.mark.parametrize("dtype, precision", CASES)
@pytest.mark.parametrize("channels, rate, hop, norm", [(512, 8, 16, True), (384, 8, 64, False), (64, 2, 1, True)])
@pytest.mark.parametrize("frames", [1, 1875])
def test_convolutions_of_the_vocoder(dtype, precision, channels, rate, hop, norm, frames):
    eps, columns = 2.0**-19 if precision == "tf32x3" else None, channels // 2
    x, excitation = random(2, frames, channels, dtype=dtype), random(2, frames * rate * hop)
    weight = random(rate, 2, channels, columns, dtype=dtype, scale=(2 * channels) ** -0.5)
    taps = 2 * hop if hop > 1 else 1
    mix = torch.zeros(power_of_two(taps), columns, dtype=dtype, device=DEVICE)
    mix[:taps] = random(taps, columns, dtype=dtype, scale=0.3)
    bias, mix_bias, out = random(columns), random(columns), poisoned(2, frames * rate, columns, dtype=dtype)
    block = upsample.tile(2 * frames, channels, columns, rate, 2, dtype, ARCH)
    source = {"excitation": excitation, "mix": mix, "mix_bias": mix_bias, "mix_taps": taps, "channels": columns}
    given = {"block": block, "padding": rate // 2, "slope": 0.1, "norm": norm, "precision": precision}
    upsample.run(x, weight, bias, out, **source, **given)
    told = excitation, mix, mix_bias, taps, columns, norm
    check(out, upsample.reference, x, weight, bias, rate // 2, 0.1, *told, eps=eps)

    weight = random(11, channels, channels, dtype=dtype, scale=(11 * channels) ** -0.5)
    bias, residual, out = random(channels), random(*x.shape, dtype=dtype), poisoned(*x.shape, dtype=dtype)
    block = conv.tile(2 * frames, channels, channels, 11, dtype, ARCH)
    given = {"block": block, "dilation": 5, "slope": 0.1, "residual": residual, "precision": precision}
    conv.run(x, weight, bias, out, **given)
    check(out, conv.reference, x, weight, bias, 5, 0.1, 1.0, residual, eps=eps)

    weight, bias, audio = random(7, channels, scale=0.05), random(1), poisoned(2, frames)
    waveform.run(x, weight, bias, audio, 0.01)
    check(audio, waveform.reference, x.float(), weight, bias, 0.01, eps=2.0**-20)  # sums of thousands, in any order


def test_a_captured_vocoder_gives_what_single_launches_give():
    """Full size through a CUDA graph: the same bits every time, and PyTorch's audio within twice its own error."""
    from test_vocoder_triton import VocoderConfig, inputs_of, made_of, model_of, relative_rms

    from fastsvc.engine.cpu.vocoder import Vocoder
    from fastsvc.engine.cuda.graphs import Graphs

    config = VocoderConfig()
    model, given = model_of(config), inputs_of(config, 2, 188)
    with torch.no_grad():
        exact = model.double()(given.mel.double(), given.excitation.double())
        theirs = Vocoder(model.state_dict(), config, torch.float16, DEVICE)(given.mel, given.excitation)
    run = made_of(model, config, torch.float16).bind(given)
    run()
    alone = given.audio.clone()
    replay = Graphs(torch.device(DEVICE)).capture(run)
    for _ in range(3):
        given.audio.fill_(float("nan"))
        replay()
        assert torch.equal(given.audio, alone)
    assert relative_rms(alone, exact) < 2 * relative_rms(theirs, exact) + 1e-3
