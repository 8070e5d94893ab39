"""From a recording to the vocoder's static inputs: inside the graph, with next to nothing before it."""

import types

import pytest
import torch
from torch.overrides import TorchFunctionMode

from fastsvc.config import SourceFilterConfig, VocoderConfig
from fastsvc.engine.cuda import vocoder, vocoder_feed
from fastsvc.engine.cuda.generators.choice import BackendChoice
from fastsvc.kernels.vocoder import source as source_kernel
from fastsvc.model import noise, source

CONFIG = VocoderConfig(initial_channels=16, noise_sigma=0.1)


class Backend:
    """Makes no audio; keeps what it was given."""

    name, how = "torch", "a stand-in"

    def __init__(self):
        self.seen = []

    def bind(self, inputs):
        def run():
            kept = ("starts", "growth", "f0_hz", "offsets", "mel", "noise", "first_frames")
            self.seen.append({name: getattr(inputs, name).clone() for name in kept})

        return run

    def release(self):
        pass


class Counting(TorchFunctionMode):
    """The calls of PyTorch, each of which would be one or more small operations of a GPU."""

    def __init__(self):
        super().__init__()
        self.names = []

    def __torch_function__(self, func, kinds, args=(), kwargs=None):
        self.names.append(func.__name__)
        return func(*args, **(kwargs or {}))


@pytest.fixture
def made():
    """(the synthesiser, its backend). Capturing runs the work three times over the buffers, as on a GPU."""
    backend = Backend()
    silent = types.SimpleNamespace(bind=lambda launch: lambda: None)
    choice = BackendChoice({"torch": lambda: backend}, lambda: backend)
    synthesiser = vocoder.Synthesiser(weights_of(), CONFIG, None, torch.float32, "cpu", silent, choice)

    def capture(run):
        for _ in range(3):
            run()
        return run

    synthesiser.graphs.capture = capture
    return synthesiser, backend


def weights_of():
    from fastsvc.model.vocoder import Generator

    return Generator(CONFIG).state_dict()


def recording(frames):
    f0_hz = 150 + 200 * torch.rand(frames)
    f0_hz[frames // 3 : frames // 2] = 0
    return torch.randn(frames, CONFIG.mel.bins), f0_hz


@pytest.mark.parametrize("frames, most_batch", [(64, 8), (1875, 8), (1875, 1), (333, 2)])
def test_every_batch_gets_its_slices_of_the_recording(made, frames, most_batch):
    """Phases go on from batch to batch, although another shape is captured in between."""
    synthesiser, backend = made
    synthesiser.most_batch = most_batch
    mel, f0_hz = recording(frames)
    kind = CONFIG.mel.rate_hz, CONFIG.mel.hop_samples
    starts, growth = (part[0] for part in source_kernel.phases(f0_hz[None], *kind))
    turns = source_kernel.offsets(source.initial_phase(CONFIG, 7))
    replays, bound = [], synthesiser._replay

    def watched(*key):
        run = bound(*key)
        return lambda: (run(), replays.append(backend.seen[-1]))

    synthesiser._replay = watched
    for _ in range(2):  # captured, then replayed
        replays.clear()
        synthesiser(mel, f0_hz, 7)
        seen = torch.zeros(frames, dtype=torch.bool)
        for given in replays:
            for row, first in enumerate(given["first_frames"].tolist()):
                here = slice(first, first + given["mel"].shape[1])
                seen[here] = True
                assert torch.equal(given["starts"][row], starts[here]) and torch.equal(
                    given["growth"][row], growth[here]
                )
                assert torch.equal(given["f0_hz"][row], f0_hz[here])
                assert torch.equal(given["mel"][row], mel[here] * synthesiser.scale)
                assert torch.equal(given["offsets"][row, : len(turns)], turns)
                drawn = noise.gaussian(7, 0, first, len(mel[here]), 16, "cpu", noise.FRAME_STREAM)
                assert torch.equal(given["noise"][row], drawn)
        assert seen.all()


def test_a_batch_is_three_copies_and_a_graph(made):
    synthesiser, _ = made
    mel, f0_hz = recording(1000)
    synthesiser(mel, f0_hz, 3)
    bound = synthesiser._replay
    synthesiser._replay = lambda *key: bound(*key) and (lambda: None)  # what a graph does is one operation
    with Counting() as counting:
        synthesiser(mel, f0_hz, 3)
    copies = [name for name in counting.names if name in ("copy_", "clone")]
    # views, values that are still on the host, and what asks for a property
    free = {"__getitem__", "__get__", "__len__", "__setitem__", "zeros", "tensor", "empty", "to", "is_pinned"}
    assert len(copies) <= 6 and set(counting.names) <= {"copy_", "clone"} | free, counting.names


def test_the_harmonics_phases_are_drawn_once_for_a_seed(monkeypatch):
    drawn, draw = [], source.initial_phase
    monkeypatch.setattr(source, "initial_phase", lambda config, seed: drawn.append(seed) or draw(config, seed))
    vocoder_feed.starting_offsets.cache_clear()
    first, again, other = (vocoder_feed.starting_offsets(CONFIG, seed) for seed in (5, 5, 6))
    assert drawn == [5, 6] and first == again != other and first[0] == 0


@pytest.mark.parametrize("config", [SourceFilterConfig(), VocoderConfig(source="none", noise_sigma=0.1)])
def test_what_is_known_of_each_frame(config):
    f0_hz = recording(20)[1]
    parts = vocoder_feed.by_frame(f0_hz, config)
    assert len(parts) == (2 if isinstance(config, SourceFilterConfig) else 0)
    assert all(len(part) == 20 for part in parts)
