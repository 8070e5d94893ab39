"""How the spectrum of a stream goes on where the audio ends: held while steady, not at a change, a rest or the end."""

import math

import pytest
import torch

from fastsvc.audio.mel import log_mel
from fastsvc.config import MelConfig, RecogniserConfig
from fastsvc.engine.stream.continued import continued, held
from fastsvc.engine.stream.intake import Intake
from fastsvc.engine.stream.units import units_of
from fastsvc.features.content import RecogniserEncoder
from fastsvc.model.modules import module

MEL = RecogniserConfig(phones=("-", "a")).mel
NOTE = 0.2 * torch.sin(torch.arange(8000) * 2 * math.pi * 220 / 16000).sign()


def resampled(audio, total=None):
    intake = Intake(16000, {16000})
    intake.pushed.append(audio)
    intake.total = total
    return intake.at[16000]


def test_a_steady_sound_is_held_and_other_ends_are_not():
    newest = held(resampled(NOTE), 8000, MEL, 1.0)
    whole = log_mel(NOTE[None, 600:8000], MEL)[0]
    assert newest is not None and newest.shape == (MEL.bins,)
    assert (newest - whole[20]).abs().mean() < 0.1 and (newest - log_mel(0.5 * NOTE[None], MEL)[0, 20]).mean() > 0.25
    assert held(resampled(1e-4 * NOTE), 8000, MEL, 1.0) is None, "a rest"
    assert held(resampled(1e-4 * NOTE), 8000, MEL, 1e4) is not None, "what the encoder gets is loud"
    changed = NOTE * (1 + 9 * (torch.arange(8000) > 7700))
    assert held(resampled(changed), 8000, MEL, 1.0) is None, "an onset"
    assert held(resampled(NOTE, 8000), 8000, MEL, 1.0) is None, "the recording ends"
    assert held(resampled(NOTE, 9000), 8000, MEL, 1.0) is not None
    assert held(resampled(NOTE[:100]), 100, MEL, 1.0) is None, "its beginning"


@pytest.mark.parametrize("base", ["10", "e"])
def test_limits_are_those_of_either_logarithm(base):
    mel = MelConfig(**{**MEL.__dict__, "log_base": base})
    for audio, is_held in ((NOTE, True), (1e-3 * NOTE, False), (NOTE * torch.linspace(1, 1e3, 8000), True)):
        assert (held(resampled(audio), 8000, mel, 1.0) is not None) is is_held


def test_rows_that_go_on():
    rows, newest = torch.arange(6.0).view(3, 2), torch.tensor([7.0, 8.0])
    assert continued(rows, None, 1, 5) is rows
    assert continued(rows, newest, 1, 2).tolist() == [[0, 1], [2, 3], [7, 8], [7, 8], [7, 8]]
    assert continued(rows, newest, 0, 1).tolist() == [[0, 1], [2, 3], [4, 5], [7, 8]]


@torch.inference_mode()
def test_what_is_held_is_kept_for_encoders_of_few_layers():
    """Whose units depend on less of the past than the spectrum that is held."""
    config = RecogniserConfig(phones=("-", "a"), channels=12, layers=1, kernel=1, bottleneck=6)
    encoder = RecogniserEncoder(config, module("recogniser", config).state_dict())
    units, source, hop = units_of(encoder), resampled(NOTE), encoder.hop_samples
    for first in range(40):
        found, begin = units.find(source, first, (first + 1) * hop, 1.0)
        assert len(found) == first + 1 - begin
        units.settle()
        source.tape.forget(units.begin(first + 1) * hop)


@torch.inference_mode()
def test_units_of_a_steady_note_are_those_of_a_longer_one():
    """Of an encoder that sees 23 frames of the future, with none given."""
    config = RecogniserConfig(phones=("-", "a"), channels=12, layers=5, bottleneck=6)
    torch.manual_seed(5)
    encoder = RecogniserEncoder(config, module("recogniser", config).state_dict())
    units, audio = units_of(encoder), NOTE + 1e-3 * torch.randn(8000)
    whole = encoder.encode(audio)
    first, last = 20, 24
    found, begin = units.find(resampled(audio), first, last * encoder.hop_samples, 1.0)
    cut = encoder.encode(audio[: last * encoder.hop_samples])
    errors = [float((one - whole[first:last]).square().mean()) for one in (found[first - begin :], cut[first:last])]
    assert errors[0] < 0.1 * errors[1]
