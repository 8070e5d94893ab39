"""The specification of RVC's voices against what upstream computed from the same weights: tests/data/rvc."""

import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest
import rvc_golden
import torch
from golden import relative

from fastsvc import checkpoints
from fastsvc.model.rvc import flow

BOUND = 1e-5
EXACT = [(file, case) for file, case in rvc_golden.CASES if "har_exact" in rvc_golden.case(case)]
GROUPS = [
    *("emb_phone", "emb_pitch", "conv_q", "conv_k", "conv_v", "conv_o", "emb_rel_k", "emb_rel_v", "norm_layers_1"),
    *("norm_layers_2", "conv_1", "conv_2", "enc_p.proj", ".pre.", "in_layers", "res_skip_layers", "cond_layer"),
    *(".post.", "emb_g", "speakers", "conv_pre", "ups", "noise_convs", "resblocks", "conv_post", "m_source"),
]


def errors(voice, case) -> dict[str, float]:
    """Of every intermediate that the case holds."""
    return {name: relative(made, case[name]) for name, made in rvc_golden.run(voice, case).items() if name in case}


@pytest.mark.parametrize("file, case", rvc_golden.CASES)
def test_golden(file, case):
    voice, golden = rvc_golden.voice(rvc_golden.read(file)), rvc_golden.case(case)
    found = errors(voice, golden)
    assert len(found) == 5 + voice.acoustic.config.pitch + ("skip_head" in golden)
    assert max(found.values()) < BOUND, found


@pytest.mark.parametrize("file, case", EXACT)
def test_in_float64(file, case):
    """Upstream's phase drifts in float32; its own float64 shows that what remains above is that."""
    golden = rvc_golden.case(case)
    got = rvc_golden.exactly(rvc_golden.voice(rvc_golden.read(file)), golden)
    assert got["z"].dtype == got["audio"].dtype == torch.float64
    assert relative(got["har_source"], golden["har_exact"]) < 1e-6
    if "audio_exact" in golden:
        assert relative(got["audio"], golden["audio_exact"]) < 1e-6


@pytest.mark.parametrize("name", [f"{folder}/{file}" for folder, files in rvc_golden.VOICES.items() for file in files])
def test_the_reader_agrees(name):
    """What the compiler reads from a file is what is read here by hand."""
    checkpoint, parts = checkpoints.read(rvc_golden.FOLDER / name), rvc_golden.voice(rvc_golden.read(name))
    for found, part in zip((checkpoint, checkpoint.vocoder), parts):
        assert found.config == part.config
        torch.testing.assert_close(dict(found.tensors), dict(part.state_dict()), rtol=1e-6, atol=1e-6)


def test_full_size():
    """Real sizes: six layers, 192 channels, 512 in the generator; the recipe's draws are the same everywhere."""
    file, golden = rvc_golden.full_size("v2 40k f0"), rvc_golden.case(rvc_golden.FULL)
    with np.load(rvc_golden.FOLDER / f"{rvc_golden.FULL}.npz") as data:
        hashes = json.loads(str(data["hashes"]))
    for name, digest in hashes.items():
        assert hashlib.sha256(file["weight"][name].numpy().tobytes()).hexdigest()[:16] == digest, name
    found = errors(rvc_golden.voice(file), golden)
    assert {"m_p", "logs_p", "z", "har_source", "audio"} == set(found)
    assert max(found.values()) < BOUND, found


@pytest.mark.parametrize("group", GROUPS)
def test_each_weight_matters(group):
    """A group of weights larger by a tenth moves the audio a hundred times further than BOUND."""
    golden = rvc_golden.case("v2_40k/T13")
    parts = rvc_golden.voice(rvc_golden.read("v2_40k/v2_40k.pth"))
    names = [name for part in parts for name, weight in part.named_parameters() if group in f".{name}"]
    assert names
    for part in parts:
        for name, weight in part.named_parameters():
            if name in names:
                weight.mul_(1.1)
    assert relative(rvc_golden.run(parts, golden)["audio"], golden["audio"]) > 100 * BOUND


def test_each_rule_matters(monkeypatch):
    """Relative positions that point the other way, channels in file order, noise of another level: all are told."""
    golden, parts = rvc_golden.case("v2_40k/T13"), rvc_golden.voice(rvc_golden.read("v2_40k/v2_40k.pth"))

    def moved() -> float:
        return relative(rvc_golden.run(parts, golden)["audio"], golden["audio"])

    assert moved() < BOUND
    for rows in ("emb_rel_k", "emb_rel_v"):
        for attention in parts.acoustic.enc_p.encoder.attn_layers:
            getattr(attention, rows).copy_(getattr(attention, rows).flip(1))
        assert moved() > 100 * BOUND
        for attention in parts.acoustic.enc_p.encoder.attn_layers:
            getattr(attention, rows).copy_(getattr(attention, rows).flip(1))
    louder = replace(parts.acoustic.config, noise_scale=2 / 3 + 0.02)
    with monkeypatch.context() as patch:
        patch.setattr(parts.acoustic, "config", louder)
        assert moved() > 100 * BOUND
    with monkeypatch.context() as patch:
        patch.setattr(flow.Flip, "backwards", lambda self, x, speaker, valid=None: x)
        assert moved() > 100 * BOUND
    assert moved() < BOUND
