"""Graphs that the GPU's engine makes beforehand, its kernels interpreted."""

import interpreted
import pytest
import torch

pytest.importorskip("triton")

from gpu_pairs import FRAMES, built, told

from fastsvc.engine import buckets
from fastsvc.engine.buckets import Buckets
from fastsvc.engine.cpu.sampler import Features, SeededNoise
from fastsvc.engine.cuda import pitch as cuda_pitch
from fastsvc.engine.cuda import recogniser as cuda_recogniser
from fastsvc.engine.cuda.graphs import Graphs
from fastsvc.engine.engine import Engine

pytestmark = pytest.mark.skipif(torch.cuda.is_available(), reason="the interpreter is not used where there is a GPU")


@pytest.fixture(autouse=True)
def prepared(monkeypatch):
    interpreted.prepare(monkeypatch)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return built(tmp_path_factory)


@pytest.fixture
def pair(folder):
    """(the CPU's engine, the GPU's)."""
    return Engine.open(folder, "cpu"), interpreted.engine(folder)


@pytest.mark.slow
@pytest.mark.long
def test_graphs_are_made_beforehand(pair, monkeypatch):
    """Those that recordings need, largest first; then nothing is captured while they are sung."""
    _, gpu = pair
    made, real = [], Graphs.capture
    monkeypatch.setattr(Graphs, "capture", lambda self, run: made.append(self) or real(self, run))
    seen, lengths = [], (12, 66, 7)
    assert gpu.warm_up(groups=[lengths, lengths[:1]], steps=(1, 2), progress=seen.append) == len(made)
    assert seen == sorted(seen) and seen[-1] == 1
    shapes = [(shape.batch, shape.frames) for shape in gpu.sampler.network.programs]
    assert shapes == [(4, 96), (1, 64)]
    recordings = [Features(*told(n)[:1], torch.arange(n), *(2 * [torch.ones(n)]), torch.ones(n)) for n in lengths]
    voice, before = gpu.sampler.condition.speaker({1: 1.0}), len(made)
    for steps in (1, 2):
        mels = gpu.sampler.many(recordings, voice, steps, [SeededNoise(seed, 80) for seed in (5, 6, 7)])
        gpu.sampler.many(recordings[:1], voice, steps, [SeededNoise(5, 80)])
    gpu.synthesiser(mels[1], recordings[1].f0_hz)
    assert len(made) == before


def test_the_whole_ladder_is_prepared(pair, monkeypatch):
    _, gpu = pair
    gpu.sampler.buckets = Buckets(512)
    monkeypatch.setattr(buckets, "EVEN_FRAMES", (64, 128))
    monkeypatch.setattr(buckets, "EVEN_BATCHES", (2, 1))
    monkeypatch.setattr(cuda_recogniser, "LENGTHS", (64, 128))
    monkeypatch.setattr(cuda_pitch, "FRAMES", (64, 128))
    monkeypatch.setattr(gpu.synthesiser, "most_batch", 2)
    ran = []
    monkeypatch.setattr(
        gpu.synthesiser, "_batch", lambda mel, f0, seed, starts, length, voice: ran.append((len(starts), length))
    )
    gpu.warm_up(groups="all")
    network = gpu.sampler.network
    assert list(network.programs) == Buckets(512).shapes()
    assert {key[0] for key in network.replays} == set(Buckets(512).shapes())
    assert {key[1:] for key in network.replays} == {
        ("condition", False, False),  # neither early nor all layers together
        ("sampling", 1, False, False),
    }
    assert ran == [(2, 128), (1, 128), (2, 64), (1, 64)]
    assert list(gpu.encoder.programs.by_shape) == list(gpu.yin.programs.by_shape) == [128, 64]


def test_stepped_schedules_are_prepared_too(pair):
    _, gpu = pair
    gpu.sampler.method, gpu.sampler.plans = "heun", {1: None, 2: None}
    gpu.sampler.schedules = {2: [*gpu.sampler.schedules[2], 0.0]}
    gpu.sampler.warm_up([2], [[FRAMES]])
    replays = dict(gpu.sampler.network.replays)
    gpu.synthesise(*told(), 0, 2)
    assert {key[1] for key in replays} == {"condition", "evaluation"} and replays == gpu.sampler.network.replays


def test_short_memory_while_graphs_are_made(pair, monkeypatch):
    _, gpu = pair
    reserve = gpu.sampler.network.reserve

    def scarce(shapes):
        if max(shape.batch * shape.frames for shape in shapes) > 2048:
            raise torch.OutOfMemoryError("no")
        reserve(shapes)

    monkeypatch.setattr(gpu.sampler.network, "reserve", scarce)
    with pytest.warns(UserWarning, match="continuing with batches of 2048 frames"):
        gpu.sampler.warm_up([1], [[FRAMES]])
    assert gpu.sampler.buckets == Buckets(2048) and len(gpu.sampler.network.replays) == 2


def test_on_a_processor_there_are_no_graphs_to_make(pair):
    cpu, _ = pair
    assert cpu.warm_up(0.05, groups="all") == 0 and set(cpu.timings) == {"features", "mel", "vocoder"}
