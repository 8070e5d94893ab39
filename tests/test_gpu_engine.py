"""The GPU's engine against the CPU's, its kernels interpreted: mels, audio, cutting, batches, samplers, self-check."""

from dataclasses import replace

import amphion_files
import big_blocks
import engines
import interpreted
import pytest
import torch
import weights
from golden import relative_rms
from test_engines import HALF

pytest.importorskip("triton")

from fastsvc import build
from fastsvc.build.passes import measure
from fastsvc.commands import choose
from fastsvc.config import DdpmConfig, MelConfig, VocoderConfig
from fastsvc.engine import backends, buckets
from fastsvc.engine.buckets import Buckets
from fastsvc.engine.cpu.sampler import Features, SeededNoise, Synthesiser
from fastsvc.engine.cuda import launcher, selfcheck, support
from fastsvc.engine.cuda import pitch as cuda_pitch
from fastsvc.engine.cuda import recogniser as cuda_recogniser
from fastsvc.engine.cuda import vocoder as cuda_vocoder
from fastsvc.engine.cuda.graphs import Graphs
from fastsvc.engine.engine import Engine
from fastsvc.errors import ConfigError, EngineError, FastsvcError

pytestmark = pytest.mark.skipif(torch.cuda.is_available(), reason="the interpreter is not used where there is a GPU")
FRAMES = 33
MEL, AUDIO = 1e-5, 2e-5  # of float32; measured: 1.3e-6 and 3.5e-6


@pytest.fixture(autouse=True)
def prepared(monkeypatch):
    interpreted.prepare(monkeypatch)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    torch.manual_seed(0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measure, "SECONDS_OF_AUDIO", {"denoiser": 0.1, "vocoder": 0.01})
        return engines.build_engine(tmp_path_factory.mktemp("engine"), precision="fp32", target="cpu")


@pytest.fixture
def pair(folder):
    """(the CPU's engine, the GPU's)."""
    return Engine.open(folder, "cpu"), interpreted.engine(folder)


def told(frames=FRAMES):
    f0_hz = torch.full((frames,), 220.0)
    f0_hz[: frames // 5] = 0
    return torch.randn(frames, 6), f0_hz, 0.3 * torch.rand(frames)


def close(got, want, bound=MEL):
    assert got.shape == want.shape and torch.isfinite(got).all()
    assert relative_rms(got, want) <= bound


@pytest.mark.slow
@pytest.mark.parametrize("frames, steps", [(FRAMES, 1), (FRAMES, 2), (1, 2)])
def test_mel_and_audio(pair, frames, steps):
    cpu, gpu = pair
    given = told(frames)
    want, got = (engine.synthesise(*given, {"Ada": 0.5, "Cleo": 0.5}, steps, seed=2**63 + 5) for engine in (cpu, gpu))
    close(got[1], want[1])
    close(got[0], want[0], AUDIO)
    assert not torch.equal(gpu.synthesise(*given, "Ada", steps, seed=6)[1], got[1])


@pytest.mark.slow
def test_recordings_and_half_precision(pair, folder):
    time_s = torch.arange(6000) / 24000
    audio = 0.3 * torch.sin(2 * torch.pi * 220 * time_s)
    cpu, gpu = pair
    want, _ = cpu.convert(audio, 24000, "Bert")
    got, rate_hz = gpu.convert(audio, 24000, "Bert")
    close(torch.from_numpy(got), torch.from_numpy(want), AUDIO)
    assert rate_hz == 24000 and len(got) == 6000
    half = interpreted.engine(folder, "fp16")
    assert half.sampler.network.weights.conv_weight.dtype == torch.float16 and half.precision == "fp16"
    given = told()
    for got, want, bound in zip(half.synthesise(*given, 1), cpu.synthesise(*given, 1), (HALF, 3e-3)):
        close(got, want, bound)


def test_units_at_their_own_rate(pair):
    _, f0_hz, volume = told()
    for count in (9, 70):  # fewer and more than frames
        units = torch.randn(count, 6)
        want, got = (engine.synthesise(units, f0_hz, volume, "Cleo") for engine in pair)
        close(got[1], want[1])


def test_cutting_changes_nothing(pair):
    _, gpu = pair
    given = told(90)
    features = Features(given[0], torch.arange(90), given[1], given[1] > 0, given[2])
    voice = gpu.sampler.condition.speaker({0: 1.0})
    whole = gpu.sampler(features, voice, 1, SeededNoise(4, 80))
    close(gpu.sampler(features, voice, 1, SeededNoise(4, 80), block=31), whole, 1e-6)


def test_the_vocoder_in_slices_that_are_never_padded(pair):
    cpu, gpu = pair
    mel, f0_hz = torch.randn(130, 80) - 2, told(130)[1]
    heard = []
    close(gpu.synthesiser(mel, f0_hz, 3, progress=heard.append), cpu.synthesiser(mel, f0_hz, 3), AUDIO)
    assert len(gpu.synthesiser.replays) == 1 and heard[-1] == 1
    ((batch, length, _),) = gpu.synthesiser.replays
    assert batch > 1 and length < 130


@pytest.mark.slow
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


@pytest.mark.slow
def test_several_recordings_in_one_batch(pair):
    _, gpu = pair
    recordings = []
    for frames in (12, 20, 7):
        units, f0_hz, volume = told(frames)
        recordings.append(Features(units, torch.arange(frames), f0_hz, f0_hz > 0, volume))
    voice = gpu.sampler.condition.speaker({1: 1.0})
    together = gpu.sampler.many(recordings, voice, 2, [5, 6, 7])
    assert [len(mel) for mel in together] == [12, 20, 7]
    alone = gpu.sampler(recordings[1], voice, 2, SeededNoise(6, 80))
    close(together[1], alone, 1e-6)


def test_noise_that_is_handed_in(pair):
    given, noise = told(), torch.randn(2, FRAMES, 80)
    want, got = (engine.synthesise(*given, 1, 2, noise=noise) for engine in pair)
    close(got[1], want[1])


def test_short_memory_makes_smaller_batches_and_a_message(pair, monkeypatch):
    cpu, gpu = pair
    gpu.sampler.buckets, limit = Buckets(1024), 512
    run = gpu.sampler._run

    def short(pieces, told, steps, progress):
        if gpu.sampler.buckets.rows > limit:
            raise torch.OutOfMemoryError("no")
        return run(pieces, told, steps, progress)

    monkeypatch.setattr(gpu.sampler, "_run", short)
    given = told()
    with pytest.warns(UserWarning, match="batches of 512 frames"):
        got = gpu.synthesise(*given, 1)
    close(got[1], cpu.synthesise(*given, 1)[1])
    monkeypatch.setattr(gpu.sampler, "_run", lambda *_: (_ for _ in ()).throw(torch.OutOfMemoryError("no")))
    with pytest.raises(EngineError, match="memory"):
        gpu.synthesise(*given, 1)


def test_self_check_names_the_layer(pair):
    _, gpu = pair
    stored = gpu.manifest.check
    names = [name for name, *_ in stored["layers"]]
    assert names == ["input", "layer 0", "layer 1", "skip", "output"]
    weights = gpu.sampler.network.weights
    for tensor, name in [
        (weights.first_bias, "input"),
        (weights.residual_weight[1], "layer 1"),
        (weights.conv_weight[0], "layer 0"),
        (weights.skip_bias, "skip"),
        (weights.head_weight, "output"),
    ]:
        kept = tensor.clone()
        tensor.add_(0.05)
        with pytest.raises(EngineError, match=f"{name} of the denoiser"):
            selfcheck.check(stored, gpu.sampler, None, "fp32")
        tensor.copy_(kept)
    selfcheck.check(stored, gpu.sampler, gpu.synthesiser, "fp32")
    gpu.synthesiser.choice.generator("torch").vocoder.post.bias.add_(0.3)
    with pytest.raises(EngineError, match="the vocoder's output"):
        selfcheck.check(stored, gpu.sampler, gpu.synthesiser, "fp32")


def test_fingerprints_tell_sizes_of_differences():
    values = torch.randn(19, 512)
    for size in (1e-4, 1e-2, 1.0):
        off = selfcheck.difference(
            selfcheck.fingerprint(values + size * torch.randn(19, 512)), selfcheck.fingerprint(values)
        )
        assert size / 4 < off < 4 * size
    assert selfcheck.difference(selfcheck.fingerprint(values * torch.nan), selfcheck.fingerprint(values)) == float(
        "inf"
    )


def test_devices_are_named_with_their_reasons(folder, monkeypatch):
    with pytest.raises(ConfigError, match="there is no device 'tpu'"):
        Engine.open(folder, "tpu")
    with pytest.raises(EngineError, match="cannot be used: "):
        Engine.open(folder, "cuda")
    assert Engine.open(folder).device.type == "cpu"
    monkeypatch.setattr(support, "why_no_cuda", lambda: "it is too old")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    with pytest.warns(UserWarning, match="GPU is not used: it is too old"):
        assert backends.choose("auto") == "cpu"


def test_heun_steps_from_the_host(folder, monkeypatch):
    """A sampler without update form; and one graph serves all evaluations at a level."""
    cpu, gpu = Engine.open(folder, "cpu"), interpreted.engine(folder)
    levels = gpu.sampler.schedules[2]
    for engine in (cpu, gpu):
        engine.sampler.method = "heun"
        engine.sampler.schedules = {2: [*levels, 0.0]}
    gpu.sampler.plans = {2: None}
    given = told()
    want, got = (engine.synthesise(*given, 1, 2, seed=1) for engine in (cpu, gpu))
    close(got[1], want[1])
    assert sum(key[1] == "evaluation" for key in gpu.sampler.network.replays) == 2


@pytest.mark.slow
@pytest.mark.parametrize("method", ["dpm++", "unipc"])
def test_shallow_diffusion(tmp_path, monkeypatch, method):
    """A given mel is refined; capturing runs the work beforehand, which must not eat what was given."""

    def capture(self, run):
        run()
        run()
        return run

    monkeypatch.setattr(Graphs, "capture", capture)
    monkeypatch.setattr(measure, "SECONDS_OF_AUDIO", {"denoiser": 0.1, "vocoder": 0.01})
    config = replace(engines.ACOUSTIC, ddpm=DdpmConfig())
    checkpoint = engines.native(tmp_path / "teacher.pt", "teacher", config)
    path = build.compile(checkpoint, steps=(3,), sampler=method, depth=100, target="cpu", progress=None)
    mel, given = torch.randn(FRAMES, 80) - 2, told()
    want, got = (
        engine.synthesise(*given, 1, mel=mel) for engine in (Engine.open(path, "cpu"), interpreted.engine(path))
    )
    close(got[1], want[1])
    assert got[0] is None and not torch.allclose(want[1], mel, atol=0.1)


@pytest.mark.slow
def test_amphions_condition(tmp_path, monkeypatch):
    """Attention over the whole recording, noise about the condition: stepped from the host, in slices too."""
    monkeypatch.setattr(measure, "SECONDS_OF_AUDIO", {"denoiser": 0.1, "vocoder": 0.01})
    folder = amphion_files.experiment(tmp_path, student=True)
    path = build.compile(folder, steps=(2,), target="cpu", progress=None)
    heard, cpu, gpu = amphion_files.features(37), Engine.open(path, "cpu"), interpreted.engine(path)
    rows = heard["units"], heard["f0_hz"], heard["energy"]
    want, got = (engine.synthesise(*rows, 2, 2, seed=7) for engine in (cpu, gpu))
    close(got[1], want[1])
    features = Features(rows[0], torch.arange(37), rows[1], rows[1] > 0, rows[2])
    voice = gpu.sampler.condition.speaker({2: 1.0})
    cut = gpu.sampler(features, voice, 2, SeededNoise(7, gpu.config.mel.bins), block=19)
    close(cut, gpu.sampler(features, voice, 2, SeededNoise(7, gpu.config.mel.bins)))


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
}


@pytest.mark.parametrize("kind", KINDS)
@torch.inference_mode()
def test_kinds_of_vocoders(kind):
    """In several slices, from a mel whose logarithm has another base; float16 stays near."""
    config = KINDS[kind]
    tensors = weights.vocoder(config)
    mel, f0_hz = torch.randn(100, config.mel.bins) - 2, 150 + 100 * torch.rand(100)
    base = "10" if config.mel.log_base == "e" else "e"
    want = Synthesiser(tensors, config, base)(mel, f0_hz, 5)
    for dtype, bound in ((torch.float32, AUDIO), (torch.float16, HALF)):
        made = cuda_vocoder.Synthesiser(tensors, config, base, dtype, "cpu", launcher.Jit())
        close(made(mel, f0_hz, 5), want, bound)
        ((batch, length),) = made.inputs
        assert batch > 1 and length < 100


def test_the_vocoder_in_short_memory(pair, monkeypatch):
    cpu, gpu = pair
    made, batch = gpu.synthesiser, gpu.synthesiser._batch

    def short(mel, prepared, seed, starts, length):
        if len(starts) > 1:
            raise torch.OutOfMemoryError("no")
        return batch(mel, prepared, seed, starts, length)

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


@pytest.mark.slow
def test_the_bundled_voices_in_half_precision():
    """Trained weights, whose rounding matters: the mel, and the vocoder alone, both in float16."""
    cpu, gpu = Engine.open(choose.DEMO, "cpu"), interpreted.engine(choose.DEMO, "fp16")
    frames = 40
    units = torch.randn(frames, cpu.config.condition.unit_channels)
    given = units, torch.full((frames,), 220.0), torch.full((frames,), 0.1)
    want, got = (engine.synthesise(*given, 1, seed=3) for engine in (cpu, gpu))
    close(got[1], want[1], 1e-3)  # measured: 2.3e-4 and 5.4e-4
    close(gpu.synthesiser(want[1], given[1], 3), want[0], 3e-3)
    assert want[0].std() > 1e-3


@pytest.mark.slow
def test_graphs_are_made_beforehand(pair, monkeypatch):
    """Those that recordings need, largest first; then nothing is captured while they are sung."""
    _, gpu = pair
    made, real = [], Graphs.capture
    monkeypatch.setattr(Graphs, "capture", lambda self, run: made.append(self) or real(self, run))
    seen, lengths = [], (12, 66, 7)
    assert gpu.warm_up(groups=[lengths, lengths[:1]], steps=(1, 2), progress=seen.append) == len(made)
    assert seen == sorted(seen) and seen[-1] == 1
    shapes = [(shape.batch, shape.frames) for shape in gpu.sampler.network.programs]
    assert shapes == [(4, 96), (1, 64)]
    recordings = [Features(*told(n)[:1], torch.arange(n), *(2 * [torch.ones(n)]), torch.ones(n)) for n in lengths]
    voice, before = gpu.sampler.condition.speaker({1: 1.0}), len(made)
    for steps in (1, 2):
        mels = gpu.sampler.many(recordings, voice, steps, [5, 6, 7])
        gpu.sampler.many(recordings[:1], voice, steps, [5])
    gpu.synthesiser(mels[1], recordings[1].f0_hz)
    assert len(made) == before


def test_the_whole_ladder_is_prepared(pair, monkeypatch):
    _, gpu = pair
    gpu.sampler.buckets = Buckets(512)
    monkeypatch.setattr(buckets, "EVEN_FRAMES", (64, 128))
    monkeypatch.setattr(buckets, "EVEN_BATCHES", (2, 1))
    monkeypatch.setattr(cuda_recogniser, "LENGTHS", (64, 128))
    monkeypatch.setattr(cuda_pitch, "FRAMES", (64, 128))
    monkeypatch.setattr(gpu.synthesiser, "most_batch", 2)
    ran = []
    monkeypatch.setattr(
        gpu.synthesiser, "_batch", lambda mel, f0, seed, starts, length: ran.append((len(starts), length))
    )
    gpu.warm_up(groups="all")
    network = gpu.sampler.network
    assert list(network.programs) == Buckets(512).shapes()
    assert {key[0] for key in network.replays} == set(Buckets(512).shapes())
    assert {key[1:] for key in network.replays} == {("condition", False), ("sampling", 1, False)}  # not early
    assert ran == [(2, 128), (1, 128), (2, 64), (1, 64)]
    assert list(gpu.encoder.programs.by_shape) == list(gpu.yin.programs.by_shape) == [128, 64]


def test_stepped_schedules_are_prepared_too(pair):
    _, gpu = pair
    gpu.sampler.method, gpu.sampler.plans = "heun", {1: None, 2: None}
    gpu.sampler.schedules = {2: [*gpu.sampler.schedules[2], 0.0]}
    gpu.sampler.warm_up([2], [[FRAMES]])
    replays = dict(gpu.sampler.network.replays)
    gpu.synthesise(*told(), 0, 2)
    assert {key[1] for key in replays} == {"condition", "evaluation"} and replays == gpu.sampler.network.replays


def test_short_memory_while_graphs_are_made(pair, monkeypatch):
    _, gpu = pair
    reserve = gpu.sampler.network.reserve

    def scarce(shapes):
        if max(shape.batch * shape.frames for shape in shapes) > 2048:
            raise torch.OutOfMemoryError("no")
        reserve(shapes)

    monkeypatch.setattr(gpu.sampler.network, "reserve", scarce)
    with pytest.warns(UserWarning, match="continuing with batches of 2048 frames"):
        gpu.sampler.warm_up([1], [[FRAMES]])
    assert gpu.sampler.buckets == Buckets(2048) and len(gpu.sampler.network.replays) == 2


def test_on_a_processor_there_are_no_graphs_to_make(pair):
    cpu, _ = pair
    assert cpu.warm_up(0.05, groups="all") == 0 and set(cpu.timings) == {"features", "mel", "vocoder"}
