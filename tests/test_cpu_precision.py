"""Which parts of an engine compute in bfloat16 on a processor: measured once, kept, and never without its units."""

import json

import engines
import fake_engine
import golden
import pytest
import torch

from fastsvc import machine
from fastsvc.artifact.engine_folder import Artifact
from fastsvc.commands import doctor_cpu
from fastsvc.convert.request_hash import request_hash
from fastsvc.convert.settings import ConversionSettings
from fastsvc.engine import Engine, Request
from fastsvc.engine.cpu import denoiser_bf16, precision, trials
from fastsvc.engine.cpu.denoiser_bf16 import Bf16Denoiser
from fastsvc.engine.cpu.trials import DENOISER, VOCODER, Runs, Trial
from fastsvc.engine.parts import Model
from fastsvc.errors import ConfigError

AMX, AVX512, AVX2 = ["avx2", "avx512f", "avx512_bf16", "amx_tile", "amx_bf16"], ["avx2", "avx512f"], ["avx2"]


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    return engines.build_engine(tmp_path_factory.mktemp("engine"))


@pytest.fixture
def flags(monkeypatch, tmp_path):
    """Sets the processor's flags, for a cache of its own and without the tests' usual precision."""
    monkeypatch.setenv("FASTSVC_CACHE", str(tmp_path / "cache"))
    for name in ("FASTSVC_PRECISION", *denoiser_bf16.CAPS):
        monkeypatch.delenv(name, raising=False)

    def pretend(found: list[str]) -> None:
        monkeypatch.setattr(machine, "cpu_flags", lambda: found)

    return pretend


def measured(monkeypatch, times=(4.0, 1.0), errors=(1e-3, 1e-3)) -> list[str]:
    """Every measurement finds these figures; returns the list of those that are made."""
    made: list[str] = []
    monkeypatch.setattr(precision, "_times", lambda runs: made.append("times") or list(times))
    monkeypatch.setattr(precision, "_errors", lambda runs: made.append("errors") or errors)
    return made


def bits(opened: Engine) -> torch.Tensor:
    torch.manual_seed(3)
    audio, mel = opened.synthesise(torch.randn(45, 6), torch.full((45,), 200.0), torch.rand(45), 1, steps=2)
    assert audio is not None
    return torch.cat([audio.flatten(), mel.flatten()])


@pytest.mark.parametrize("found, cap", [(AVX2, ""), (AVX512, ""), ([], ""), (AMX, "AVX2"), (AMX, "avx512_core")])
def test_without_units_nothing_is_measured_and_nothing_changes(engine, flags, monkeypatch, found, cap):
    """Where oneDNN may not use the units it would emulate them, which may take minutes."""
    flags(found)
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", cap)
    made, built = measured(monkeypatch), bits(Engine.open(engine, "cpu", "built"))
    opened = Engine.open(engine, "cpu")
    assert opened.rounded == () and opened.precision == "fp32" and made == []
    assert torch.equal(bits(opened), built)
    with pytest.warns(UserWarning, match="computes in fp32, not bf16"):
        assert Engine.open(engine, "cpu", "bf16").rounded == ()
    assert doctor_cpu.rows() == [("bf16 on cpu", "no units for it: everything computes in float32")]


@pytest.mark.skipif(not denoiser_bf16.supported(), reason="this processor has no bfloat16 units")
def test_what_is_faster_and_exact_enough_is_taken_and_fp32_gives_the_same_bits_as_ever(engine, flags, monkeypatch):
    flags(AMX)
    made, exact = measured(monkeypatch), bits(Engine.open(engine, "cpu", "built"))
    opened = Engine.open(engine, "cpu")
    assert opened.rounded == (DENOISER, VOCODER) and opened.precision == "bf16"
    assert isinstance(opened.sampler.denoiser, Bf16Denoiser) and opened.synthesiser.vocoder.dtype == torch.bfloat16
    assert made == 2 * ["times", "errors"]
    assert Engine.open(engine, "cpu").rounded == opened.rounded and len(made) == 4  # kept
    assert 1e-4 < golden.relative_rms(bits(opened), exact) < 3e-2
    assert torch.equal(bits(Engine.open(engine, "cpu", "fp32")), exact)
    monkeypatch.setenv("FASTSVC_PRECISION", "fp32")
    assert torch.equal(bits(Engine.open(engine, "cpu")), exact)
    assert len(doctor_cpu.rows()) == 3 and all("4.00×" in line for _, line in doctor_cpu.rows()[1:])


@pytest.mark.skipif(not denoiser_bf16.supported(), reason="this processor has no bfloat16 units")
def test_a_stream_of_a_rounded_engine_computes_as_the_engine_was_built(engine, flags):
    flags(AMX)
    rounded, built = Engine.open(engine, "cpu", "bf16"), Engine.open(engine, "cpu", "built")
    audio, results = 0.1 * torch.randn(4000, generator=torch.Generator().manual_seed(0)), []
    for opened in (rounded, built):
        stream = opened.stream(opened.speakers[0], 16000)
        assert (stream.engine is opened) == (opened is built) and stream.engine.lock is opened.lock
        results.append(torch.from_numpy(stream.push(audio.numpy())))
        results[-1] = torch.cat([results[-1], torch.from_numpy(stream.flush())])
    assert rounded.rounded and torch.equal(*results)


def trial(weights: str = "a" * 64, channels: int = 8) -> Trial:
    return Trial(DENOISER, {"channels": channels, "rates": (8, 8)}, weights, lambda: Runs(None, None, None))


@pytest.mark.parametrize(
    "times, errors, chosen",
    [
        ((4.0, 1.0), (1e-3, 1e-3), True),
        ((1.31, 1.0), (2e-3, 1e-3), True),
        ((1.29, 1.0), (1e-3, 1e-3), False),  # not much faster
        ((0.1, 9.0), (1e-3, 1e-3), False),  # emulated
        ((4.0, 1.0), (2.1e-3, 1e-3), False),  # worse than twice plain PyTorch
        ((4.0, 1.0), (4e-2, 4e-2), False),  # no better than plain PyTorch, which is bad
        ((4.0, 1.0), (float("1.8e308"), 1e-2), False),  # NaN or infinite numbers
    ],
)
def test_the_rule(flags, monkeypatch, times, errors, chosen):
    flags(AMX)
    measured(monkeypatch, times, errors)
    assert precision.worthwhile(trial()) is chosen


def test_a_choice_stays_until_its_circumstances_change(flags, monkeypatch):
    flags(AMX)
    made = measured(monkeypatch)
    assert precision.worthwhile(trial()) and made == ["times", "errors"]
    made = measured(monkeypatch, times=(1.0, 4.0))  # later, beside other work, it would be found slower
    assert precision.worthwhile(trial()) and made == []
    assert precision.worthwhile(trial(weights="b" * 64)) and made == ["errors"]  # the time is the form's
    assert not precision.worthwhile(trial(channels=9)) and made == ["errors", "times"]
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX512_CORE_AMX")
    assert precision.stored() == [] and not precision.worthwhile(trial())
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA")
    assert len(precision.stored()) == 2 and precision.worthwhile(trial())
    flags([*AMX, "amx_int8"])
    assert precision.stored() == []


def test_the_first_process_decides(flags, monkeypatch, tmp_path):
    """Another one measures at the same time, is earlier, and finds otherwise."""
    flags(AMX)
    path = precision._path(trial())

    def earlier(runs):
        precision._write(path, precision.Figures(DENOISER, {}, 1.0, 4.0, {}))
        return [4.0, 1.0]

    measured(monkeypatch)
    monkeypatch.setattr(precision, "_times", earlier)
    assert not precision.worthwhile(trial())
    assert json.loads(path.read_text())["bf16_ms"] == 4.0


@pytest.mark.parametrize("content", ["", "{}", '{"circumstances": 1, "fp32_ms": "x"}', "[" * 5000])
def test_a_damaged_file_is_measured_again(flags, monkeypatch, content):
    flags(AMX)
    path = precision._path(trial())
    path.parent.mkdir(parents=True)
    path.write_text(content)
    made = measured(monkeypatch)
    assert precision.stored() == [] and precision.worthwhile(trial()) and made == ["times", "errors"]
    assert len(precision.stored()) == 1


def test_without_a_place_to_keep_it_no_choice_is_made(flags, monkeypatch, tmp_path):
    flags(AMX)
    measured(monkeypatch)
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("FASTSVC_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.warns(UserWarning, match="the denoiser computes in float32, because a choice cannot be kept"):
        assert not precision.worthwhile(trial())


def test_an_unknown_word_in_the_environment(engine, monkeypatch):
    monkeypatch.setenv("FASTSVC_PRECISION", "int8")
    with pytest.raises(ConfigError, match="FASTSVC_PRECISION"):
        Engine.open(engine, "cpu")


@pytest.mark.skipif(not denoiser_bf16.supported(), reason="this processor has no bfloat16 units")
def test_measuring_for_real(engine, flags):
    """Times above 0, errors of the size of bfloat16's; the global random numbers and threads are left as they were."""
    flags(AMX)
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    found = list(trials.trials(Model.of(Artifact(engine))))
    assert [one.part for one in found] == [DENOISER, VOCODER]
    for one in found:
        runs = one.runs()
        fp32_ms, bf16_ms = precision._times(runs)
        error, plain = precision._errors(runs)
        assert fp32_ms > 0 and bf16_ms > 0 and 1e-4 < error <= 2 * plain < 6e-2
    assert torch.equal(torch.get_rng_state(), state) and torch.get_num_threads() == threads


def test_a_request_names_a_precision_only_where_the_user_did():
    one, words = fake_engine.FakeEngine(), ("auto", "fp32", "bf16")
    hashes = [request_hash(one, ConversionSettings(Request(0), precision=word), "wav") for word in words]
    assert len(set(hashes)) == 3 and hashes[0] == request_hash(one, ConversionSettings(Request(0)), "wav")
