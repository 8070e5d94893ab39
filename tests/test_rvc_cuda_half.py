"""RVC's text encoder and flow in half precision in the GPU's form, on a CPU: against the specification in float64."""

import pytest
import rvc_golden
import torch
from golden import relative_rms
from rvc_cuda import poisoned, sampler
from test_rvc_lowered import features

from fastsvc.engine.cpu.sampler import noise_from
from fastsvc.model.modules import module

HALF = {torch.float16: 4e-3, torch.bfloat16: 3e-2}  # of latents; measured: 1.2e-3 and 1.1e-2


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("frames", [1, 57, 200])
@pytest.mark.parametrize("file", ["v2_40k/v2_40k.pth", "v1_40k/v1_40k.pth"])
def test_half_precision(file, dtype, frames):
    """At most twice the error of the plain module in that type, both against float64; and below the stated bound."""
    model = rvc_golden.voice(rvc_golden.read(file)).acoustic
    heard, voice, speaker = features(frames, model.config), {1: 1.0}, torch.tensor([1])
    draws, form = torch.randn(3, frames, model.config.mel.bins), sampler(model, dtype)  # one draw's maximum is chance

    def formed(noise):
        return poisoned(form, lambda: form(heard, form.condition.speaker(voice), 1, noise_from([noise])))

    got = torch.cat([formed(noise) for noise in draws])
    coarse = model.coarse_pitch(heard.f0_hz * heard.voiced)[None]
    units = heard.units[heard.unit_indices][None]

    def plain(of):
        wide = module("rvc", model.config).to(of).eval()
        wide.load_state_dict(model.state_dict())
        given = units.to(of), coarse, wide.speaker(speaker)
        with torch.no_grad():
            return torch.cat([wide.latent(*given, noise[None].to(of))[0] for noise in draws])

    want, half = plain(torch.float64), plain(dtype)
    assert got.dtype == torch.float32
    assert 0 < relative_rms(got, want) <= 2 * relative_rms(half, want)
    assert (got - want).abs().max() <= 2 * (half - want).abs().max()
    assert relative_rms(got, want) < HALF[dtype]
