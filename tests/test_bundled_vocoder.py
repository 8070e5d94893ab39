"""The bundled vocoder: level and spectrum of recordings through their own mel and pitch."""

from pathlib import Path

import numpy as np
import pytest
import torch

from fastsvc.artifact import bundled
from fastsvc.audio import io
from fastsvc.audio.mel import log_mel
from fastsvc.audio.resample import resample
from fastsvc.build.part import read_part
from fastsvc.config import SourceFilterConfig
from fastsvc.engine.cpu.generators import torch_generator
from fastsvc.engine.cpu.sampler import Synthesiser
from fastsvc.features import f0

RECORDINGS = Path(__file__).parent.parent / "examples" / "recordings"


@pytest.fixture(scope="module")
def vocoder():
    checkpoint = read_part(bundled.VOICES, "vocoder", "a vocoder")
    assert isinstance(checkpoint.config, SourceFilterConfig)
    return Synthesiser(checkpoint.tensors, checkpoint.config, make=torch_generator)


def copied(synthesiser, name: str) -> tuple[float, float, float]:
    """(level in dB against the recording, mean distance of loud mel bins in dB, peak) of a copy-synthesis."""
    mel_config = synthesiser.config.mel
    hop, rate_hz = mel_config.hop_samples, mel_config.rate_hz
    audio, recorded_hz = io.read(RECORDINGS / name, mono=True)
    audio = resample(audio[0], recorded_hz, rate_hz)
    audio = torch.from_numpy(0.5 * audio[: len(audio) // hop * hop] / np.abs(audio).max()).float()
    mel = log_mel(audio[None], mel_config)[0]
    f0_hz, voiced = f0.extract(
        audio, rate_hz, hop, len(mel), method="yin", low_hz=50.0, high_hz=1100.0, style="fastsvc"
    )[:2]
    output = synthesiser(mel, f0_hz * voiced, 0)
    distance = 20 * (log_mel(output[None], mel_config)[0] - mel)[mel > mel.max() - 3].abs().mean()
    level_db = 10 * torch.log10(output.square().mean() / audio.square().mean())
    return float(level_db), float(distance), float(output.abs().max())


@pytest.mark.parametrize(
    "name", ["speech/front_center.wav", "speech/side_left.wav", "singing/viktor.wav", "singing/wanda.ogg"]
)
def test_a_copy_is_as_loud_and_has_the_same_spectrum(vocoder, name):
    """Measured: level −0.45 to +0.26 dB, distance 1.4 to 2.8 dB; choir.fsvc: −2.7 to −7.6, 3.3 to 5.0."""
    level_db, distance_db, peak = copied(vocoder, name)
    assert abs(level_db) < 1 and distance_db < 3.2 and peak < 1


def test_the_bounds_tell_vocoders_apart():
    checkpoint = read_part(RECORDINGS.parent / "voices" / "choir.fsvc", "vocoder", "a vocoder")
    level_db, distance_db, _ = copied(
        Synthesiser(checkpoint.tensors, checkpoint.config, make=torch_generator), "speech/side_left.wav"
    )
    assert level_db < -2 and distance_db > 4
