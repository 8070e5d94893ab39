"""The specification reproduces the upstream code's outputs, noise given."""

import golden
import pytest
import torch

from fastsvc.model import process, source, weight_norm
from fastsvc.model.acoustic import AcousticModel
from fastsvc.model.vocoder import Generator

PREFIX = {"decoder.denoise_fn.": "denoiser.", "": "condition."}


def acoustic(name: str, role: str) -> AcousticModel:
    state = torch.load(golden.FOLDER / name / f"{role}.pt", weights_only=True)["model"]
    model = AcousticModel(golden.acoustic_config(name)).eval()
    kept = {}
    for key, value in state.items():
        if key.startswith("decoder.denoise_fn."):
            kept["denoiser." + key.removeprefix("decoder.denoise_fn.")] = value
        elif not key.startswith("decoder."):
            kept["condition." + key] = value
    model.load_state_dict(kept)
    return model


def condition(model, case):
    speaker = case["spk_id"][:, 0] if "spk_id" in case else None
    return model.condition(case["units"], case["f0"][..., 0], case["volume"][..., 0], speaker)


@pytest.mark.parametrize("frames", [2, 50])
@pytest.mark.parametrize("name", ["comosvc_small", "comosvc_wide"])
def test_denoiser(name, frames):
    case = golden.arrays(f"{name}/denoiser_T{frames}")
    # the file does not say which role's weights were used: exactly one must fit
    errors = []
    for role in ("student", "teacher"):
        if (golden.FOLDER / name / f"{role}.pt").exists():
            model = acoustic(name, role)
            with torch.no_grad():
                out = process.denoise(model.denoiser, model.config, case["x"], case["sigma"], case["cond"])
            errors.append(golden.relative(out, case["out"]))
    assert min(errors) < 1e-5


@pytest.mark.parametrize("frames", [2, 50])
@pytest.mark.parametrize(
    "name, role, steps, method",
    [
        ("comosvc_small", "student", 1, "consistency"),
        ("comosvc_small", "student", 2, "consistency"),
        ("comosvc_small", "student", 4, "consistency"),
        ("comosvc_small", "teacher", 1, "euler"),
        ("comosvc_small", "teacher", 10, "euler"),
        ("comosvc_wide", "teacher", 1, "euler"),
        ("comosvc_wide", "teacher", 10, "euler"),
    ],
)
def test_samplers(name, role, steps, method, frames):
    path = f"{name}/{role}_steps{steps}_T{frames}"
    if not (golden.FOLDER / f"{path}.npz").exists():
        pytest.skip("no such case")
    case = golden.arrays(path)
    model, draws = acoustic(name, role), golden.draws(case)
    with torch.no_grad():
        mel = model.sample(condition(model, case), steps, draws.__getitem__, method)
    # One Euler step from σ = 80 subtracts numbers near 300 in float32: one bit there is 7e-5 of the mel's swing.
    bound = 3e-4 if (method, steps) == ("euler", 1) else 1e-5
    assert golden.relative(mel, case["mel"]) < bound
    assert golden.relative_rms(mel, case["mel"]) < (5e-5 if bound > 1e-5 else 1e-5)  # measured: 6e-6 and 4e-7


@pytest.mark.parametrize("frames", [3, 64])
def test_vocoder(frames):
    case = golden.arrays(f"m4gan_small/T{frames}")
    state = torch.load(golden.FOLDER / "m4gan_small/model_ckpt_steps_1970000.ckpt", weights_only=True)
    model = Generator(golden.VOCODER).eval()
    model.load_state_dict(weight_norm.fold(state["state_dict"]["model_gen"]))
    with torch.no_grad():
        phase = source.frame_phase(case["f0"], golden.VOCODER)
        start = case["noise0"].clone()
        start[:, 0] = 0
        sines = source.harmonics(case["f0"], phase, start, case["noise1"], golden.VOCODER)
        excitation = model.source(sines)
        audio = model(case["mel"].transpose(1, 2), case["source"][..., 0])
    assert golden.relative(audio, case["wav"][:, 0]) < 1e-5
    assert golden.relative(excitation, case["source"][..., 0]) < 1e-4, "upstream sums the phase in float32"
