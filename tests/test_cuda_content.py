"""The GPU's content encoders on a CPU: against the specification, at all lengths, in float32 and float16."""

import dataclasses

import engines
import golden
import huberts
import interpreted
import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from bench import counts
from fastsvc.commands import choose
from fastsvc.config import RecogniserConfig
from fastsvc.engine import extraction
from fastsvc.engine.cuda import hubert as cuda_hubert
from fastsvc.engine.cuda import pitch as cuda_pitch
from fastsvc.engine.cuda import programs, selfcheck
from fastsvc.engine.cuda import recogniser as cuda_recogniser
from fastsvc.engine.cuda.encoders import cuda_encoder
from fastsvc.engine.cuda.graphs import Graphs
from fastsvc.engine.cuda.hubert import CudaHubertEncoder, GroupedConv, StridedConv
from fastsvc.engine.cuda.recogniser import CudaRecogniserEncoder
from fastsvc.engine.engine import Engine
from fastsvc.errors import EngineError
from fastsvc.features import content, hubert
from fastsvc.model.hubert import Hubert
from fastsvc.model.modules import module
from fastsvc.model.recogniser import Recogniser

HEARING = RecogniserConfig(phones=("-", "a", "b"), channels=24, layers=5, bottleneck=6)
# every channel count different, kernels that are no multiple of their strides, odd position kernel
ODD = dataclasses.replace(
    huberts.TINY,
    channels=48,
    position_kernel=9,
    conv_channels=(8, 12, 16, 20),
    conv_kernels=(10, 8, 5, 4),
    conv_strides=(5, 4, 3, 4),
)


def audio_of(samples, level=0.1, offset=0.02):
    return level * torch.randn(samples) + offset


def hubert_of(config=huberts.TINY, dtype=torch.float32):
    return CudaHubertEncoder(config, huberts.tensors(config), dtype, "cpu")


def hubert_plain(config=huberts.TINY):
    model = Hubert(config).eval().requires_grad_(False)
    model.load_state_dict(huberts.tensors(config))
    return model


def recogniser_of(config=HEARING, dtype=torch.float32):
    torch.manual_seed(0)
    return CudaRecogniserEncoder(config, Recogniser(config).state_dict(), dtype, "cpu")


def recogniser_plain(config=HEARING):
    torch.manual_seed(0)
    return content.RecogniserEncoder(config, Recogniser(config).state_dict())


def poison(encoder):
    """What other recordings left behind must not matter."""
    for program, _ in encoder.programs.by_shape.values():
        for value in vars(program).values():
            for tensor in value if isinstance(value, tuple) else [value]:
                if isinstance(tensor, torch.Tensor) and tensor.is_floating_point():
                    tensor.fill_(torch.nan)


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


@pytest.mark.parametrize("config", [huberts.TINY, ODD])
@pytest.mark.parametrize("samples", [3000, 30001])
def test_hubert_in_half_precision(config, samples):
    """At most twice the error of the plain module in float16, both against float64."""
    audio, model = audio_of(samples), hubert_plain(config)
    got = hubert_of(config, torch.float16).encode(audio)
    half = model.half()(audio.half()[None])[0]
    want = hubert_plain(config).double()(audio.double()[None])[0]
    assert 0 < golden.relative_rms(got, want) <= 2 * golden.relative_rms(half, want)
    assert (got - want).abs().max() <= 2 * (half - want).abs().max()
    assert golden.relative_rms(got, want) < 5e-3


@pytest.mark.parametrize("level, offset", [(1e-5, 0.0), (1e-2, 0.7), (1.0, 0.0)])
def test_half_precision_hears_the_quiet_and_the_offset(level, offset):
    """The plain module in float16 loses both: what is below 6e-8 is nothing, and 0.7 leaves 3 digits."""
    audio = audio_of(12000, level, offset)
    want = hubert_plain().double()(audio.double()[None])[0]
    assert golden.relative_rms(hubert_of(dtype=torch.float16).encode(audio), want) < 5e-3


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


@pytest.mark.parametrize("kernel", [1, 3, 5])
def test_recogniser_in_half_precision(kernel):
    config = dataclasses.replace(HEARING, kernel=kernel, mean_frames=20)
    plain, audio = recogniser_plain(config), audio_of(16001)
    mel = content.log_mel(audio[None], config.mel)
    want = plain.model.double()(mel.double())[0][0]
    half = recogniser_plain(config).model.half()(mel.half())[0][0]
    got = recogniser_of(config, torch.float16).encode(audio)
    assert 0 < golden.relative_rms(got, want) <= 2 * golden.relative_rms(half, want)
    assert (got - want).abs().max() <= 2 * (half - want).abs().max()


def test_the_bundled_recogniser_in_half_precision():
    """Trained weights, on something like a voice: its units lie in −1 … 1."""
    engine = Engine.open(choose.DEMO, "cpu")
    time_s = torch.arange(16000) / 16000
    audio = sum(torch.sin(2 * torch.pi * 220 * k * time_s + k) / k for k in range(1, 20)) * 0.1 * (1 + time_s)
    audio = audio + 0.003 * torch.randn(16000)
    tensors = engine.encoder.model.state_dict()
    want = engine.encoder.encode(audio)
    got = CudaRecogniserEncoder(engine.encoder.config, tensors, torch.float16, "cpu").encode(audio)
    assert (got - want).abs().max() < 2e-2 and golden.relative_rms(got, want) < 3e-3


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


@pytest.fixture
def gpu(monkeypatch, tmp_path):
    """The GPU's engine, interpreted."""
    pytest.importorskip("triton")
    interpreted.prepare(monkeypatch)
    return interpreted.engine


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.is_available(), reason="the interpreter is not used where there is a GPU")
def test_precision_follows_the_engine(gpu, tmp_path, monkeypatch):
    path = engines.build_engine(tmp_path, steps=(1,), precision="fp32", target="cpu")
    audio = 0.1 * np.random.default_rng(0).standard_normal(24000).astype(np.float32)
    cpu = Engine.open(path, "cpu")
    want = extraction.features(audio, 24000, cpu.config, cpu.encoder, None)
    for precision, dtype, bound in (("fp32", torch.float32, 1e-5), ("fp16", torch.float16, 1e-2)):
        engine = gpu(path, precision)
        assert isinstance(engine.encoder, CudaRecogniserEncoder) and engine.encoder.weights.dtype == dtype
        got = extraction.features(audio, 24000, engine.config, engine.encoder, None, yin=engine.yin)
        assert golden.relative(got.units, want.units) < bound
        assert len(engine.yin.programs.by_shape) == 1
        for name in ("places", "voiced", "volume"):
            assert torch.equal(getattr(got, name), getattr(want, name))
        torch.testing.assert_close(got.f0_hz, want.f0_hz, rtol=1e-5, atol=0)
    monkeypatch.setattr(selfcheck, "check", lambda *_: None)  # the interpreter knows no bfloat16
    assert gpu(path, "bf16").encoder.weights.dtype == torch.float16


def test_a_gru_runs_as_it_is_specified():
    config = dataclasses.replace(HEARING, architecture="gru", layers=1)
    state = module("recogniser", config).state_dict()
    made = cuda_encoder("recogniser", config, state, torch.float16, "cpu")
    assert type(made) is content.RecogniserEncoder


@pytest.mark.parametrize("make", [hubert_of, recogniser_of])
def test_the_floor_follows_the_precision(make):
    """The same operations whatever the encoder's form; weights of half the width."""
    plain = hubert.HubertEncoder(huberts.TINY, huberts.tensors()) if make is hubert_of else recogniser_plain()
    wide, narrow = counts.content(plain, 1.0), counts.content(make(dtype=torch.float16), 1.0, 2)
    assert wide.flops == narrow.flops > 0 and wide.bytes - narrow.bytes > 1000


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
