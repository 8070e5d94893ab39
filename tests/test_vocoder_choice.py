"""Which vocoder runs: the fastest that is right, measured once a rung, kept, and overridden by name."""

import json
import sys
from contextlib import nullcontext
from types import SimpleNamespace

import pytest
import torch

from fastsvc.config import VocoderConfig
from fastsvc.engine import buckets
from fastsvc.engine.cuda.generators import backends as cuda_generators
from fastsvc.engine.cuda.generators import choice as vocoder_choice
from fastsvc.engine.cuda.generators import torch_backend
from fastsvc.engine.cuda.generators.choice import BackendChoice, Measurement, fastest, frames_bucket, measured_shapes
from fastsvc.engine.cuda.vocoder import VocoderInputs
from fastsvc.errors import EngineError, MissingPackageError

CONFIG = VocoderConfig(initial_channels=16)
SPEEDS = {"torch": 4.0, "quick": 1.0, "wrong": 0.5, "silent": 0.1, "slow": 9.0}


class Backend:
    """Gives ``scale`` times the excitation; ``None`` writes nothing."""

    def __init__(self, name, scale):
        self.name, self.scale, self.released = name, scale, 0

    def bind(self, inputs):
        def run():
            if self.scale is not None:
                inputs.audio.copy_(self.scale * inputs.excitation)

        run.name = self.name
        return run

    def release(self):
        self.released += 1


def lacking():
    raise MissingPackageError("tensorrt", "the TensorRT vocoder", "tensorrt")


def refusing():
    raise RuntimeError("no kernel for this device\nat all")


@pytest.fixture
def makers(monkeypatch):
    """By name; times are those of SPEEDS, and the CPU passes for a GPU."""
    monkeypatch.setattr(vocoder_choice, "milliseconds", lambda run: SPEEDS[run.name])
    scales = {"torch": 1.001, "quick": 1.0015, "wrong": 1.01, "silent": None, "slow": 1.0}
    return {name: lambda name=name, scale=scale: Backend(name, scale) for name, scale in scales.items()} | {
        "lacking": lacking,
        "refusing": refusing,
    }


def reference():
    return Backend("reference", 1.0)


def on_a_gpu(inputs):
    """VocoderInputs that say they lie on one."""
    given = SimpleNamespace(**vars(inputs))
    given.mel = SimpleNamespace(shape=inputs.mel.shape, device=torch.device("cuda"))
    return given


def inputs(frames=64, batch=1):
    return VocoderInputs(CONFIG, batch, frames, "cpu")


def test_the_fastest_that_is_right(makers):
    rows = BackendChoice(makers, reference).measure(inputs(), lambda run: run)
    by_name = {row.backend: row for row in rows}
    assert fastest(rows) == "quick"
    assert by_name["torch"].error == pytest.approx(1e-3, rel=1e-2) and by_name["quick"].ms == 1.0
    assert by_name["wrong"].error > 2 * by_name["torch"].error
    assert by_name["silent"].error == float("inf")
    assert "tensorrt" in by_name["lacking"].why and by_name["lacking"].ms is None
    assert by_name["refusing"].why == "no kernel for this device at all"


def test_the_table_in_words(makers):
    *_, lacking, refusing = lines = vocoder_choice.summary(
        BackendChoice(makers, reference).measure(inputs(), lambda run: run)
    )
    assert lines[0].startswith("1 × 64 frames by quick: torch 4.00 ms (error 1.0e-03), quick 1.00 ms")
    assert "lacking does not run: the TensorRT vocoder needs" in lacking and "at all" in refusing


def test_algorithms_are_searched_for_what_comes_again(monkeypatch):
    searched = []
    monkeypatch.setattr(torch_backend, "_cudnn", lambda benchmark: searched.append(benchmark) or nullcontext())
    for frames, options in ((64, {}), (63, {}), (64, {"search": False})):
        given = inputs(frames)
        torch_backend.TorchGenerator(lambda *_, given=given: torch.zeros_like(given.audio), **options).bind(given)()
    assert searched == [True, False, False]


def test_pytorch_where_nothing_else_is_right():
    assert fastest([]) == "torch"
    assert fastest([Measurement(1, 64, "torch", 4.0, 1e-3), Measurement(1, 64, "wrong", 0.5, 1e-2)]) == "torch"
    broken = Measurement(1, 64, "torch", why="broken")
    assert fastest([broken, Measurement(1, 64, "quick", 1.0, 2e-3)]) == "quick"
    assert fastest([broken, Measurement(1, 64, "wrong", 1.0, 2e-2)]) == "torch"


def test_measured_once_a_rung_and_kept(makers, monkeypatch):
    stored, measured = [], []
    choice = BackendChoice(makers, reference, circumstances={"gpu": "A"}, store=stored.append)
    original = choice.measure
    monkeypatch.setattr(choice, "measure", lambda given, capture: (measured.append(1), original(inputs(), capture))[1])
    assert choice.name(on_a_gpu(inputs(64)), lambda run: run) == "quick"
    assert choice.name(on_a_gpu(inputs(64)), lambda run: run) == "quick"
    assert len(measured) == 1 and len(stored) == 1
    monkeypatch.setattr(choice, "measured", None)  # the rows are looked through once a shape: that takes time
    assert choice.name(on_a_gpu(inputs(64)), None) == "quick"
    again = BackendChoice(makers, reference, circumstances={"gpu": "A"}, read=lambda: stored[-1])
    assert again.name(on_a_gpu(inputs(64)), None) == "quick"
    elsewhere = BackendChoice(makers, reference, circumstances={"gpu": "B"}, read=lambda: stored[-1])
    assert elsewhere.rows == []
    assert {row["backend"] for row in json.loads(stored[-1])["rows"]} == set(makers)


def test_what_a_measurement_holds_for(monkeypatch):
    """A kernel that was missing for want of Triton is tried again once that is there."""
    told = torch.device("cpu"), torch.float16
    monkeypatch.setattr(cuda_generators.importlib.util, "find_spec", lambda name: None)
    without = cuda_generators.circumstances(*told)
    assert without["precision"] == "float16" and without["triton"] is without["tensorrt"] is None
    monkeypatch.setattr(cuda_generators.importlib.util, "find_spec", lambda name: name == "triton" or None)
    monkeypatch.setitem(sys.modules, "triton", SimpleNamespace(__version__="3.6.0"))
    assert cuda_generators.circumstances(*told) == {**without, "triton": "3.6.0"}


def test_a_damaged_table_is_made_anew(makers):
    right = {"batch": 1, "frames": 64, "backend": "fast", "ms": 1.0, "error": 0.0}
    assert len(BackendChoice(makers, reference, read=lambda: table([right])).rows) == 1
    wrong = [{"batch": "1"}, {"frames": None}, {"backend": 3}, {"ms": "1"}, {"error": []}, {"why": 3}]
    rows = [table([right | one]) for one in wrong] + [table([{"colour": 1}]), table(3), table([3])]
    for data in (b"{", b"[]", b"[" * 100_000, *rows):
        with pytest.warns(UserWarning, match="measured again"):
            assert BackendChoice(makers, reference, read=lambda data=data: data).rows == []


def table(rows):
    return json.dumps({"circumstances": {}, "rows": rows}).encode()


def test_by_name(makers):
    chosen = BackendChoice(makers, reference, requested="slow")
    assert chosen.name(inputs(), None) == "slow" and chosen.name(inputs(7), None) == "slow"
    with pytest.raises(EngineError, match="does not run on this device"):
        BackendChoice(makers, reference, requested="onnxruntime")
    with pytest.raises(MissingPackageError, match="tensorrt"):
        BackendChoice(makers, reference, requested="lacking")


def test_what_is_not_measured_goes_through_pytorch(makers):
    choice = BackendChoice(makers, reference)
    assert choice.name(inputs(64), None) == "torch"  # no GPU
    assert choice.name(on_a_gpu(inputs(63)), None) == "torch"  # no prepared length


def test_short_memory_is_not_a_backend_that_fails(makers):
    def short():
        raise torch.OutOfMemoryError("no")

    with pytest.raises(torch.OutOfMemoryError):
        BackendChoice({**makers, "short": short}, reference).measure(inputs(), lambda run: run)


def test_memory_is_given_back(makers):
    choice = BackendChoice(makers, reference)
    choice.measure(inputs(), lambda run: run)
    before = list(choice.backends.values())
    choice.release()
    assert before and all(backend.released == 1 for backend in before)
    assert choice.generator("torch") not in before  # made anew when it is needed


def test_rungs_cover_all_shapes_once():
    found = [frames_bucket(*shape) for shape in measured_shapes()]
    assert len(set(found)) == len(found) and found == sorted(found, reverse=True)
    assert {frames_bucket(b, f) for b in buckets.EVEN_BATCHES for f in buckets.EVEN_FRAMES} <= set(found)


def test_whatever_a_backend_fails_with(makers):
    """Triton's and TensorRT's errors have no common base."""

    def odd():
        raise AttributeError("module has no attribute Builder")

    with pytest.warns(UserWarning, match=r"odd is left out: a fault of fastsvc: AttributeError.*please report"):
        rows = BackendChoice({**makers, "odd": odd}, reference).measure(inputs(), lambda run: run)
    assert fastest(rows) == "quick" and "AttributeError: module has no attribute Builder" in rows[-1].why


def test_a_chosen_one_that_cannot_run_after_all(makers):
    """Another process measured it; here its plan may be of another version, or memory too small for it."""
    rows = [
        Measurement(1, 64, "torch", 4.0, 1e-5),
        Measurement(1, 64, "slow", 2.0, 1e-5),
        Measurement(1, 64, "quick", 1.0, 1e-5),
    ]
    choice, given, error = BackendChoice(makers, reference), on_a_gpu(inputs(64)), EngineError("no plan")
    choice.rows = rows
    for name, after in (("quick", "slow"), ("slow", "torch")):
        assert choice.name(given, None) == name
        with pytest.warns(UserWarning, match=f"continues without {name}.*no plan"):
            choice.drop(name, error)
        assert choice.name(given, None) == after
    for asked, name in ((choice, "torch"), (BackendChoice(makers, reference, requested="quick"), "quick")):
        with pytest.raises(EngineError, match="no plan"):
            asked.drop(name, error)
