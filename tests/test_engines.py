"""The engines that tests build hear: every input moves mel and audio far more than any comparison lets pass.

Two ways to one mel or audio agree within FLOAT32, or within HALF where one of them computes in float16 (in bfloat16
within 3e-2: tests/test_gpu.py). What an input does must be far beyond both, or a comparison proves nothing.
"""

import dataclasses

import engines
import numpy as np
import pytest
import torch
from golden import relative_rms

import fastsvc
from fastsvc.build.passes import measure
from fastsvc.engine.request import Request

FLOAT32, HALF = 1e-4, 8e-3  # the widest that any test allows, in golden.relative_rms
LEAST = max(100 * FLOAT32, 2 * HALF)
# What tests/gpu_engines.py builds: channels, layers and cond_channels of a real model
WIDE = dataclasses.replace(
    engines.ACOUSTIC,
    condition=dataclasses.replace(engines.ACOUSTIC.condition, channels=256),
    denoiser=dataclasses.replace(engines.ACOUSTIC.denoiser, channels=512, layers=6, cond_channels=256),
)
CONFIGS = {"small": engines.ACOUSTIC, "wide": WIDE}


@pytest.fixture(scope="module", params=CONFIGS)
def engine(request, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engines, "ACOUSTIC", CONFIGS[request.param])
        patch.setattr(measure, "SECONDS_OF_AUDIO", {"denoiser": 0.1, "vocoder": 0.01})
        path = engines.build_engine(tmp_path_factory.mktemp("engine"), target="cpu")
    return fastsvc.load(path, device="cpu")


def tone(samples=24000, rate_hz=24000, f0_hz=220.0):
    time_s = np.arange(samples) / rate_hz
    return (0.3 * np.sin(2 * np.pi * f0_hz * time_s) + 0.1 * np.sin(4 * np.pi * f0_hz * time_s)).astype(np.float32)


def sung(engine, audio, speaker="Ada", semitones=0, edit=lambda features: features, **options):
    """(audio, mel) of a recording, its features changed by ``edit``."""
    heard = engine.extract(audio, 24000, Request("Ada", transpose=semitones))
    given = edit(heard.features)
    rows = given.units[given.unit_indices], given.f0_hz, given.volume
    return engine.synthesise(*rows, speaker, voiced=given.voiced, **options)


def with_changes(**changes):
    return lambda features: dataclasses.replace(
        features, **{name: change(getattr(features, name)) for name, change in changes.items()}
    )


CHANGES = {
    "silence": None,
    "another singer": {"speaker": "Bert"},
    "a third singer": {"speaker": "Cleo"},
    "another seed": {"seed": 1},
    "another number of steps": {"steps": 2},
    "an octave": {"semitones": 12},
    "a semitone up": {"semitones": 1},
    "a semitone down": {"semitones": -1},
    "no units": {"edit": with_changes(units=torch.zeros_like)},
    "units one frame late": {"edit": with_changes(unit_indices=lambda indices: (indices - 1).clamp(min=0))},
    "no loudness": {"edit": with_changes(volume=torch.zeros_like)},
    "half the loudness": {"edit": with_changes(volume=lambda volume: volume / 2)},
    "unvoiced": {"edit": with_changes(voiced=torch.zeros_like)},
}


@pytest.mark.slow
@pytest.mark.parametrize("gain", [1.0, 0.25])
@pytest.mark.sampled(2)
def test_each_input_moves_mel_and_audio(engine, gain):
    """Of a loud recording and of a quiet one."""
    audio = gain * tone()
    base = sung(engine, audio)
    moved = {}
    for name, change in CHANGES.items():
        made = sung(engine, 0 * audio) if change is None else sung(engine, audio, **change)
        moved[name] = tuple(relative_rms(got, want) for got, want in zip(made, base, strict=True))
    print(*(f"{name}: audio {pair[0]:.1e}, mel {pair[1]:.1e}" for name, pair in moved.items()), sep="\n")
    assert not {name: pair for name, pair in moved.items() if min(pair) < LEAST}
