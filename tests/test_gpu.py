"""The engine on an NVIDIA GPU: against the CPU's engine, graphs, batches, determinism, memory, compiled kernels."""

import json
import shutil
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor

import engines
import pytest
import torch
from golden import relative_rms
from test_engines import FLOAT32, HALF

pytest.importorskip("triton")

from fastsvc.artifact import device_part
from fastsvc.artifact import folder as artifact
from fastsvc.build.passes import measure
from fastsvc.config import AcousticConfig, ConditionConfig, DenoiserConfig, FeatureConfig
from fastsvc.engine import buckets, conversion
from fastsvc.engine.buckets import Buckets, Shape
from fastsvc.engine.cpu.sampler import Features, SeededNoise
from fastsvc.engine.cuda import copies
from fastsvc.engine.cuda import pitch as cuda_pitch
from fastsvc.engine.cuda import recogniser as cuda_recogniser
from fastsvc.engine.engine import Engine
from fastsvc.engine.request import Request
from fastsvc.kernels import dependent

pytestmark = pytest.mark.gpu
# of a real width, so that tensor cores and all tiles are met
CONFIG = AcousticConfig(
    features=FeatureConfig(unit_channels=6),
    condition=ConditionConfig(unit_channels=6, channels=256, speakers=3, key_shift=False, voicing=True),
    denoiser=DenoiserConfig(channels=512, layers=6, cond_channels=256, dilation_cycle=2),
)
# Of mels. In the interpreter: 1e-6 and 8e-4; bfloat16 has 3 bits less. Doubled f0 moves them by 0.4, a semitone 0.05.
BOUNDS = {"fp32": FLOAT32, "fp16": 4e-3, "bf16": 3e-2}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    torch.manual_seed(0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measure, "SECONDS_OF_AUDIO", {"denoiser": 0.1, "vocoder": 0.01})
        patch.setattr(engines, "ACOUSTIC", CONFIG)
        given = {"target": "cpu", "vocoder_backend": "torch"}  # Triton would compile the vocoder's kernels in each test
        return engines.build_engine(tmp_path_factory.mktemp("gpu"), **given)


@pytest.fixture(scope="module")
def cpu(folder):
    return Engine.open(folder, "cpu")


def told(frames, seed=0):
    generator = torch.Generator().manual_seed(seed)
    f0_hz = 150 + 200 * torch.rand(frames, generator=generator)
    f0_hz[: frames // 7] = 0
    return torch.randn(frames, 6, generator=generator), f0_hz, 0.3 * torch.rand(frames, generator=generator)


def error(got, want):
    assert got.shape == want.shape and torch.isfinite(got).all()
    return relative_rms(got, want)


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
    together = gpu.sampler.many(recordings, voice, 2, [5, 6, 7])
    for features, seed, mel in zip(recordings, (5, 6, 7), together):
        alone = gpu.sampler(features, voice, 2, SeededNoise(seed, 80))
        cut = gpu.sampler(features, voice, 2, SeededNoise(seed, 80), block=77)
        assert error(mel, alone) < 1e-4 and error(cut, alone) < 1e-4


def test_noise_that_is_handed_in(folder, cpu):
    noise, gpu = torch.randn(2, 45, 80), Engine.open(folder, "cuda", "fp32")
    want, got = (engine.synthesise(*told(45), 1, 2, noise=noise) for engine in (cpu, gpu))
    assert error(got[1], want[1]) < 1e-4


def test_recordings(folder, cpu):
    pytest.importorskip("soxr", reason="soxr resamples recordings")
    audio = 0.3 * torch.sin(2 * torch.pi * 220 * torch.arange(30_000) / 44100)
    gpu = Engine.open(folder, "cuda", "fp32")
    got, rate_hz = gpu.convert(audio, 44100, "Ada")
    want, _ = cpu.convert(audio, 44100, "Ada")
    assert rate_hz == 44100 and got.shape == want.shape
    assert error(torch.from_numpy(got), torch.from_numpy(want)) < 0.05  # f0 to its last bits: the phase adds them up
    ours, theirs = (engine.extract(audio, 44100, Request("Ada")) for engine in (gpu, cpu))
    assert error(ours.features.units.cpu(), theirs.features.units) < FLOAT32
    torch.testing.assert_close(ours.features.f0_hz, theirs.features.f0_hz, rtol=1e-4, atol=0)
    torch.testing.assert_close(ours.features.volume, theirs.features.volume, rtol=1e-5, atol=1e-7)
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


def test_compiled_kernels_give_what_triton_gives(folder, tmp_path, monkeypatch):
    pytest.importorskip("cuda.bindings.driver", reason="cuda-bindings starts compiled kernels")
    from fastsvc import build

    monkeypatch.setattr(measure, "SECONDS_OF_AUDIO", {"denoiser": 0.1, "vocoder": 0.01})
    monkeypatch.setattr(Buckets, "shapes", lambda self: [Shape(1, 96)])
    parts = folder.parent
    given = {"vocoder": parts / "vocoder.pt", "content": parts / "recogniser.pt", "steps": (1, 2)}
    path = build.compile(parts / "student.pt", tmp_path / "aot.fsvc", target="auto", progress=None, **given)
    ahead, jit = Engine.open(path, "cuda"), Engine.open(folder, "cuda")
    assert "compiled ahead of time" in ahead.how and "Triton" in jit.how
    for steps in (1, 2):
        got, want = (engine.synthesise(*told(94), 0, steps, seed=4)[1] for engine in (ahead, jit))
        assert error(got, want) < 1e-3
    with ThreadPoolExecutor(1) as pool:  # whose thread has no CUDA context yet
        other = pool.submit(ahead.synthesise, *told(94), 0, 2, seed=4).result()
    assert torch.equal(other[1], got)
    network = ahead.sampler.network
    if dependent.possible(network.device, network.arch):
        network.early = True
        assert torch.equal(ahead.synthesise(*told(94), 0, 2, seed=4)[1], got)
    assert any(name.endswith(".cubin") for name in artifact.Artifact(path).files)


def test_the_vocoders_backends_are_timed_once_and_kept(folder, cpu, tmp_path):
    """The same recording twice, the second time by an engine that has read the table."""
    path = shutil.copytree(folder, tmp_path / "auto.fsvc")
    manifest = json.loads((path / "manifest.json").read_text())
    manifest["vocoder"]["backend"] = "auto"
    (path / "manifest.json").write_text(json.dumps(manifest))
    mel, f0_hz = torch.randn(94, 80) - 2, 150 + 100 * torch.rand(94)
    first = Engine.open(path, "cuda", "fp16")
    assert not first.synthesiser.choice.rows
    got, rows = first.synthesiser(mel, f0_hz, 3), first.synthesiser.choice.rows
    by_name = {row.backend: row for row in rows}
    assert set(by_name) == set(first.synthesiser.choice.makers)
    for name in ("torch", "triton"):
        assert by_name[name].why is None and by_name[name].ms > 0 and by_name[name].error < HALF
    second = Engine.open(path, "cuda", "fp16")
    assert second.synthesiser.choice.rows == rows
    assert torch.equal(second.synthesiser(mel, f0_hz, 3), got) and second.synthesiser.choice.rows == rows
    assert error(got, cpu.synthesiser(mel, f0_hz, 3)) < HALF


def heard(engine, frames, seed):
    """As Engine.extract gives it, from features: a bare machine cannot resample."""
    place = conversion.OutputSpec(frames * 128, 24000, 24000, 1.0)
    return conversion.RecordingFeatures(conversion.checked_features(engine, *told(frames, seed)), 0.0, place)


@pytest.mark.parametrize("precision, bound", [("fp32", FLOAT32), ("fp16", HALF)])
def test_recordings_sung_together_are_those_sung_alone(folder, precision, bound):
    gpu = Engine.open(folder, "cuda", precision)
    lengths = [200, 94, 333, 30, 1100, 94, 94, 94, 94, 94, 700]
    recordings = [heard(gpu, frames, i) for i, frames in enumerate(lengths)]
    together = gpu.synthesise_many(recordings, Request("Bert", seed=5))
    for one, made in zip(recordings, together, strict=True):
        (alone,) = gpu.synthesise_many([one], Request("Bert", seed=5))
        assert error(torch.from_numpy(made), torch.from_numpy(alone)) < bound
    again = gpu.synthesise_many(recordings, Request("Bert", seed=5))
    assert all((one == other).all() for one, other in zip(together, again))


@pytest.mark.parametrize("pinned", [True, False])
def test_audio_on_its_way_is_not_overtaken(folder, monkeypatch, pinned):
    """Copies are held up, and what follows writes over the same buffers at once: each recording keeps its own audio."""
    gpu = Engine.open(folder, "cuda")
    given = [(torch.randn(900 + 10 * i, 80) - 2, 150 + 100 * torch.rand(900 + 10 * i)) for i in range(6)]
    alone = []
    for mel, f0_hz in given:
        alone.append(gpu.synthesiser(mel, f0_hz, 1).clone())
        torch.cuda.synchronize()
    if not pinned:
        monkeypatch.setattr(copies, "PINNED_MOST", 0)
    for _ in range(5):
        with torch.cuda.stream(gpu.synthesiser.host_stream):
            torch.cuda._sleep(50_000_000)  # some 30 ms, in which all of the work is done
        begun = [gpu.synthesiser.begin(mel, f0_hz, 1) for mel, f0_hz in given]
        for finish, want in zip(begun, alone, strict=True):
            got = finish()
            assert got.is_pinned() == pinned and torch.equal(got, want)


def test_inputs_through_pinned_memory_arrive_as_they_were(folder):
    """The host writes over and frees what it sent, while the GPU is still busy with something else."""
    device = torch.device("cuda", torch.cuda.current_device())
    torch.cuda._sleep(50_000_000)
    made = []
    for i in range(50):
        value = torch.full((100_000,), float(i))
        made.append(copies.to_device(value, device))
        value.fill_(-1)
    assert [float(one.min()) for one in made] == [float(one.max()) for one in made] == list(range(50))


def test_the_whole_ladder_is_captured_beforehand(folder, monkeypatch):
    """Of a small buckets, as Triton compiles for each shape; then no call captures anything, and all is as it was."""
    monkeypatch.setattr(buckets, "FRAMES", (64, 128, 256))
    monkeypatch.setattr(buckets, "EVEN_FRAMES", (64, 128))
    monkeypatch.setattr(buckets, "EVEN_BATCHES", (2, 1))
    monkeypatch.setattr(cuda_recogniser, "LENGTHS", (64, 256, 1024))
    monkeypatch.setattr(cuda_pitch, "FRAMES", (64, 256))
    gpu, plain = (Engine.open(folder, "cuda") for _ in range(2))
    for engine in (gpu, plain):
        engine.sampler.buckets, engine.synthesiser.most_batch, engine.synthesiser.longest = Buckets(256), 2, 128
    seen = []
    count = gpu.warm_up(groups="all", steps=(1, 2), progress=seen.append)
    ears = gpu.encoder.programs.graphs, gpu.yin.programs.graphs
    assert [pool.captured for pool in ears] == [3, 2]
    pools = gpu.sampler.network.graphs, gpu.synthesiser.graphs, *ears
    assert count == sum(pool.captured for pool in pools) == 3 * len(Buckets(256).shapes()) + 4 + 5
    assert seen == sorted(seen) and seen[-1] == 1
    for steps, frames in ((1, 37), (2, 200), (1, 1000), (2, 250)):
        (made,), (want,) = (
            engine.synthesise_many([heard(engine, frames, 3)], Request(1, steps=steps)) for engine in (gpu, plain)
        )
        assert error(torch.from_numpy(made), torch.from_numpy(want)) < 1e-3
    assert count == sum(pool.captured for pool in pools)


def test_lacking_kernels_are_compiled_and_kept(folder, tmp_path, monkeypatch):
    pytest.importorskip("cuda.bindings.driver", reason="cuda-bindings starts compiled kernels")
    from fastsvc.build.cubins import supply
    from fastsvc.engine.cuda import gpu_parts

    monkeypatch.setenv("FASTSVC_CACHE", str(tmp_path / "cache"))
    arch = gpu_parts.architecture(torch.device("cuda"))
    for place in ("folder", "cache"):
        path = shutil.copytree(folder, tmp_path / f"{place}.fsvc")
        if place == "cache":
            monkeypatch.setattr(device_part.os, "access", lambda *_: False)
        made = supply.supply(artifact.Artifact(path), arch, "fp16", [[94]], 1)
        assert made.kernels > 0 and (made.place == path) == (place == "folder")
        assert supply.supply(artifact.Artifact(path), arch, "fp16", [[94]], 1) is None
        jit = Engine.open(folder, "cuda")
        with warnings.catch_warnings():
            warnings.filterwarnings("error", message=".*Triton compiles it now")  # nothing is left for it
            gpu = Engine.open(path, "cuda")
            got = gpu.synthesise(*told(94), 0, 1, seed=4)[1]
        assert "compiled ahead of time" in gpu.how and "Triton" in jit.how
        assert error(got, jit.synthesise(*told(94), 0, 1, seed=4)[1]) < 1e-3
