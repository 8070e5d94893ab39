"""Models with pulses as engines: conditions, conversions, streams and kernels against the specification, and back."""

from dataclasses import replace

import engines
import interpreted
import numpy as np
import pytest
import streams
import torch
import weights
from golden import relative, relative_rms
from gpu_pairs import close, told
from test_engine_specification import BOUND, SEED, plain, recording, specified
from test_stream import AS_STREAMS

from fastsvc import build
from fastsvc.artifact import engine_folder
from fastsvc.build.passes import fold, measure
from fastsvc.engine.cpu import denoiser_bf16
from fastsvc.engine.cpu.condition import CpuCondition
from fastsvc.engine.engine import Engine
from fastsvc.kernels.denoiser import condition as condition_kernel
from fastsvc.model import pulse_mel
from fastsvc.model.modules import module
from fastsvc.recipe.unfold import unfold

CONFIG = replace(engines.ACOUSTIC, condition=replace(engines.ACOUSTIC.condition, pulses=True))
NAME = "condition.pulse_embed.weight"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("engine")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measure, "SECONDS_OF_AUDIO", {"denoiser": 0.1, "vocoder": 0.01})
        patch.setattr(engines, "ACOUSTIC", CONFIG)
        engines.build_engine(folder, precision="fp32", target="cpu")
    return folder


@pytest.fixture(scope="module")
def engine(folder):
    return Engine.open(folder / "engine.fsvc", "cpu")


def stored(folder) -> dict:
    return engine_folder.Artifact(folder / "engine.fsvc").tensors(engine_folder.WEIGHTS)


def test_the_table_is_stored_only_for_models_with_pulses(folder):
    tensors = stored(folder)
    assert tensors["condition.pulses"].shape == (pulse_mel.ROWS, 8)
    state = weights.random(module("student", engines.ACOUSTIC).state_dict())
    folded = fold.fold_condition({name: value.double() for name, value in state.items()}, engines.ACOUSTIC)
    assert {n for n in tensors if n.startswith("condition.")} - folded.keys() == {"condition.pulses"}


@pytest.mark.parametrize("frames", [1, 2, 33])
def test_a_condition_is_the_specifications(folder, frames):
    """Every place of f0: nothing, below the first row, on rows, between them, beyond the last; and mixtures."""
    generator = torch.Generator().manual_seed(frames)
    units, volume = torch.randn(frames, 6, generator=generator), torch.rand(frames, generator=generator)
    f0_hz = 20 * 2 ** (8 * torch.rand(frames, generator=generator))
    edges = [440.0, 32.0, 0.0, 31.9, 2200.0, 1e4, 64.0]
    f0_hz[: len(edges)] = torch.tensor(edges)[:frames]
    voiced = torch.arange(frames) % 5 != 3
    exact = plain(folder, "student").double()
    given = units.double()[None], f0_hz.double()[None], volume.double()[None]
    mixture = torch.tensor([[0.25, 0.0, 0.75]])
    want = exact.condition(*given, mixture.double(), voiced=voiced.double()[None])[0]
    made = CpuCondition(stored(folder), CONFIG)
    got = made(units, f0_hz, volume, voiced, made.speaker({0: 0.25, 2: 0.75}))
    assert relative_rms(got, want) < 2e-6
    with torch.no_grad():
        exact.get_parameter(NAME).zero_()
    without = exact.condition(*given, mixture.double(), voiced=voiced.double()[None])[0]
    assert relative_rms(without[voiced], want[voiced]) > 0.1 and torch.equal(without[~voiced], want[~voiced])


@torch.inference_mode()
def test_a_conversion_is_its_parts_one_after_another(folder, engine):
    """Transposed, in two steps, of a mixture; and the pulses matter in it, at the pitch after transposition."""
    audio, weights_of = recording(18077, 24000), (0.0, 0.75, 0.25)
    want, _ = specified(folder, audio, 24000, weights_of, 2, -3.5)
    exact = {"high_pass": False, "rms_mix_rate": 1.0}
    got, _ = engine.convert(audio, 24000, {"Bert": 3, "Cleo": 1}, steps=2, seed=SEED, transpose=-3.5, **exact)
    want = want[: len(audio)]
    assert relative(torch.from_numpy(got), want) < BOUND and relative_rms(torch.from_numpy(got), want) < BOUND
    deaf = Engine.open(folder / "engine.fsvc", "cpu")
    deaf.sampler.condition.pulses = torch.zeros_like(deaf.sampler.condition.pulses)
    without, _ = deaf.convert(audio, 24000, {"Bert": 3, "Cleo": 1}, steps=2, seed=SEED, transpose=-3.5, **exact)
    assert relative_rms(torch.from_numpy(without), want) > 1000 * BOUND


def test_a_stream_that_sees_all_is_one_pass(folder):
    audio = streams.song(1.2, 24000)
    options = {"transpose": 7, "seed": 3, "steps": 1}
    model = engines.native(
        folder / "hops.pt", "student", replace(CONFIG, features=replace(CONFIG.features, unit_align="hops"))
    )
    parts = {"vocoder": folder / "vocoder.pt", "content": folder / "recogniser.pt"}
    path = build.compile(model, folder / "hops.fsvc", steps=(1,), target="cpu", progress=None, **parts)
    engine = Engine.open(path, "cpu")
    want, _ = engine.convert(audio, 24000, "Bert", **options, **AS_STREAMS)
    stream = engine.stream("Bert", 24000, lookahead_ms=engine.exact_lookahead_ms(1), block_ms=50, **options)
    got = streams.pushed(stream, audio, [1000])
    assert np.abs(got - want).max() < 1e-4 * np.abs(want).max()


ROUNDED = pytest.mark.skipif(not denoiser_bf16.supported(), reason="this processor has no bfloat16 units")


@pytest.mark.parametrize("precision", ["fp16", pytest.param("bf16", marks=ROUNDED)])
def test_other_precisions_are_built_and_verified(folder, tmp_path, precision):
    path = build.compile(
        folder / "student.pt", tmp_path / "a.fsvc", steps=(1,), target="cpu", precision=precision, progress=None
    )
    found = engine_folder.Artifact(path)
    assert found.tensors(engine_folder.WEIGHTS)["condition.pulses"].dtype == torch.float32
    assert found.manifest.acoustic.condition.pulses


def test_the_kernels_constants_are_the_specifications():
    assert (condition_kernel.LOWEST_HZ, condition_kernel.PER_OCTAVE) == (pulse_mel.LOWEST_HZ, pulse_mel.PER_OCTAVE)


@pytest.mark.slow
@pytest.mark.parametrize("frames", [1, 33])
def test_the_gpus_engine_gives_the_same_mel(folder, engine, monkeypatch, frames):
    pytest.importorskip("triton")
    if torch.cuda.is_available():
        pytest.skip("the interpreter is not used where there is a GPU")
    interpreted.prepare(monkeypatch)
    gpu, given = interpreted.engine(folder / "engine.fsvc"), told(frames)
    want, got = (e.synthesise(*given, {"Ada": 0.5, "Cleo": 0.5}, 1, seed=5) for e in (engine, gpu))
    close(got[1], want[1])
    higher = (given[0], given[1] * 2 ** (1 / 12), given[2])
    close(gpu.synthesise(*higher, "Ada", 1, seed=5)[1], engine.synthesise(*higher, "Ada", 1, seed=5)[1])


def test_an_engines_table_comes_back_as_the_map_that_made_it(folder):
    manifest = engine_folder.Artifact(folder / "engine.fsvc").manifest
    state = unfold(stored(folder), manifest.acoustic, manifest.sampling.levels)
    trained = plain(folder, "student").get_parameter(NAME)
    assert state[NAME].abs().max() < 3 * trained.abs().max()
    again = fold.fold_condition({name: value.double() for name, value in state.items()}, manifest.acoustic)
    table = stored(folder)["condition.pulses"]
    torch.testing.assert_close(again["condition.pulses"].float(), table, rtol=0, atol=1e-5 * float(table.abs().max()))
