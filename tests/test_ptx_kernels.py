"""Compiled kernels against their references: the cases of tests/test_kernels*.py, executed as sm_90 and sm_80 code.

Those tests are called as they are, with their bounds; only the start of a kernel is another (tests/ptx/launching.py). A
fault that the interpreter sees fails a test, too.
"""

import pytest
import test_kernels
import test_kernels_ddsp
import test_kernels_denoiser
import test_kernels_noise
import test_kernels_source
import test_kernels_vocoder
import torch
from kernel_check import check, poisoned
from ptx import compiled
from ptx.launching import Interpreter

from fastsvc.kernels import dependent
from fastsvc.kernels.denoiser import gated_conv
from fastsvc.kernels.tiles import Tile

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2400), compiled.NEEDED]  # two seconds of compiling a kernel
HALF = torch.float16
CASES = {
    "gated_conv, tile() chooses": (test_kernels.test_gated_conv_at_real_widths, 64, 256, None),
    "gated_conv, two warpgroups": (test_kernels.test_gated_conv_at_real_widths, 384, 128, Tile(64, 256, 64, 8, 2)),
    "residual": (test_kernels.test_residual, 3, 37, 192, HALF),
    "skip and head, in parts": (test_kernels.test_skip_and_head, 3, 37, 4, HALF),
    "skip and head": (test_kernels.test_skip_and_head, 3, 37, 1, HALF),
    "first": (test_kernels.test_first, 3, 37, 100, HALF),
    "first, with noise": (test_kernels_noise.test_a_schedule_begins_with_noise_or_a_noised_mel, 0.25),
    "head, with noise": (test_kernels_noise.test_updates_after_the_last_projection, None, 0.5, False, 128),
    "head, with a history": (test_kernels_noise.test_updates_after_the_last_projection, 0.3, None, False, 64),
    "condition, pulses": (test_kernels.test_condition, 3, 37, 70, 251, HALF),
    "source, sines": (test_kernels_source.test_excitation, "sines", 41, 8),
    "source, pulses": (test_kernels_source.test_excitation, "pulse", 41, 8),
    "conv": (test_kernels_vocoder.test_conv, 2, 37, 64, 128, 7, 3, HALF),
    "conv, a sum": (test_kernels_vocoder.test_conv_adds_to_a_sum, HALF),
    "conv, of float32": (
        test_kernels_vocoder.test_the_first_convolution_reads_mels_and_noise_as_they_are, 100, 32, HALF
    ),
    "residual_unit": (test_kernels_vocoder.test_residual_unit, 2, 150, 32, 7, 3, 2, HALF),
    "upsample": (test_kernels_vocoder.test_upsample, 2, 19, 32, 64, 8, 16, HALF),
    "upsample, with its source": (
        test_kernels_vocoder.test_upsample_with_its_source, 7, 64, 61, 32, True, HALF
    ),
    "waveform": (test_kernels_vocoder.test_waveform, 2, 301, 32, HALF),
    "a block of DDSP-SVC": (test_kernels_ddsp.test_block, 2, 37, 32, 3, True, HALF),
}  # fmt: skip
# `make test` compiles each kernel once for sm_90, and those of most kinds of products for sm_80; `make long` all.
EVERY_TIME = {
    90: {
        "gated_conv, tile() chooses", "residual", "skip and head, in parts", "first, with noise", "condition, pulses",
        "source, sines", "conv", "residual_unit", "upsample, with its source", "waveform",
        "a block of DDSP-SVC",
    },
    80: {"skip and head", "conv, of float32", "residual_unit"},
}  # fmt: skip
PARAMETERS = [
    pytest.param(arch, name, marks=[] if name in EVERY_TIME[arch] else pytest.mark.long)
    for arch in EVERY_TIME
    for name in CASES
]


@pytest.fixture(scope="module")
def compiler(tmp_path_factory):
    started = compiled.of_session(tmp_path_factory)
    yield started
    started.close()


@pytest.mark.parametrize("arch, name", PARAMETERS)
def test_compiled_code_computes_what_the_reference_does(compiler, monkeypatch, arch, name):
    interpreter = Interpreter(compiler, arch).replace(monkeypatch)
    case, *arguments = CASES[name]
    case(*arguments)
    interpreter.faults.check()
    assert interpreter.runs


# What the processor's interpreter cannot do: bfloat16, and float32 products of three TF32 ones.
@pytest.mark.parametrize(
    "arch, dtype, precision, eps",
    [
        (90, torch.bfloat16, "ieee", None),
        (90, torch.float32, "tf32x3", 2.0**-19),  # as in tests/test_kernels_gpu.py
        pytest.param(80, torch.bfloat16, "ieee", None, marks=pytest.mark.long),
        pytest.param(80, torch.float32, "tf32x3", 2.0**-19, marks=pytest.mark.long),
    ],
)
def test_types_that_only_compiled_code_shows(compiler, arch, dtype, precision, eps):
    state, weight, bias, lengths = test_kernels.conv_case(3, 37, 64, 64, dtype)
    z, block = poisoned(3, 37, 64, dtype=dtype), Tile(64, 64, 32, 4, 3)
    interpreter = Interpreter(compiler, arch)
    given = {"block": block, "precision": precision, "pdl": arch >= 90}
    interpreter.run(gated_conv.launch(state, weight, bias, z, lengths, 2, **given))
    check(z, gated_conv.reference, state, weight, bias, lengths, 2, eps=eps)
    interpreter.faults.check()


@pytest.mark.parametrize("arch", [pytest.param(90, marks=pytest.mark.long), pytest.param(80, marks=pytest.mark.long)])
def test_the_denoiser_layer_by_layer(compiler, monkeypatch, arch):
    """In sm_90 code the launches wait for one another, as when they start early."""
    monkeypatch.setattr(dependent, "possible", lambda device, _: arch >= dependent.LEAST_ARCH)
    interpreter = Interpreter(compiler, arch).replace(monkeypatch)
    test_kernels_denoiser.test_layer_by_layer(HALF, 4e-3)
    interpreter.faults.check()
    assert interpreter.runs["gated_conv_kernel"] == 10
