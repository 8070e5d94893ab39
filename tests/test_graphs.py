"""Captured graphs and the memory that they share."""

import types

import pytest
import torch

from fastsvc.engine.cuda import graphs


@pytest.fixture(autouse=True)
def stream(monkeypatch):
    monkeypatch.setattr(torch.cuda, "current_stream", lambda *_: types.SimpleNamespace(cuda_stream=77))


def test_arena():
    counter = graphs.ArenaSizer()
    wanted = [((3, 5), torch.float16), ((1,), torch.int64), ((2, 7, 9), torch.float32)]
    for shape, dtype in wanted:
        assert counter(*shape, dtype=dtype).device.type == "meta"
    arena = graphs.Arena(counter.size, torch.device("cpu"))
    parts = [arena(*shape, dtype=dtype) for shape, dtype in wanted]
    for i, part in enumerate(parts):
        part.fill_(i + 1)
        assert (part.data_ptr() - parts[0].data_ptr()) % 256 == 0 and part.is_contiguous()
    assert [float(part.sum()) for part in parts] == [15, 2, 3 * 126]
    with pytest.raises(RuntimeError, match="full"):
        arena(1, dtype=torch.int8)
    assert arena.restarted()(3, 5, dtype=torch.float16).data_ptr() == parts[0].data_ptr()


def test_every_buffer_of_the_denoiser_lies_in_the_arena():
    """Also the skip path's parts: of a long batch they are as large as z, and each shape kept its own."""
    from fastsvc.build.cubins.resources import packed_weights
    from fastsvc.kernels.denoiser.network import DenoiserLaunches, NoiseLevel, Tiles

    weights = packed_weights(64, 64, 2, 80, 64, torch.float16)
    for frames in (94, 1875):
        taken = []

        def allocate(*shape, dtype, device, taken=taken):
            taken.append(torch.empty(shape, dtype=dtype, device=device))
            return taken[-1]

        tiles = Tiles.of(weights, 1, frames, 90)
        net = DenoiserLaunches(weights, (1, 1), [NoiseLevel(0, 0.5, 0.5, 0.5)], 1, frames, tiles, "ieee", allocate)
        buffers = [value for value in vars(net).values() if isinstance(value, torch.Tensor) and value._base is None]
        assert len(buffers) >= 8 and all(any(buffer is one for one in taken) for buffer in buffers)


def test_without_a_gpu_a_graph_is_the_work_itself():
    made = []
    replay = graphs.Graphs(torch.device("cpu")).capture(lambda: made.append(1))
    replay()
    assert made == [1]


@pytest.mark.parametrize("ends", [True, False])
def test_a_capture_that_fails_says_why_and_leaves_no_stream(monkeypatch, ends):
    """PyTorch leaves the capture's stream in place if ending the capture fails, and tells of that alone."""
    current = ["own"]

    class On:
        def __init__(self, stream):
            self.stream = stream

        def __enter__(self):
            self.before, current[0] = current[0], self.stream

        def __exit__(self, *error):
            current[0] = self.before

    class Capture:
        def __init__(self, graph, pool, stream, capture_error_mode):
            self.on = On(stream)

        def __enter__(self):
            self.on.__enter__()

        def __exit__(self, *error):
            if not ends:
                raise RuntimeError("capture invalidated")
            self.on.__exit__()

    monkeypatch.setattr(torch.cuda, "stream", On)
    monkeypatch.setattr(torch.cuda, "graph", Capture)
    monkeypatch.setattr(torch.cuda, "CUDAGraph", lambda: types.SimpleNamespace(replay="replay"))
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: current[0])
    made = graphs.Graphs(torch.device("cpu"))
    made.pool = "pool"
    made.stream = types.SimpleNamespace(wait_stream=lambda other: None, synchronize=lambda: None)
    calls = []

    def short():
        calls.append(current[0])
        if len(calls) == 3:  # in the capture
            raise torch.OutOfMemoryError("no")

    with pytest.raises(torch.OutOfMemoryError, match="no"):
        made.capture(short)
    assert calls == 3 * [made.stream] and current == ["own"] and made.captured == 0
    if ends:
        assert made.capture(lambda: None) == "replay" and current == ["own"]
