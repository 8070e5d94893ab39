"""Upstream's whole way from a file to a file, all draws zero (pieces/offline_one), against ours."""

from dataclasses import replace

import numpy as np
import pytest
import rvc_engines
import torch
from rvc_front import GoldenEmbedder, piece

import fastsvc
from fastsvc.engine import conversion, rvc_front, synthesis
from fastsvc.engine.cpu import sampler
from fastsvc.engine.request import Request
from fastsvc.model import noise


def no_noise(seed, step, first, frames, channels, device="cpu", stream=0):
    return torch.zeros(frames, channels, device=device)


def given_pitch(golden):
    """The front end's tracker, replaced by the golden pitch."""

    def pitch(engine, audio, frames, method, request):
        f0_hz = np.pad(golden["f0"], (0, max(0, frames - len(golden["f0"]))), mode="edge")[:frames]
        return torch.from_numpy(rvc_front.styles.fill(f0_hz).astype(np.float32)), torch.from_numpy(f0_hz > 0)

    return pitch


@pytest.mark.slow
def test_a_recording_becomes_what_upstream_makes_of_it(tmp_path, monkeypatch):
    """To a step of int16 in upstream's 242 frames; the recording's 243rd, which upstream loses, is seen by the encoder
    and moves the others by less than 1e-3. The phase is upstream's where the vocoder gets the whole margin, too."""
    golden = piece("offline_one")
    audio, pcm = (golden["audio_int16"] / 32768).astype(np.float32), golden["pcm"] / 32768
    engine = fastsvc.load(rvc_engines.build_engine(tmp_path, "v2_40k", content=None), device="cpu")
    engine.encoder = GoldenEmbedder()
    for module in (sampler, noise):
        monkeypatch.setattr(module, "gaussian", no_noise)
    monkeypatch.setattr(rvc_front, "pitch", given_pitch(golden))
    monkeypatch.setattr(synthesis, "without_margin", lambda mel, f0_hz, margin, config: (mel, f0_hz, margin * 400))
    request = Request(int(golden["sid"]), rms_mix_rate=1, unvoiced="interpolated", f0_method="yin", rate_out_hz=40000)
    recording = conversion.extracted(engine, audio, "", 16000, request)
    features = recording.features
    cut = [part[: len(pcm) // 400 + 200] for part in (features.unit_indices, features.f0_hz, features.voiced)]
    shorter = replace(features, **dict(zip(("unit_indices", "f0_hz", "voiced"), cut)))
    for bound, one in ((6e-5, shorter), (1e-3, features)):
        (made,) = engine.synthesise_many([replace(recording, features=one)], request)
        output = engine.join(made, *recording.output_spec)
        assert len(output) == 97200 and np.abs(output[: len(pcm)] - pcm).max() < bound
