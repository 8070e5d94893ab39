"""What an engine on an NVIDIA GPU prepares and shares: compiled kernels, timed backends, graphs, batches, copies."""

import json
import shutil
import warnings
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from test_engines import FLOAT32, HALF

pytest.importorskip("triton")

from gpu_engines import built, error, told

from fastsvc.artifact import device_part, engine_folder
from fastsvc.build.passes import measure
from fastsvc.engine import buckets, conversion
from fastsvc.engine.buckets import Buckets, Shape
from fastsvc.engine.cuda import copies
from fastsvc.engine.cuda import pitch as cuda_pitch
from fastsvc.engine.cuda import recogniser as cuda_recogniser
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
    assert any(name.endswith(".cubin") for name in engine_folder.Artifact(path).files)


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
        jit = Engine.open(folder, "cuda")  # before: copies share what is kept in the cache
        want = jit.synthesise(*told(94), 0, 1, seed=4)[1]
        made = supply.supply(engine_folder.Artifact(path), arch, "fp16", [[94]], 1)
        assert made.kernels > 0 and (made.folder == path) == (place == "folder")
        assert supply.supply(engine_folder.Artifact(path), arch, "fp16", [[94]], 1) is None
        with warnings.catch_warnings():
            warnings.filterwarnings("error", message=".*Triton compiles it now")  # nothing is left for it
            gpu = Engine.open(path, "cuda")
            got = gpu.synthesise(*told(94), 0, 1, seed=4)[1]
        assert "compiled ahead of time" in gpu.how and "Triton" in jit.how
        assert error(got, want) < 1e-3
