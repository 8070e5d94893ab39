"""The engine on a GPU, end to end, over stand-ins: compiled kernels are interpreted (tests/ptx), the rest is its own.

That is the launch plan, the compiler's calls, the list of kernels and its seal, cuda-bindings' calls with the arguments
as C values, graphs, streams, the self-check, cutting and joining.
"""

import engines
import pytest
import torch
from gpu_engines import BOUNDS, error, told
from ptx import compiled
from ptx.stand_in_cuda import OnTheCpu, install

from fastsvc.build.passes import measure
from fastsvc.config import VocoderConfig
from fastsvc.engine import buckets
from fastsvc.engine.buckets import Buckets, Shape
from fastsvc.engine.cuda import early, joined, launch_plan
from fastsvc.engine.engine import Engine

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2400), compiled.NEEDED]  # fifteen kernels are compiled
ARCH, FRAMES = 90, 64
# Two stages and blocks of 3 taps: few kernels, each of them compiled.
VOCODER = VocoderConfig(
    initial_channels=32,
    upsample_rates=(16, 8),
    upsample_kernels=(32, 16),
    resblock_kernels=(3,),
    resblock_dilations=((1, 3),),
)
AUDIO = {"fp32": 2e-4, "fp16": 8e-3}  # relative RMS against the CPU's, as mels in BOUNDS


@pytest.fixture
def pair(request, tmp_path, tmp_path_factory, monkeypatch):
    """(the CPU's engine, the stand-in GPU's, its driver's Api) of one precision, "fp16 together" with all layers in one
    launch."""
    precision, _, together = request.param.partition(" ")
    monkeypatch.setenv(joined.PERSISTENT, "1" if together else "0")
    monkeypatch.setattr(measure, "SECONDS_OF_AUDIO", {"denoiser": 0.1, "vocoder": 0.01})
    monkeypatch.setattr(engines, "VOCODER", VOCODER)
    monkeypatch.setattr(Buckets, "shapes", lambda self: [Shape(1, FRAMES)])
    monkeypatch.setattr(buckets, "EVEN_FRAMES", (FRAMES,))
    monkeypatch.setattr(launch_plan, "vocoder_shapes", lambda: [(1, FRAMES)])
    monkeypatch.setenv(early.PDL, "1")
    compiler = compiled.of_session(tmp_path_factory)
    with monkeypatch.context() as patch:
        api = install(patch, compiler, ARCH)
        patch.setattr(torch.cuda, "is_available", lambda: False)
        path = engines.build_engine(tmp_path, target=f"sm_{ARCH}", precision=precision, vocoder_backend="triton")
    compiler.close()
    cpu = Engine.open(path, "cpu", vocoder_backend="torch")
    kept = api.cubins
    api = install(monkeypatch, compiler, ARCH)
    api.cubins.update(kept)
    with OnTheCpu():
        yield cpu, Engine.open(path, "cuda", precision, "triton"), api


@pytest.mark.long
@pytest.mark.parametrize("pair", ["fp16 together"], indirect=True)
def test_all_layers_in_one_launch(pair):
    """Built and run where the environment asks for it; layer by layer goes the check of an engine that is opened."""
    cpu, gpu, api = pair
    want, got = (engine.synthesise(*told(17), "Bert", 2, seed=9) for engine in (cpu, gpu))
    assert error(got[1], want[1]) < BOUNDS["fp16"]
    api.faults.check()
    assert api.starts["layers_kernel"] > api.starts["residual_kernel"]
    assert not api.early["layers_kernel"] and api.early["skip_kernel"]


@pytest.mark.parametrize("pair", ["fp16", pytest.param("fp32", marks=pytest.mark.long)], indirect=True)
def test_mel_and_audio_are_the_cpus(pair):
    cpu, gpu, api = pair
    assert "compiled ahead of time" in gpu.how and gpu.device.type == "cuda"
    given = told(17)
    want, got = (engine.synthesise(*given, "Bert", 2, seed=9) for engine in (cpu, gpu))
    assert error(got[1], want[1]) < BOUNDS[gpu.precision]
    assert error(got[0], want[0]) < AUDIO[gpu.precision]
    api.faults.check()
    assert {f"{name}_kernel" for name in KERNELS} <= set(api.starts)
    assert api.early["gated_conv_kernel"] and not api.early["conv_kernel"]


KERNELS = ("condition", "first", "gated_conv", "residual", "skip", "head")
KERNELS += ("source", "conv", "upsample", "residual_unit", "waveform")
