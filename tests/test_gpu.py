"""The engine on an NVIDIA GPU: against the CPU's engine, the same every time, cutting, memory."""

import subprocess
import sys

import pytest
import torch
from test_engines import FLOAT32, HALF

pytest.importorskip("triton")

from gpu_engines import BOUNDS, built, error, told

from fastsvc.audio import polyphase
from fastsvc.engine.buckets import Buckets
from fastsvc.engine.cpu.sampler import Features, SeededNoise
from fastsvc.engine.engine import Engine
from fastsvc.engine.request import Request
from fastsvc.kernels import dependent

pytestmark = pytest.mark.gpu


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return built(tmp_path_factory)


@pytest.fixture(scope="module")
def cpu(folder):
    return Engine.open(folder, "cpu")


CASES = [("fp32", 37, 2), ("fp32", 94, 1), ("fp16", 1, 1), ("fp16", 37, 2), ("fp16", 94, 1), ("fp16", 1025, 1)]


@pytest.mark.parametrize("precision, frames, steps", [*CASES, ("bf16", 37, 2)])
def test_same_as_the_cpu(folder, cpu, precision, frames, steps):
    gpu = Engine.open(folder, "cuda", precision)
    want, got = (engine.synthesise(*told(frames), "Bert", steps, seed=9) for engine in (cpu, gpu))
    assert error(got[1], want[1]) < BOUNDS[precision]
    # audio from one mel, so that the vocoder alone is compared
    f0_hz = told(frames)[1]
    audio = [engine.synthesiser(want[1], f0_hz, 3) for engine in (cpu, gpu)]
    assert error(audio[1], audio[0]) < (FLOAT32 if precision == "fp32" else HALF)


def test_a_graph_gives_the_same_every_time(folder):
    gpu = Engine.open(folder, "cuda")
    first = gpu.synthesise(*told(300), 0, 2, seed=1)
    captured = gpu.sampler.network.graphs.captured
    gpu.synthesise(*told(900, 1), 1, 2, seed=2)  # another shape writes over the same memory
    gpu.synthesise(*told(290, 1), 1, 2, seed=2)  # a shorter input leaves its rows in the same shape
    again = gpu.synthesise(*told(300), 0, 2, seed=1)
    assert torch.equal(first[1], again[1]) and torch.equal(first[0], again[0])
    assert captured == 2 and gpu.sampler.network.graphs.captured == 4  # condition and schedule of each shape


@pytest.mark.parametrize("frames, steps", [(94, 1), (94, 2), (1025, 1)])
@torch.inference_mode()
def test_early_starts_give_the_same_bits(folder, frames, steps):
    """At a real width, where kernels overlap: the mel of every replay, its buffers poisoned before."""
    gpu = Engine.open(folder, "cuda", "fp16")
    network, given = gpu.sampler.network, (*told(frames), 0, steps)
    if not dependent.possible(network.device, network.arch):
        pytest.skip(f"sm_{network.arch} cannot start kernels early")
    want = gpu.synthesise(*given, seed=1)[1]
    network.early = True
    assert torch.equal(gpu.synthesise(*given, seed=1)[1], want)
    shape = gpu.sampler.buckets.shape([frames])
    net, plan = network.program(shape).net, gpu.sampler.plans[steps]
    start = network.prepared(shape, ("sampling", steps), lambda p: p.sampling(plan))
    for number in range(300):
        for buffer in (net.z, net.parts, net.x, net.out, net.state[..., : net.weights.channels]):
            buffer.fill_(float("nan"))
        start()
        assert torch.equal(net.out[0, :frames].cpu(), want), f"replay {number}"


@pytest.mark.parametrize("frames, steps", [(94, 1), (94, 2), (64, 1)])
@torch.inference_mode()
def test_all_layers_in_one_launch(folder, frames, steps):
    """The mel of many replays against the one of the usual launches, buffers poisoned before."""
    gpu = Engine.open(folder, "cuda", "fp16")
    network, given = gpu.sampler.network, (*told(frames), 0, steps)
    want = gpu.synthesise(*given, seed=1)[1]
    network.together = True
    once = gpu.synthesise(*given, seed=1)[1]
    assert error(once, want) < 2e-3  # blocks of other sizes add up in another order
    shape = gpu.sampler.buckets.shape([frames])
    net, plan = network.program(shape).net, gpu.sampler.plans[steps]
    assert net.can_join
    start = network.prepared(shape, ("sampling", steps), lambda p: p.sampling(plan))
    for number in range(300):
        for buffer in (net.z, net.parts, net.x, net.out, net.state[..., : net.weights.channels]):
            buffer.fill_(float("nan"))
        net.counts.fill_(9)
        start()
        assert torch.equal(net.out[0, :frames].cpu(), once), f"replay {number}"


def test_two_processes_give_the_same_mel(folder):
    program = (
        "import sys, hashlib, torch; from fastsvc.engine.engine import Engine\n"
        "g = torch.Generator().manual_seed(0)\n"
        "given = torch.randn(50, 6, generator=g), 200 + torch.rand(50, generator=g), torch.rand(50, generator=g)\n"
        "mel = Engine.open(sys.argv[1], 'cuda').synthesise(*given, 0, 1)[1]\n"
        "print(hashlib.sha256(mel.numpy().tobytes()).hexdigest())"
    )
    command = [sys.executable, "-c", program, str(folder)]
    digests = {subprocess.run(command, capture_output=True, text=True, check=True).stdout for _ in range(2)}
    assert len(digests) == 1


def test_cutting_and_batches_change_little(folder):
    gpu = Engine.open(folder, "cuda", "fp32")
    recordings = []
    for i, frames in enumerate((200, 94, 333)):
        units, f0_hz, volume = told(frames, i)
        recordings.append(Features(units, torch.arange(frames), f0_hz, f0_hz > 0, volume))
    voice = gpu.sampler.condition.speaker({1: 1.0})
    together = gpu.sampler.many(recordings, voice, 2, [SeededNoise(seed, 80) for seed in (5, 6, 7)])
    for features, seed, mel in zip(recordings, (5, 6, 7), together):
        alone = gpu.sampler(features, voice, 2, SeededNoise(seed, 80))
        cut = gpu.sampler(features, voice, 2, SeededNoise(seed, 80), block=77)
        assert error(mel, alone) < 1e-4 and error(cut, alone) < 1e-4


def test_noise_that_is_handed_in(folder, cpu):
    noise, gpu = torch.randn(2, 45, 80), Engine.open(folder, "cuda", "fp32")
    want, got = (engine.synthesise(*told(45), 1, 2, noise=noise) for engine in (cpu, gpu))
    assert error(got[1], want[1]) < 1e-4


@pytest.mark.parametrize("where, units, volume", [("soxr", FLOAT32, 1e-5), ("device", 3e-2, 2e-3)])
def test_recordings(folder, cpu, monkeypatch, where, units, volume):
    """With the processor's resampling, and with the device's, whose slope random weights hear."""
    pytest.importorskip("soxr", reason="soxr resamples recordings")
    monkeypatch.setenv(polyphase.VARIABLE, where)
    audio = 0.3 * torch.sin(2 * torch.pi * 220 * torch.arange(30_000) / 44100)
    gpu = Engine.open(folder, "cuda", "fp32")
    first, _ = gpu.convert(audio, 44100, "Ada")
    got, rate_hz = gpu.convert(audio, 44100, "Ada")
    assert (
        error(torch.from_numpy(got), torch.from_numpy(first)) < 1e-5
    )  # the pitch has a stream of its own, which is waited for
    want, _ = cpu.convert(audio, 44100, "Ada")
    assert rate_hz == 44100 and got.shape == want.shape
    assert error(torch.from_numpy(got), torch.from_numpy(want)) < 0.05  # f0 to its last bits: the phase adds them up
    ours, theirs = (engine.extract(audio, 44100, Request("Ada")) for engine in (gpu, cpu))
    assert error(ours.features.units.cpu(), theirs.features.units) < units
    torch.testing.assert_close(ours.features.f0_hz, theirs.features.f0_hz, rtol=1e-4, atol=0)
    torch.testing.assert_close(ours.features.volume, theirs.features.volume, rtol=volume, atol=1e-4)
    sung = [
        torch.from_numpy(engine.synthesise_many([theirs], Request("Ada"))[0]) for engine in (gpu, cpu)
    ]  # the same features
    assert error(*sung) < FLOAT32


def test_real_shortage_of_memory(folder, cpu, monkeypatch):
    gpu = Engine.open(folder, "cuda", "fp32")
    gpu.sampler.buckets = Buckets(4096)
    arena = gpu.sampler.network.reserve

    def scarce(shapes):
        if max(shape.batch * shape.frames for shape in shapes) > 1024:
            torch.empty(2**48, dtype=torch.uint8, device="cuda")  # more than there is
        arena(shapes)

    monkeypatch.setattr(gpu.sampler.network, "reserve", scarce)
    with pytest.warns(UserWarning, match="GPU memory is short"):
        got = gpu.synthesise(*told(1500), 1)
    assert error(got[1], cpu.synthesise(*told(1500), 1)[1]) < 1e-4
