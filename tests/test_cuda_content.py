"""The GPU's content encoders on a CPU: against the specification, at all lengths."""

import dataclasses

import engines
import golden
import huberts
import pytest
import torch
from cuda_encoders import HEARING, ODD, audio_of, hubert_of, hubert_plain, poison, recogniser_of, recogniser_plain
from torch.utils._python_dispatch import TorchDispatchMode

from fastsvc.engine.cuda import hubert as cuda_hubert
from fastsvc.engine.cuda import pitch as cuda_pitch
from fastsvc.engine.cuda import programs
from fastsvc.engine.cuda import recogniser as cuda_recogniser
from fastsvc.engine.cuda.encoders import cuda_encoder
from fastsvc.engine.cuda.graphs import Graphs
from fastsvc.engine.cuda.hubert import GroupedConv, StridedConv
from fastsvc.errors import EngineError
from fastsvc.features import content, hubert
from fastsvc.model.hubert import Hubert
from fastsvc.model.modules import module
from fastsvc.model.recogniser import Recogniser


@pytest.mark.parametrize("config", [huberts.TINY, ODD, dataclasses.replace(huberts.TINY, projection=0)])
@pytest.mark.parametrize("units", [1, 2, 31, 32, 33, 100, 255])
def test_hubert_as_specified(config, units):
    """Lengths between prepared ones, and samples at the end that make no unit but count for the group norm."""
    encoder, model = hubert_of(config), hubert_plain(config)
    for extra in (0, config.hop_samples - 1):
        audio = audio_of((units - 1) * config.hop_samples + config.window_samples + extra)
        encoder.encode(audio)
        poison(encoder)
        got = encoder.encode(audio)
        assert got.shape == (units, config.unit_channels) and got.dtype == torch.float32
        assert golden.relative(got, model(audio[None])[0]) < 1e-5


@pytest.mark.parametrize("audio", [torch.zeros(8000), torch.full((8000,), 0.5), 1e-6 * torch.ones(8000).cumsum(0)])
def test_silence_and_offsets(audio):
    assert golden.relative(hubert_of().encode(audio), hubert_plain()(audio[None])[0]) < 1e-4


@pytest.mark.parametrize("samples, units", [(0, 1), (1, 1), (399, 1), (719, 1), (720, 2)])
def test_short_audio_still_has_a_unit(samples, units):
    encoder, audio = hubert_of(), audio_of(samples)
    got, want = encoder.encode(audio.numpy()), hubert.HubertEncoder(huberts.TINY, huberts.tensors()).encode(audio)
    assert got.shape == (units, 8) and golden.relative(got, want) < 1e-5
    with pytest.raises(ValueError, match="samples"):
        encoder.encode(torch.zeros(2, 4000))


@pytest.mark.parametrize("units", [101, 140, 211, 300])
@pytest.mark.parametrize("context", [0, 20, 300])
def test_long_recordings_in_the_same_windows(monkeypatch, units, context):
    """As the CPU cuts and blends them, to rounding."""
    for name, value in {"WHOLE": 100, "KEEP": 70, "CONTEXT": context, "FADE": 7}.items():
        monkeypatch.setattr(hubert, name, value)
    audio = audio_of(units * 320 + 80) * torch.linspace(0, 2, units * 320 + 80)
    encoder = hubert_of()
    got, want = (e.encode(audio) for e in (encoder, hubert.HubertEncoder(huberts.TINY, huberts.tensors())))
    assert golden.relative(got, want) < 1e-5
    assert all(not whole for _, whole in encoder.programs.by_shape)


@pytest.mark.parametrize("encoder", [hubert_of, recogniser_of])
def test_the_prepared_length_changes_only_rounding(monkeypatch, encoder):
    audio, results = audio_of(20000), []
    for rungs in (programs.LENGTHS, (1024,), (16 * k for k in range(1, 99))):
        monkeypatch.setattr(programs, "LENGTHS", tuple(rungs))
        made = encoder()
        results.append(made.encode(audio))
        assert len(made.programs.by_shape) == 1
    assert golden.relative(results[1], results[0]) < 5e-6 and golden.relative(results[2], results[0]) < 5e-6


def test_one_graph_serves_neighbouring_lengths():
    encoder = hubert_of()
    for units in (40, 48, 33, 45):
        encoder.encode(audio_of(units * 320 + 80))
    assert list(encoder.programs.by_shape) == [(48, True)]
    recogniser = recogniser_of()
    recogniser.warm_up([1.0, 0.2])
    assert list(recogniser.programs.by_shape) == [128, 32]
    encoder.warm_up([0.9, 0.1])
    assert list(encoder.programs.by_shape) == [(48, True), (32, True)]


@pytest.mark.parametrize("mean_frames", [0, 40])
@pytest.mark.parametrize("samples", [0, 1, 159, 160, 319, 320, 5000, 16000 * 3 + 71])
def test_recogniser_as_specified(mean_frames, samples):
    config = dataclasses.replace(HEARING, mean_frames=mean_frames)
    encoder, audio = recogniser_of(config), audio_of(samples)
    encoder.encode(audio)
    poison(encoder)
    got, want = encoder.encode(audio), recogniser_plain(config).encode(audio)
    assert got.shape == (max(1, samples // 160), 6) and got.dtype == torch.float32
    assert golden.relative(got, want) < 1e-5


@pytest.mark.parametrize("block", [37, 100, 200])
def test_recogniser_in_blocks(monkeypatch, block):
    audio, encoder = audio_of(160 * 230 + 71), recogniser_of(dataclasses.replace(HEARING, mean_frames=11))
    whole = encoder.encode(audio)
    monkeypatch.setattr(content, "BLOCK_FRAMES", block)
    assert golden.relative(encoder.encode(audio), whole) < 1e-5
    encoder.weights.halo_frames -= 8
    assert golden.relative(encoder.encode(audio), whole) > 1e-3


@pytest.mark.parametrize("kernel, stride", [(1, 1), (2, 2), (3, 2), (5, 3), (7, 3), (4, 1)])
@pytest.mark.parametrize("rows", [7, 8, 9, 50])
def test_strided_convolution(kernel, stride, rows):
    x, weight = torch.randn(rows, 5), torch.randn(4, 5, kernel)
    want = torch.nn.functional.conv1d(x.T[None], weight, stride=stride)[0].T
    torch.testing.assert_close(StridedConv(weight, stride)(x), want, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kernel", [1, 2, 5, 8])
@pytest.mark.parametrize("rows", [4, 20])
def test_grouped_convolution(kernel, rows):
    x, weight, bias = torch.randn(rows, 12), torch.randn(12, 4, kernel), torch.randn(12)
    want = torch.nn.functional.conv1d(x.T[None], weight, bias, padding=kernel // 2, groups=3)[0].T[:rows]
    torch.testing.assert_close(GroupedConv(weight, bias, 3)(x), want, rtol=1e-5, atol=1e-5)


def test_short_memory_forgets_other_lengths(monkeypatch):
    encoder, audio = recogniser_of(), audio_of(5000)
    want, capture, calls = encoder.encode(audio), Graphs.capture, []

    def scarce(self, run):
        calls.append(1)
        if len(calls) in failing:
            raise torch.OutOfMemoryError("no")
        return capture(self, run)

    monkeypatch.setattr(Graphs, "capture", scarce)
    failing = (1,)
    with pytest.warns(UserWarning, match="the content encoder drops its graphs of other lengths"):
        encoder.encode(audio_of(30000))
    assert len(encoder.programs.by_shape) == 1 and torch.equal(encoder.encode(audio), want)
    failing = range(99)
    with pytest.warns(UserWarning, match="memory is short"), pytest.raises(EngineError, match="--device cpu"):
        encoder.encode(audio_of(60000))


def test_a_gru_runs_as_it_is_specified():
    config = dataclasses.replace(HEARING, architecture="gru", layers=1)
    state = module("recogniser", config).state_dict()
    made = cuda_encoder("recogniser", config, state, torch.float16, "cpu")
    assert type(made) is content.RecogniserEncoder


class Watch(TorchDispatchMode):
    """Refuses what a graph cannot hold: answers that the host waits for, and copies from it."""

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        name = operation.name().split("::")[1].split(".")[0]
        assert name not in ("_local_scalar_dense", "nonzero", "masked_select", "scalar_tensor", "_unique2"), name
        return operation(*args, **(kwargs or {}))


@pytest.mark.parametrize("part", ["hubert", "hubert in windows", "recogniser", "yin"])
def test_what_is_captured_waits_for_nothing(part):
    """On the meta device, which holds no values: what looks at one, or mixes in a tensor of the CPU, fails."""
    meta = torch.device("meta")
    with meta:
        tensors = dict((Recogniser(HEARING) if part == "recogniser" else Hubert(huberts.TINY)).state_dict())
    if part == "recogniser":
        weights = cuda_recogniser.RecogniserWeights(HEARING, tensors, torch.float16, meta)
        program = cuda_recogniser.RecogniserProgram(weights, 64)
    elif part == "yin":
        program = cuda_pitch.YinProgram(engines.ACOUSTIC, 100, meta)
        program.run()  # makes the tables, as the calls before capturing do
    else:
        weights = cuda_hubert.HubertWeights(huberts.TINY, tensors, torch.float16, meta)
        program = cuda_hubert.HubertProgram(weights, 64, part == "hubert")
    with torch.no_grad(), Watch():
        program.run()
