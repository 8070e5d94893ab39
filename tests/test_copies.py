"""The way home from a GPU, with streams that only write down what they are told: the order is kept by events alone."""

import types

import pytest
import torch

from fastsvc.engine.cuda import copies
from fastsvc.engine.cuda.copies import HostCopy


class Stream:
    """Of a log that all streams share."""

    def __init__(self, name, log):
        self.name, self.log, self.events = name, log, 0

    def record_event(self):
        self.events += 1
        event = f"{self.name} {self.events}"
        self.log.append(("record", event))
        return types.SimpleNamespace(name=event, synchronize=lambda: self.log.append(("host waits", event)))

    def wait_event(self, event):
        self.log.append((f"{self.name} waits", event.name))


class Values:
    """A piece of audio on the GPU."""

    def __init__(self, data, log, name="buffer"):
        self.data, self.log, self.name = data, log, name

    def clone(self):
        self.log.append(("clone", self.name))
        return Values(self.data.clone(), self.log, "clone")

    def record_stream(self, stream):
        assert self.name == "clone"  # the buffer itself is written over by the next piece
        self.log.append(("in use by", stream.name))


class Audio:
    """The target: remembers copies, and whether it is pinned."""

    def __init__(self, log, pinned):
        self.log, self.pinned = log, pinned

    def is_pinned(self):
        return self.pinned

    def __getitem__(self, part):
        def copy(values, non_blocking):
            self.log.append(("copy", (part.start, part.stop), "goes on" if non_blocking else "waits"))

        return types.SimpleNamespace(copy_=copy)


def journey(monkeypatch, pinned):
    log = []
    work, home = Stream("work", log), Stream("home", log)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda *_: work)

    class On:
        def __init__(self, stream):
            self.stream = stream

        def __enter__(self):
            log.append(("on", self.stream.name))

        def __exit__(self, *_):
            log.append(("off", self.stream.name))

    monkeypatch.setattr(torch.cuda, "stream", On)
    back = HostCopy(0, torch.device("cpu"), None)
    back.stream, back.audio = home, Audio(log, pinned)
    for i in range(2):
        log.append(("computed", i))
        back.send([(10 * i, 10 * i + 10, Values(torch.zeros(10), log))])
    assert back.wait() is back.audio
    return log


def copied(start, how, event):
    """What a copy consists of, in its order."""
    return [
        ("home waits", event),
        ("on", "home"),
        ("in use by", "home"),
        ("copy", (start, start + 10), how),
        ("off", "home"),
    ]


def test_into_pinned_memory_each_piece_leaves_at_once(monkeypatch):
    assert journey(monkeypatch, pinned=True) == [
        ("computed", 0),
        ("clone", "buffer"),
        ("record", "work 1"),
        *copied(0, "goes on", "work 1"),
        ("record", "home 1"),
        ("computed", 1),
        ("clone", "buffer"),
        ("record", "work 2"),
        *copied(10, "goes on", "work 2"),
        ("record", "home 2"),
        ("host waits", "home 2"),
    ]


def test_into_other_memory_a_piece_leaves_when_the_next_is_under_way(monkeypatch):
    assert journey(monkeypatch, pinned=False) == [
        ("computed", 0),
        ("clone", "buffer"),
        ("record", "work 1"),
        ("computed", 1),
        ("clone", "buffer"),
        ("record", "work 2"),
        *copied(0, "waits", "work 1"),
        ("record", "home 1"),
        *copied(10, "waits", "work 2"),
        ("record", "home 2"),
        ("host waits", "home 2"),
    ]


def test_without_a_gpu_it_is_a_copy():
    back = HostCopy(6, torch.device("cpu"), copies.host_stream(torch.device("cpu")))
    buffer = torch.arange(4.0)
    back.send([(2, 4, buffer[:2]), (0, 2, buffer[2:])])
    buffer.fill_(9)
    back.send([(4, 6, buffer[:2])])
    assert back.wait().tolist() == [2, 3, 0, 1, 9, 9] and not back.audio.is_pinned()


@pytest.mark.parametrize("dtype", [None, torch.float16])
def test_there(dtype):
    value = torch.randn(3, 2)
    made = copies.to_device(value, torch.device("cpu"), dtype)
    assert made.dtype == (dtype or torch.float32) and torch.equal(made, value.to(made.dtype))
