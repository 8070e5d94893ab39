"""The automatic transposition: the nearest semitone, or the nearest octave, which keeps the key."""

import pytest
import torch

from fastsvc import arguments
from fastsvc.engine.extraction import shift_semitones
from fastsvc.errors import ConfigError, EngineError


@pytest.mark.parametrize(
    "source_hz, target_hz, semitones, octaves",
    [
        (220.0, 220.0, 0, 0),
        (110.0, 226.0, 12, 12),
        (220.0, 130.8, -9, -12),  # a major sixth down: another key beside an accompaniment
        (220.0, 164.8, -5, 0),
        (100.0, 330.0, 21, 24),
        (440.0, 98.0, -26, -24),
    ],
)
def test_whole_semitones_and_whole_octaves(source_hz, target_hz, semitones, octaves):
    f0_hz = torch.tensor([source_hz / 2, source_hz, source_hz, source_hz * 1.01, 9000.0])
    voiced = torch.tensor([True, True, True, True, False])
    assert shift_semitones("auto", f0_hz, voiced, target_hz) == semitones
    assert shift_semitones("octaves", f0_hz, voiced, target_hz) == octaves
    assert shift_semitones("octaves", f0_hz, torch.zeros(5, dtype=torch.bool), target_hz) == 0
    with pytest.raises(EngineError, match="octaves cannot work"):
        shift_semitones("octaves", f0_hz, voiced, None)


def test_other_words_are_refused():
    assert arguments.transpose("octaves") == "octaves"
    for wrong in ("octave", "Auto", "12 octaves"):
        with pytest.raises(ConfigError, match="octaves"):
            arguments.transpose(wrong)
