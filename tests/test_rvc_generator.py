"""RVC's generator: upstream's own audio through the specification and through every form that runs here."""

import pytest
import rvc_generators
from golden import relative

from fastsvc.model import vocoders
from fastsvc.model.vocoder import Generator

GOLDEN = [(name, frames) for name, cases in rvc_generators.CASES.items() for frames in cases]


def specified(name):
    config, tensors = rvc_generators.golden(name)
    model = Generator(config).eval().requires_grad_(False)
    model.load_state_dict(tensors)
    return model


def added(model, weights):
    return vocoders.speaker_vector(model.speakers.weight, weights)[None, None]


@pytest.mark.parametrize("name, frames", GOLDEN)
def test_specification(name, frames):
    model, case = specified(name), rvc_generators.case(name, frames)
    got = model(case["z"], case.get("source"), added(model, {case["sid"]: 1.0}))
    assert relative(got, case["audio"]) < 2e-6
    assert relative(model(case["z"], case.get("source")), case["audio"]) > 1e-3, "the speaker matters"
