"""RVC's acoustic part on a GPU, run on a CPU: graphs made beforehand, short memory, self-check, stages to be timed."""

import pytest
import torch
from golden import relative
from rvc_cuda import CONFIG, SCALE, sampler
from test_rvc_lowered import features, random
from test_rvc_lowered import sampler as cpu_sampler

from fastsvc.engine.buckets import Buckets, Shape
from fastsvc.engine.cpu.rvc import encoder
from fastsvc.engine.cpu.sampler import SeededNoise, noise_from
from fastsvc.engine.cuda import selfcheck, selfcheck_rvc
from fastsvc.engine.cuda.graphs import Graphs
from fastsvc.engine.cuda.rvc import batches
from fastsvc.errors import EngineError

BOUND = 1e-5


@pytest.fixture(scope="module")
def model():
    return random(CONFIG)


@pytest.fixture
def pair(model):
    """(the CPU's sampler, the GPU's)."""
    return cpu_sampler(model), sampler(model)


def seeded(seed=0):
    return SeededNoise(seed, CONFIG.mel.bins)


def test_short_memory_makes_smaller_batches_and_a_message(pair, monkeypatch):
    cpu, gpu = pair
    gpu.buckets, limit, real = Buckets(1024), 512, gpu._encode

    def scarce(passes):
        if gpu.buckets.rows > limit:
            raise torch.OutOfMemoryError("no")
        return real(passes)

    monkeypatch.setattr(gpu, "_encode", scarce)
    heard, voice = features(600, CONFIG), cpu.condition.speaker({0: 1.0})
    with pytest.warns(UserWarning, match="batches of 512 frames"):
        got = gpu(heard, voice, 1, seeded())
    assert relative(got, cpu(heard, voice, 1, seeded())) < BOUND and gpu.network.rows == 512
    monkeypatch.setattr(gpu, "_encode", lambda passes: (_ for _ in ()).throw(torch.OutOfMemoryError("no")))
    with pytest.raises(EngineError, match="memory"):
        gpu(heard, voice, 1, seeded())


def test_graphs_are_made_beforehand(pair, monkeypatch):
    """Those that recordings need, largest first; then nothing is captured."""
    for name, value in {"WHOLE": 50, "KEEP": 20, "CONTEXT": 8, "FADE": 4}.items():
        monkeypatch.setattr(encoder, name, value)
    cpu, gpu = pair
    gpu.buckets, made, real, seen = Buckets(128), [], Graphs.capture, []
    monkeypatch.setattr(Graphs, "capture", lambda self, run: made.append(run.__self__) or real(self, run))
    groups = [[12, 44, 7], [57], [300, 20]]
    gpu.warm_up([1], groups, seen.append)
    assert seen == sorted(seen) and seen[-1] == 1 and len(made) == len(gpu.network.replays)
    sizes = [len(program.by_row[0]) if hasattr(program, "by_row") else program.f0_hz.numel() for program in made]
    split = len(gpu.network.encoders.replays)
    assert sizes[:split] == sorted(sizes[:split], reverse=True) and sizes[split:] == sorted(sizes[split:], reverse=True)
    before, voice = len(made), cpu.condition.speaker({0: 1.0})
    for group in groups:
        recordings = [features(count, CONFIG) for count in group]
        together = gpu.many(recordings, voice, 1, [seeded(seed) for seed in range(len(group))])
        for seed, (heard, latent) in enumerate(zip(recordings, together)):
            assert relative(latent, cpu(heard, voice, 1, seeded(seed))) < BOUND
    assert len(made) == before


def test_the_whole_ladder_is_prepared(pair):
    _, gpu = pair
    gpu.buckets = Buckets(512)
    gpu.flow(gpu.encoding(features(7, CONFIG))(0, 7)[:, : CONFIG.mel.bins], gpu.condition.speaker({0: 1.0}))
    gpu.warm_up([1])
    for programs in (gpu.network.encoders, gpu.network.flows):  # none is left in memory that was too small
        first, size = programs.arena.memory.data_ptr(), len(programs.arena.memory)
        assert all(0 <= one.prior.data_ptr() - first < size for one in programs.by_shape.values())
    assert set(gpu.network.encoders.by_shape) == set(Buckets(512).shapes())
    assert list(gpu.network.flows.by_shape) == [512, 384, 256, 192, 128, 96, 64]
    assert len(gpu.network.replays) == len(Buckets(512).shapes()) + 7


def test_batches_hold_one_stretch():
    """Of the real sizes: nothing that goes through the encoder in one pass is longer than a batch."""
    assert max(end - begin for n in (encoder.WHOLE, 20000) for *_, begin, end in encoder.stretches(n)) <= batches.ROWS
    groups, buckets = [[400, 300, 20000, 6500, 250]], Buckets(batches.ROWS)
    shapes, rows = batches.shapes(groups, buckets, 24)
    assert shapes == [Shape(1, 8192), Shape(1, 6144), Shape(4, 512)]
    assert batches.encoder_groups(groups[0], buckets) == [[3], [0, 1, 4], [2]] and max(rows) == 8192


@pytest.mark.parametrize("block", [None, 5])
def test_pieces_have_their_halo(block):
    """24 frames to each side, or to the recording's end; every frame is computed once."""
    recordings = [(0, 9000), (1, 30), (2, 700)]
    groups = batches.flow_pieces(recordings, Buckets(512), 24, block)
    pieces = [piece for group in groups for piece in group]
    for recording, frames in recordings:
        own = [piece for piece in pieces if piece.recording == recording]
        assert [piece.first for piece in own] == [0, *(piece.last for piece in own[:-1])] and own[-1].last == frames
        for piece in own:
            assert piece.begin == max(0, piece.first - 24) and piece.end == min(frames, piece.last + 24)
    assert max(map(batches.rows, groups)) <= 512


def test_self_check_names_what_differs(pair):
    cpu, gpu = pair
    stored = selfcheck_rvc.expected_layers(cpu, SCALE)
    check = selfcheck_rvc.traced
    selfcheck.check(stored, gpu, None, "fp32", check)
    weights = gpu.network.weights
    for tensor, name in [
        (weights.layers[0]["narrow.weight"], "mean"),
        (weights.prior[1][CONFIG.mel.bins :], "log of the deviation"),
        (weights.couplings[3]["conv.weight"], "flow"),
    ]:
        kept = tensor.clone()
        tensor.mul_(1.2)
        with pytest.raises(EngineError, match=rf"^{name} of the acoustic part \(PyTorch\) differs"):
            selfcheck.check(stored, gpu, None, "fp32", check)
        tensor.copy_(kept)
    for dtype, precision in ((torch.float16, "fp16"), (torch.bfloat16, "bf16")):
        selfcheck.check(stored, sampler(random(CONFIG), dtype), None, precision, check)


def test_stages_to_be_timed(pair):
    cpu, gpu = pair
    heard, voice = features(70, CONFIG), cpu.condition.speaker({0: 1.0})
    for noise in (seeded(), noise_from([torch.randn(70, CONFIG.mel.bins)])):
        stages = gpu.timed_stages(heard, voice, 1, noise)
        assert list(stages) == ["encoder", "flow"]
        for run in stages.values():
            run()
    (program,) = gpu.network.encoders.by_shape.values()
    assert relative(program.prior[0, :70], cpu.encoding(heard)(0, 70)) < BOUND
