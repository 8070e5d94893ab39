"""The GPU's engine against the CPU's, its kernels interpreted: mels, audio, cutting, batches, samplers, self-check."""

from dataclasses import replace

import amphion_files
import engines
import interpreted
import pytest
import torch
from test_engines import HALF

pytest.importorskip("triton")

from gpu_pairs import AUDIO, FRAMES, built, close, told

from fastsvc import build
from fastsvc.artifact import bundled
from fastsvc.build.passes import measure
from fastsvc.config import DdpmConfig
from fastsvc.engine import backends
from fastsvc.engine.buckets import Buckets
from fastsvc.engine.cpu.sampler import Features, SeededNoise
from fastsvc.engine.cuda import selfcheck, support
from fastsvc.engine.cuda.graphs import Graphs
from fastsvc.engine.engine import Engine
from fastsvc.errors import ConfigError, EngineError

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


@pytest.mark.slow
@pytest.mark.parametrize("frames, steps", [(FRAMES, 1), (FRAMES, 2), (1, 2)])
@pytest.mark.sampled(2)
def test_mel_and_audio(pair, frames, steps):
    cpu, gpu = pair
    given = told(frames)
    want, got = (engine.synthesise(*given, {"Ada": 0.5, "Cleo": 0.5}, steps, seed=2**63 + 5) for engine in (cpu, gpu))
    close(got[1], want[1])
    close(got[0], want[0], AUDIO)
    assert not torch.equal(gpu.synthesise(*given, "Ada", steps, seed=6)[1], got[1])


@pytest.mark.slow
def test_half_precision(pair, folder):
    cpu, _ = pair
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


@pytest.mark.slow
def test_several_recordings_in_one_batch(pair):
    _, gpu = pair
    recordings = []
    for frames in (12, 20, 7):
        units, f0_hz, volume = told(frames)
        recordings.append(Features(units, torch.arange(frames), f0_hz, f0_hz > 0, volume))
    voice = gpu.sampler.condition.speaker({1: 1.0})
    together = gpu.sampler.many(recordings, voice, 2, [SeededNoise(seed, 80) for seed in (5, 6, 7)])
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
    with pytest.raises(ConfigError, match="device is 'tpu'"):
        Engine.open(folder, "tpu")
    with pytest.raises(EngineError, match="cannot be used: "):
        Engine.open(folder, "cuda")
    assert Engine.open(folder).device.type == "cpu"
    monkeypatch.setattr(support, "why_no_cuda", lambda number=None: "it is too old")
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
@pytest.mark.sampled(2)
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
@pytest.mark.long
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


@pytest.mark.slow
@pytest.mark.long
def test_the_bundled_voices_in_half_precision():
    """Trained weights, whose rounding matters: the mel, and the vocoder alone, both in float16."""
    cpu, gpu = Engine.open(bundled.VOICES, "cpu"), interpreted.engine(bundled.VOICES, "fp16")
    frames = 40
    units = torch.randn(frames, cpu.config.condition.unit_channels)
    given = units, torch.full((frames,), 220.0), torch.full((frames,), 0.1)
    want, got = (engine.synthesise(*given, 1, seed=3) for engine in (cpu, gpu))
    close(got[1], want[1], 1e-3)  # measured: 2.3e-4 and 5.4e-4
    close(gpu.synthesiser(want[1], given[1], 3), want[0], 3e-3)
    assert want[0].std() > 1e-3
