"""From samples to audio on a GPU nothing waits for the device, shown on PyTorch's device "meta", which has no values.

Whatever reads a value of a tensor there fails. What would wait without reading, a copy from the host that is not told
to be asynchronous, is searched for among the calls.
"""

import types

import engines
import huberts
import numpy as np
import pytest
import torch
from torch.overrides import TorchFunctionMode

from fastsvc.artifact import engine_folder
from fastsvc.build.passes import measure
from fastsvc.engine import backends, conversion
from fastsvc.engine.cuda import front, gpu_parts, hubert, launcher, selfcheck
from fastsvc.engine.engine import Engine
from fastsvc.engine.request import Request


class Waiting(TorchFunctionMode):
    """The calls that copy from the host to the device and wait for it."""

    def __init__(self):
        super().__init__()
        self.calls = []

    def __torch_function__(self, func, kinds, args=(), kwargs=None):
        out, kwargs = func(*args, **(kwargs or {})), kwargs or {}
        name = getattr(func, "__name__", "")
        given = [one for one in args if isinstance(one, torch.Tensor)]
        from_host = any(one.device.type == "cpu" for one in given)
        if name in ("tensor", "as_tensor", "from_numpy"):
            crosses = out.device.type == "meta" and not any(one.device.type == "meta" for one in given)
        elif name in ("to", "float", "long", "meta", "cuda"):
            crosses = from_host and out.device.type == "meta"
        else:
            writes = name in ("copy_", "__setitem__") and given[0].device.type == "meta"
            crosses = writes and any(one.device.type == "cpu" for one in given[1:])
        if crosses and not kwargs.get("non_blocking"):
            self.calls.append(name)
        return out


class Later:
    """In place of HostValues: nobody may wait for its values yet."""

    begun = 0

    def __init__(self, value):
        Later.begun += 1
        assert value.device.type == "meta"

    def wait(self):
        raise AssertionError("the host waits for values of the device")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measure, "SECONDS_OF_AUDIO", {"denoiser": 0.1, "vocoder": 0.01})
        return engines.build_engine(tmp_path_factory.mktemp("engine"), precision="fp32", target="cpu")


@pytest.fixture
def engine(folder, monkeypatch):
    """An engine whose device has no values, and whose kernels are not started."""
    silent = types.SimpleNamespace(bind=lambda launch: lambda: None, bind_chain=lambda chain: [])
    monkeypatch.setattr(launcher, "choose", lambda part, arch: (silent, "nothing"))
    monkeypatch.setattr(selfcheck, "check", lambda *_, **__: None)
    monkeypatch.setattr(front, "HostValues", Later)
    monkeypatch.setitem(
        backends.BACKENDS,
        "cuda",
        lambda model, precision, vocoder: gpu_parts.assemble(model, precision, "meta", vocoder),
    )
    return Engine(engine_folder.Artifact(folder), "cuda", "fp32", "torch")


def audio_of(engine, request, samples=20000, rate_hz=44100):
    """Engine.convert as far as the audio on the device."""
    recording = conversion.begun(engine, np.zeros(samples, np.float32), "", rate_hz, request)
    mels = engine.sampler.many([recording.features], request.voice(engine), 1, [request.noise(engine)])
    features = recording.features
    return engine.synthesiser.begin(mels[0], features.f0_hz * features.voiced, to_host=False)()


@pytest.mark.parametrize("content", ["recogniser", "hubert"])
def test_nothing_waits_between_samples_and_audio(engine, content):
    if content == "hubert":
        encoder = hubert.CudaHubertEncoder(huberts.TINY, huberts.tensors(huberts.TINY), torch.float32, "meta")
        engine.encoder = engine.device_front.encoder = encoder
        engine.sampler.condition.inputs = lambda features, speaker: (
            torch.zeros(len(features.units), 6, device="meta"),
            features.unit_indices,
            None,
        )
    request = Request("Ada", transpose=3)
    audio_of(engine, request)  # graphs and tables are made
    Later.begun = 0
    with Waiting() as waiting, torch.inference_mode():
        audio = audio_of(engine, request)
    assert audio.device.type == "meta" and len(audio) == 86 * 128
    assert waiting.calls == [] and Later.begun == 2


def test_what_would_wait_is_noticed(engine):
    with Waiting() as waiting:
        there = torch.zeros(3, device="meta")
        there.copy_(torch.zeros(3))
        there[:2] = torch.zeros(2)
        torch.zeros(3).to("meta")
        torch.tensor([1.0], device="meta")
        torch.zeros(3).to("meta", non_blocking=True)
    assert waiting.calls == ["copy_", "__setitem__", "to", "tensor"]
    with pytest.raises((RuntimeError, NotImplementedError)):
        float(there.sum())
    with pytest.raises(AssertionError, match="the host waits"):  # "auto" must know the melody
        audio_of(engine, Request("Ada", transpose="auto"))
