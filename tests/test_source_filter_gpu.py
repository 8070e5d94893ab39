"""The source-filter vocoder by the GPU's synthesiser: on the processor, where nothing is captured, and on a GPU."""

import json
from dataclasses import replace
from types import SimpleNamespace

import engines
import pytest
import torch
import weights
from golden import relative_rms
from test_source_filter_engine import SMALL, built, voice

pytest.importorskip("triton")

from fastsvc.artifact import engine_folder
from fastsvc.build.cubins import supply
from fastsvc.config import SourceFilterConfig
from fastsvc.engine import Engine
from fastsvc.engine.buckets import EVEN_FRAMES
from fastsvc.engine.cpu.sampler import Synthesiser
from fastsvc.engine.cuda import launch_plan, launcher, selfcheck
from fastsvc.engine.cuda import vocoder as cuda_vocoder
from fastsvc.engine.cuda.generators.backends import backend_choice
from fastsvc.engine.cuda.generators.choice import BackendChoice, measured_shapes
from fastsvc.engine.cuda.vocoder_inputs import VocoderInputs
from fastsvc.errors import EngineError
from fastsvc.model import noise, pulses

FULL = SourceFilterConfig()
EXACT, HALF = 2e-5, 4e-3  # relative RMS; measured on the processor: 0 and 5e-4


def synthesiser(config, dtype, device="cpu"):
    return cuda_vocoder.Synthesiser(weights.vocoder(config), config, None, dtype, device, launcher.Jit())


@torch.inference_mode()
@pytest.mark.parametrize("dtype, bound", [(torch.float32, EXACT), (torch.float16, HALF)])
def test_slices_in_batches_are_the_processors_pass(dtype, bound):
    mel, f0_hz = voice(SMALL, 150)
    want = Synthesiser(weights.vocoder(SMALL), SMALL)(mel[0], f0_hz[0], 2**63 + 5)
    made = synthesiser(SMALL, dtype)
    assert relative_rms(made(mel[0], f0_hz[0], 2**63 + 5), want) < bound
    ((batch, length),) = made.inputs
    assert batch > 1 and length < 150 and length in EVEN_FRAMES
    assert relative_rms(made(mel[0], f0_hz[0], 6), want) > 1e-2
    for frames in (1, 7):
        whole = Synthesiser(weights.vocoder(SMALL), SMALL)(mel[0, :frames], f0_hz[0, :frames])
        assert relative_rms(made(mel[0, :frames], f0_hz[0, :frames]), whole) < bound


def test_noise_of_several_seeds_at_once_is_that_of_each():
    places = torch.tensor([[3, 4, 5], [2**40, 2**40 + 1, 2**40 + 2]])
    for seed in (0, 12, 2**64 - 3):
        seeds = torch.full((2, 1, 1), seed - 2**64 if seed >= 2**63 else seed)
        drawn = noise.drawn(seeds, 0, places, 6, noise.SOURCE_STREAM)
        for row, place in zip(drawn, places):
            assert torch.equal(row, noise.gaussian(seed, 0, int(place[0]), 3, 6, stream=noise.SOURCE_STREAM))


def test_backends_by_name(tmp_path):
    """TensorRT says what it lacks, as for every vocoder; kernels that compute generators say that this is none."""
    model = SimpleNamespace(
        vocoder=SMALL,
        folder=SimpleNamespace(manifest=SimpleNamespace(vocoder=SimpleNamespace(backend="auto")), path=tmp_path),
    )
    part = SimpleNamespace(read=lambda name: None, add=lambda files: None)
    given = model, weights.vocoder(SMALL), torch.float32, torch.device("cpu"), 90, launcher.Jit(), part
    assert set(backend_choice(*given).makers) == {"torch", "triton", "tensorrt", "tensorrt_rtx"}
    with pytest.raises(EngineError, match="Triton kernels compute HiFi-GAN generators, not .* source_filter"):
        backend_choice(*given, requested="triton")
    rows = BackendChoice(
        {name: maker for name, maker in backend_choice(*given).makers.items() if name in ("torch", "triton")},
        backend_choice(*given).reference,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fastsvc.engine.cuda.generators.choice.milliseconds", lambda run: 1.0)
        by_name = {row.backend: row for row in rows.measure(VocoderInputs(SMALL, 2, 64, "cpu"), lambda run: run)}
    assert by_name["torch"].error == 0 and "Triton kernels compute HiFi-GAN" in by_name["triton"].why


def test_nothing_is_compiled_for_it():
    shapes = list(launch_plan.vocoder_shapes())
    assert supply.audio_shapes(SMALL, [[500]], "auto") == []
    arguments = engines.ACOUSTIC, SMALL, "consistency", {1: [80.0]}, False, torch.float32, 90, [], shapes
    assert list(launch_plan.launches(*arguments)) == []


@torch.inference_mode()
def test_the_self_check_of_its_audio():
    """The compiler's fingerprint, by the processor's form; another vocoder's differs."""
    right = selfcheck.expected_audio(SMALL, Synthesiser(weights.vocoder(SMALL), SMALL).vocoder)
    inputs = selfcheck.vocoder_inputs(SMALL)
    for seed, near in ((0, True), (1, False)):
        made = cuda_vocoder.Synthesiser(weights.vocoder(SMALL, seed), SMALL, None, torch.float32, "cpu", launcher.Jit())
        audio = made(inputs["mel"], inputs["f0_hz"], selfcheck.SEED)
        assert (selfcheck.difference(selfcheck.fingerprint(audio), right) < 1e-4) is near


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("gpu")
    return built(path, engines.native(path / "filters.pt", "vocoder", FULL), vocoder_backend="torch")


@pytest.mark.gpu
@torch.inference_mode()
@pytest.mark.parametrize("precision, bound", [("fp32", 1e-4), ("fp16", HALF)])
def test_on_a_gpu(folder, precision, bound):
    """Graphs of several slices, twice the same; lengths without a graph; the audio of one mel by both devices."""
    cpu, gpu = Engine.open(folder, "cpu").synthesiser, Engine.open(folder, "cuda", precision).synthesiser
    for frames in (1, 40, 700, 3000):
        mel, f0_hz = voice(FULL, frames)
        got = gpu(mel[0], f0_hz[0], 7)
        assert relative_rms(got, cpu(mel[0], f0_hz[0], 7)) < bound
        assert torch.equal(gpu(mel[0], f0_hz[0], 7), got)
    assert gpu.graphs.captured > 0


@pytest.mark.gpu
def test_pulses_on_a_gpu():
    f0_hz = voice(FULL, 300)[1]
    phase = pulses.frame_phase(f0_hz, FULL)
    assert torch.equal(pulses.frame_phase(f0_hz.cuda(), FULL).cpu(), phase)
    draws = torch.zeros(1, 300 * FULL.mel.hop_samples)
    got = pulses.excitation(f0_hz.cuda(), phase.cuda(), draws.cuda(), FULL).cpu()
    assert relative_rms(got, pulses.excitation(f0_hz, phase, draws, FULL)) < 1e-6


@pytest.mark.gpu
def test_its_backends_are_timed_on_a_gpu(folder, tmp_path, monkeypatch):
    """PyTorch always runs; TensorRT where it is installed, and then near enough to be chosen."""
    import shutil

    monkeypatch.setenv("FASTSVC_CACHE", str(tmp_path / "cache"))
    path = shutil.copytree(folder, tmp_path / "e.fsvc")
    manifest = json.loads((path / engine_folder.MANIFEST).read_text())
    manifest["vocoder"]["backend"] = "auto"
    (path / engine_folder.MANIFEST).write_text(json.dumps(manifest))
    made = Engine.open(path, "cuda", "fp16").synthesiser
    monkeypatch.setattr(cuda_vocoder, "measured_shapes", lambda: measured_shapes()[-1:])
    made.measure()
    rows = {row.backend: row for row in made.choice.rows}
    assert rows["torch"].ms > 0 and "Triton kernels compute HiFi-GAN" in rows["triton"].why
    for name in ("tensorrt", "tensorrt_rtx"):
        assert rows[name].why or rows[name].error < HALF


def test_the_kinds_of_inputs():
    inputs = VocoderInputs(replace(SMALL, blocks=1), 2, 5, "cpu")
    assert inputs.excitation.shape == (2, 5 * 256, 2) and inputs.extra is inputs.f0_hz and inputs.noise is None
