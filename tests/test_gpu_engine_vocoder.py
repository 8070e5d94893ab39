"""The GPU's vocoder against the CPU's, its kernels interpreted: kinds, slices, short memory, backends."""

import big_blocks
import interpreted
import pytest
import torch
import weights
from test_engines import HALF

pytest.importorskip("triton")

from gpu_pairs import AUDIO, built, close, told

from fastsvc.config import MelConfig, VocoderConfig, rvc_sizes
from fastsvc.engine.cpu.sampler import Synthesiser
from fastsvc.engine.cuda import launcher
from fastsvc.engine.cuda import vocoder as cuda_vocoder
from fastsvc.engine.engine import Engine
from fastsvc.errors import EngineError, FastsvcError

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


def test_the_vocoder_in_slices_that_are_never_padded(pair):
    cpu, gpu = pair
    mel, f0_hz = torch.randn(130, 80) - 2, told(130)[1]
    heard = []
    close(gpu.synthesiser(mel, f0_hz, 3, progress=heard.append), cpu.synthesiser(mel, f0_hz, 3), AUDIO)
    assert len(gpu.synthesiser.replays) == 1 and heard[-1] == 1
    ((batch, length, _),) = gpu.synthesiser.replays
    assert batch > 1 and length < 130


@pytest.mark.slow
@pytest.mark.long
def test_the_vocoder_by_the_kernels(pair, folder, monkeypatch):
    """The engine's whole way with the backend that was asked for; one that does not run here is refused by name."""
    big_blocks.prepare(monkeypatch)
    cpu, gpu = pair[0], interpreted.engine(folder, vocoder_backend="triton")
    given = told(9)
    want, got = (engine.synthesise(*given, "Bert", 1, seed=4) for engine in (cpu, gpu))
    close(got[0], want[0], AUDIO)
    assert list(gpu.synthesiser.choice.backends) == ["triton"]
    with pytest.raises(FastsvcError, match="tensorrt"):
        interpreted.engine(folder, vocoder_backend="tensorrt")
    with pytest.raises(EngineError, match="onnxruntime.*does not run on this device"):
        interpreted.engine(folder, vocoder_backend="onnxruntime")


KINDS = {
    "pulse": VocoderConfig(initial_channels=32, source="pulse"),
    "one sine, noise in the generator": VocoderConfig(
        family="openvpi",
        mel=MelConfig(44100, 64, 2048, 2048, 20, 40.0, 16000.0, "e"),
        initial_channels=16,
        upsample_rates=(4, 4, 4),
        upsample_kernels=(8, 8, 8),
        source="sine",
        noise_sigma=0.5,
    ),
    "of RVC": rvc_sizes.generator("40k", channels=16, bins=20, speakers=3),
    "of RVC, without pitch": rvc_sizes.generator("40k", channels=16, bins=20, speakers=3, source="none"),
}


@pytest.mark.parametrize("kind", KINDS)
@torch.inference_mode()
@pytest.mark.sampled(2)
def test_kinds_of_vocoders(kind):
    """In several slices, from a mel whose logarithm has another base; float16 stays near."""
    config = KINDS[kind]
    tensors = weights.vocoder(config)
    mel, f0_hz = torch.randn(100, config.mel.bins) - 2, 150 + 100 * torch.rand(100)
    base = "10" if config.mel.log_base == "e" else "e"
    cpu = Synthesiser(tensors, config, base)
    speaker = cpu.speaker({0: 0.5, 2: 0.5})
    want = cpu(mel, f0_hz, 5, speaker=speaker)
    for dtype, bound in ((torch.float32, AUDIO), (torch.float16, HALF)):
        made = cuda_vocoder.Synthesiser(tensors, config, base, dtype, "cpu", launcher.Jit())
        speaker = made.speaker({0: 0.5, 2: 0.5})
        assert (speaker is None) == (config.speakers == 0)
        close(made(mel, f0_hz, 5, speaker=speaker), want, bound)
        ((batch, length),) = made.inputs
        assert batch > 1 and length < 100


def test_the_vocoder_in_short_memory(pair, monkeypatch):
    cpu, gpu = pair
    made, batch = gpu.synthesiser, gpu.synthesiser._batch

    def short(mel, prepared, seed, starts, *others):
        if len(starts) > 1:
            raise torch.OutOfMemoryError("no")
        return batch(mel, prepared, seed, starts, *others)

    monkeypatch.setattr(made, "_batch", short)
    mel, f0_hz = torch.randn(130, 80) - 2, told(130)[1]
    with pytest.warns(UserWarning, match="the vocoder continues with 1 slices"):
        got = made(mel, f0_hz, 3)
    close(got, cpu.synthesiser(mel, f0_hz, 3), AUDIO)
    monkeypatch.setattr(made, "_batch", lambda *_: (_ for _ in ()).throw(torch.OutOfMemoryError("no")))
    with pytest.warns(UserWarning, match="memory is short"), pytest.raises(EngineError, match="memory"):
        made(mel, f0_hz)


def test_timing_goes_on_where_memory_is_too_small_for_a_shape(pair, monkeypatch):
    made, timed, seen = pair[1].synthesiser, [], []

    def measure(given, capture):
        if len(given.mel) > 1:
            raise torch.OutOfMemoryError("no")
        timed.append(tuple(given.mel.shape[:2]))

    monkeypatch.setattr(cuda_vocoder, "measured_shapes", lambda: [(2, 64), (1, 80), (1, 64)])
    monkeypatch.setattr(made.choice, "measure", measure)
    with pytest.warns(UserWarning, match="too small to time 2 × 64 frames"):
        made.measure(seen.append)
    assert timed == [(1, 80), (1, 64)] and seen == [1 / 3, 2 / 3, 1.0] and not made.choice.backends


def test_short_recordings_are_bound_once(pair, monkeypatch):
    """Binding may keep memory until it is released, as TensorRT's contexts do."""
    made, bound = pair[1].synthesiser, []
    generator = made.choice.generator("torch")
    real = generator.bind
    monkeypatch.setattr(generator, "bind", lambda given: bound.append(given) or real(given))
    for frames in (13, 12, 13, 12):
        made(torch.randn(frames, 80) - 2, told(frames)[1])
    assert len(bound) == 2 and not made.replays


def test_the_vocoder_goes_on_without_a_backend_that_fails(pair, monkeypatch):
    cpu, gpu = pair
    choice = gpu.synthesiser.choice

    def refusing():
        raise EngineError("no context could be made")

    monkeypatch.setitem(choice.makers, "triton", refusing)
    monkeypatch.setattr(choice, "name", lambda *_: "torch" if choice.dropped else "triton")
    mel, f0_hz = torch.randn(13, 80) - 2, told(13)[1]
    with pytest.warns(UserWarning, match="continues without triton.*no context"):
        got = gpu.synthesiser(mel, f0_hz, 3)
    close(got, cpu.synthesiser(mel, f0_hz, 3), AUDIO)
