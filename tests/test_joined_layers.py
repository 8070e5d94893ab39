"""All layers in one launch, where the environment asks for it: what is compiled, and what the engine starts."""

import engines
import pytest
import torch

from fastsvc.build.passes import target
from fastsvc.engine.buckets import Shape
from fastsvc.engine.cuda import denoiser, joined, launch_plan
from fastsvc.errors import ConfigError
from fastsvc.kernels.tiles import PROCESSORS

SHORT, LONG = Shape(1, 64), Shape(8, 8192)


def names(launches):
    return [getattr(launch.kernel, "fn", launch.kernel).__name__.removesuffix("_kernel") for launch in launches]


def planned(shapes):
    given = engines.ACOUSTIC, "consistency", {2: [80.0, 0.9]}, False, torch.float16, 90
    return list(launch_plan.denoiser(*given, shapes))


@pytest.mark.parametrize("value, asked", [("1", True), ("0", False), ("", False)])
def test_the_environment_asks(monkeypatch, value, asked):
    monkeypatch.setenv(joined.PERSISTENT, value)
    assert joined.requested() is asked
    assert ("layers" in names(planned([SHORT]))) is asked
    assert "layers" not in names(planned([LONG]))


@pytest.mark.parametrize("value", ["2", "true", " 1"])
def test_other_values_of_the_environment_are_refused(monkeypatch, value):
    monkeypatch.setenv(joined.PERSISTENT, value)
    with pytest.raises(ConfigError, match=r"^\$FASTSVC_PERSISTENT is .* \(use one of 0, 1\)$"):
        joined.requested()


def test_both_forms_are_compiled(monkeypatch):
    """Kernels of the usual form stay, as other lengths need them; two are added: the first projection clears counts."""
    monkeypatch.delenv(joined.PERSISTENT, raising=False)
    before = target.unique_specs(planned([SHORT]))
    monkeypatch.setenv(joined.PERSISTENT, "1")
    after = target.unique_specs(planned([SHORT]))
    assert before.keys() < after.keys()
    added = {after[key]["kernel"].rpartition(":")[2] for key in after.keys() - before.keys()}
    assert added == {"layers_kernel", "first_kernel"}


def program(shape):
    levels = denoiser.level_table(engines.ACOUSTIC, [80.0, 0.9])
    weights = denoiser.without_storage(engines.ACOUSTIC, 2, torch.float16)
    return denoiser.DenoiserProgram(weights, engines.ACOUSTIC, levels, shape, 90, launch_plan.empty)


def test_an_evaluation_is_four_launches():
    apart = program(SHORT)
    together = apart.together()
    assert names(together.evaluation(80.0)) == ["first", "layers", "skip", "head"]
    assert names(apart.evaluation(80.0)) == ["first", *["gated_conv", "residual"] * 2, "gated_conv", "skip", "head"]
    clearing, layers = together.evaluation(80.0)[:2]
    assert layers.cooperative and layers.arguments["counts"] is clearing.arguments["counts"]
    assert clearing.constants["CLEAR"] and clearing.arguments["count"] == len(together.net.counts)
    assert layers.arguments["z"] is apart.net.z and layers.arguments["state"] is apart.net.state


def test_long_inputs_keep_their_launches():
    long_program = program(LONG)
    assert not long_program.net.can_join
    assert names(long_program.together().evaluation(80.0)) == names(long_program.evaluation(80.0))


def test_processors_of_the_device(monkeypatch):
    assert joined.processors(torch.device("cpu"), 90) == PROCESSORS[90]
    monkeypatch.setattr(
        torch.cuda, "get_device_properties", lambda device: type("P", (), {"multi_processor_count": 114})
    )
    assert joined.processors(torch.device("cuda"), 90) == 114
