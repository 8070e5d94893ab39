"""The clock of the benches on a GPU that is played: what is Python's time, what is the device's."""

import types

import pytest
import torch

from bench import conversion, timing
from bench.stages import TimedStage


class Gpu:
    """A device that works through its queue, and a host whose calls take time: milliseconds of each."""

    def __init__(self, host_ms=0.05):
        self.host, self.device, self.host_ms = 0.0, 0.0, host_ms

    def launch(self, device_ms, host_ms=None):
        self.host += self.host_ms if host_ms is None else host_ms
        self.device = max(self.device, self.host) + device_ms

    def wait(self):
        self.host = max(self.host, self.device)

    def event(self, enable_timing=True):
        at = []
        return types.SimpleNamespace(
            record=lambda: at.append(max(self.host, self.device)),
            query=lambda: at[0] <= self.host,
            synchronize=self.wait,
            elapsed_time=lambda other: other.at[0] - at[0],
            at=at,
        )


@pytest.fixture
def gpu(monkeypatch):
    played = Gpu()
    monkeypatch.setattr(torch.cuda, "Event", played.event)
    monkeypatch.setattr(torch.cuda, "_sleep", lambda cycles: played.launch(cycles / timing.CYCLES_A_MS), raising=False)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda *_: played.wait())
    monkeypatch.setattr(timing, "time", types.SimpleNamespace(perf_counter=lambda: played.host / 1e3))
    return played


def clock_on(gpu, **options):
    clock = timing.Clock(torch.device("cpu"), repeats=4, **options)
    clock.on_gpu, clock.scratch = True, types.SimpleNamespace(zero_=lambda: gpu.launch(0.12))
    return clock


def test_pythons_calls_are_no_time_of_the_device(gpu):
    """Forty kernels of 10 µs, each of whose calls takes 50 µs: 0.4 ms on the device, 2 ms on the clock."""
    row = clock_on(gpu)(lambda: [gpu.launch(0.01) for _ in range(40)])
    assert row["p50_ms"] == pytest.approx(0.4, abs=0.02) and row["queued"] == 1.0
    assert row["wall_p50_ms"] == pytest.approx(2.0, abs=0.1)


def test_work_that_waits_is_timed_as_it_is(gpu):
    def run():
        gpu.launch(1.0)
        gpu.wait()
        gpu.launch(1.0, host_ms=3.0)  # the host computes in between

    row = clock_on(gpu)(run, waits=True)
    assert row["p50_ms"] == pytest.approx(5.0, abs=0.1) and "queued" not in row


def test_work_that_waits_unsaid_is_seen(gpu):
    def run():
        gpu.launch(1.0)
        gpu.wait()

    assert clock_on(gpu)(run)["queued"] == 0.0


def test_launches_are_counted_after_everything_is_timed(monkeypatch):
    order = []
    work = [TimedStage("f0", lambda: order.append("f0")), TimedStage("denoiser", lambda: order.append("denoiser"))]
    engine = types.SimpleNamespace(device=torch.device("cuda"))
    monkeypatch.setattr(conversion, "timed_stages", lambda *_: work)
    monkeypatch.setattr(conversion, "peak_mb", lambda run, device: 1)
    monkeypatch.setattr(conversion, "profiled", lambda run, device: run() or {"launches": 3, "busy_ms": 0.2})
    monkeypatch.setattr(conversion, "say", lambda line: None)
    rows = []
    for seconds in (0.5, 10):
        rows += conversion.measured(engine, seconds, 1, ("f0", "denoiser"), lambda run, waits: {"p50_ms": 1.0}, {})
        assert order == [] and all(row["launches"] is None for row in rows), "the profiler would stay attached"
    conversion.count(engine, rows)
    assert order == ["f0", "denoiser"] * 2
    assert [(row["launches"], row["busy_ms"]) for row in rows] == [(3, 0.2)] * 4


def test_the_profilers_own_sums(monkeypatch):
    """Kernels and copies of the device, not the host's calls."""
    from torch.autograd import DeviceType

    events = [
        types.SimpleNamespace(device_type=kind, count=count, self_device_time_total=us)
        for kind, count, us in ((DeviceType.CUDA, 40, 300.0), (DeviceType.CUDA, 2, 50.0), (DeviceType.CPU, 99, 9e9))
    ]

    class Profile:
        def __init__(self, activities):
            self.key_averages = lambda: events

        def __enter__(self):
            return self

        def __exit__(self, *error):
            pass

    monkeypatch.setattr(torch.profiler, "profile", Profile)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda *_: None)
    found = timing.profiled(lambda: None, torch.device("cuda"))
    assert found == {"launches": 42, "busy_ms": 0.35}
    assert timing.profiled(lambda: None, torch.device("cpu")) == {"launches": None, "busy_ms": None}
