"""Voices of DDSP-SVC 6 as engines: the lowered form against upstream and the specification, cutting, conversion."""

from dataclasses import replace

import ddsp_golden
import huberts
import numpy as np
import openvpi
import pytest
import torch
import yaml

import fastsvc
from fastsvc import build
from fastsvc.artifact.manifest import Sampling
from fastsvc.build.passes import fold, rvc
from fastsvc.commands.inspect import describe
from fastsvc.config import VocoderConfig
from fastsvc.config.ddsp import DdspConfig
from fastsvc.engine.cpu.ddsp import DdspSampler
from fastsvc.engine.cpu.sampler import Features, SeededNoise, noise_from
from fastsvc.errors import ConfigError, EngineError
from fastsvc.model import weight_norm
from fastsvc.model.ddsp import flow
from fastsvc.model.modules import module

HOP = ddsp_golden.SMALL_MEL.hop_samples
OLDER = replace(ddsp_golden.SMALL, version="6.0", hidden_layers=3)
NSF = VocoderConfig(
    family="openvpi",
    mel=ddsp_golden.SMALL_MEL,
    initial_channels=16,
    upsample_rates=(8, 4, 2),
    upsample_kernels=(16, 8, 4),
    resblock_kernels=(3,),
    resblock_dilations=((1, 3),),
)


def sampler(state: dict, config: DdspConfig, method: str = "euler", steps=(1, 3, 4)) -> DdspSampler:
    """As an engine has it, without its folder."""
    rows = {n: flow.levels(config.t_start, n) for n in steps}
    levels = sorted({level for row in rows.values() for level in flow.evaluated(method, row)}, reverse=True)
    tensors = rvc.lower(fold.fold({name: w.double() for name, w in state.items()}, config, levels))
    return DdspSampler(tensors, config, Sampling(method, rows, levels))


def older_state() -> dict:
    state, built = weight_norm.fold(ddsp_golden.small_6_0()), module("ddsp", OLDER)
    return {name: state[name] for name in built.state_dict()}


@pytest.fixture(scope="module")
def newer():
    return sampler(ddsp_golden.model("small_6.1").state_dict(), ddsp_golden.SMALL)


def of_case(golden) -> tuple[Features, object, object]:
    """(features, the flow's noise, the synthesiser's)."""
    frames, source = golden["f0"].shape[1], golden["noise_source"][0]
    features = Features(
        golden["units"][0], torch.arange(frames), golden["f0"][0], golden["f0"][0] > 0, golden["volume"][0]
    )
    return features, noise_from([golden["noise_reflow"][0]]), lambda a, b: source[a * HOP : b * HOP]


@pytest.mark.parametrize("block", [None, 7])
def test_golden(newer, block):
    rk4 = sampler(ddsp_golden.model("small_6.1").state_dict(), ddsp_golden.SMALL, "rk4")
    for name in ddsp_golden.SMALL_CASES:
        golden = ddsp_golden.case("small_6.1", name)
        features, noise, source = of_case(golden)
        shift = float(golden["aug_shift"]) if "aug_shift" in golden else 0.0
        voice = newer.condition.speaker(ddsp_golden.mixture(golden), shift)
        first = newer.first_mel(features, voice, noise, source)
        found = torch.cat([rows for _, _, rows in first.blocks(block)])
        assert float((found - golden["ddsp_mel"][0]).abs().max()) < 2e-3
        for one, steps, array in ((newer, 1, "mel_euler1"), (newer, 4, "mel_euler4"), (rk4, 3, "mel_rk4_3")):
            mel = one.refined(golden["ddsp_mel"][0], steps, noise, block)
            assert float((mel - golden[array][0]).abs().max()) < 4e-5
        for time in (0.7,):
            v = newer.velocity(golden["v_x"][0], newer.schedules[1][0], golden["ddsp_mel"][0])
            assert float((v - golden[f"v_t{time}"][0]).abs().max()) < 1e-5


def song(frames: int) -> Features:
    """Notes that glide, units and loudness without meaning."""
    generator = torch.Generator().manual_seed(0)
    time = torch.arange(frames)
    f0_hz = 220 * 2 ** (torch.sin(time / 97) + 0.02 * torch.sin(time / 5))
    units = torch.randn(frames // 2 + 1, 24, generator=generator)
    return Features(units, time // 2, f0_hz, f0_hz > 0, 0.1 + 0.05 * torch.sin(time / 31))


@pytest.mark.parametrize("frames", [1, 2, 5, 300])
@pytest.mark.parametrize("version", ["6.0", "6.1"])
def test_the_specification_gives_the_same(newer, version, frames):
    """Short recordings, whose ends are continued with zeros, and both versions."""
    state = older_state() if version == "6.0" else ddsp_golden.model("small_6.1").state_dict()
    config = OLDER if version == "6.0" else ddsp_golden.SMALL
    one, model = (sampler(state, config) if version == "6.0" else newer), module("ddsp", config)
    model.load_state_dict(state)
    features, noise = song(frames), SeededNoise(3, 16)
    source = torch.randn(frames * HOP, generator=torch.Generator().manual_seed(1))
    voice = one.condition.speaker({1: 1.0}, 2.0)
    mel = one(features, voice, 3, noise, block=64, source_noise=lambda a, b: source[a * HOP : b * HOP])
    units = features.units[features.unit_indices]
    told = units[None], features.f0_hz[None], features.volume[None], torch.tensor([1]), source[None]
    with torch.no_grad():
        first = model.eval().first_mel(*told, torch.tensor([2.0]))
        exact = model.refine(first, noise(0, 0, frames)[None], 3)[0]
    assert float((mel - exact).abs().max()) < 1e-4 * float(exact.abs().max())


@pytest.mark.slow
@pytest.mark.parametrize("version", ["6.0", "6.1"])
@pytest.mark.sampled(2)
def test_a_minute_cut_is_the_minute_whole(newer, version):
    one, frames = (sampler(older_state(), OLDER) if version == "6.0" else newer), 60 * 44100 // HOP
    features, voice, noise = song(frames), one.condition.speaker({0: 0.3, 2: 0.7}), SeededNoise(1, 16)
    whole = one.first_mel(features, voice, noise).blocks(frames)
    whole = torch.cat([rows for _, _, rows in whole])
    cut = torch.cat([rows for _, _, rows in one.first_mel(features, voice, noise).blocks(3001)])
    peak = float(whole.abs().max())
    assert float((cut - whole).abs().max()) < 1e-4 * peak
    mels = [one.refined(whole, 1, noise, block) for block in (frames, 2003)]
    assert float((mels[0] - mels[1]).abs().max()) < 1e-4 * float(mels[0].abs().max())


def test_attention_is_folded(newer):
    config = replace(ddsp_golden.SMALL, norm=True, attention=True)
    torch.manual_seed(4)
    model = module("ddsp", config).eval()
    one, features = sampler(model.state_dict(), config), song(40)
    source = torch.randn(40 * HOP)
    first = one.first_mel(
        features, one.condition.speaker({0: 1.0}), SeededNoise(0, 16), lambda a, b: source[a * HOP : b * HOP]
    )
    units = features.units[features.unit_indices]
    told = units[None], features.f0_hz[None], features.volume[None], torch.tensor([0]), source[None]
    with torch.no_grad():
        exact = model.first_mel(*told)[0]
    assert float((next(first.blocks())[2] - exact).abs().max()) < 1e-4


def voice(folder, **options):
    """An engine out of files as upstream and openvpi leave them, with a tiny HuBERT."""
    path = ddsp_golden.write(folder / "exp")
    settings = path.with_name("config.yaml")
    values = yaml.safe_load(settings.read_text())
    values["data"]["encoder"] = "contentvec24l3"
    settings.write_text(yaml.safe_dump(values))
    content = huberts.huggingface(folder / "hub", replace(huberts.TINY, projection=24))
    vocoder = openvpi.small(folder / "nsf", NSF).parent
    options = {"steps": (2, 3), "vocoder": vocoder, "content": content, "progress": None, **options}
    return build.compile(path, folder / "voice.fsvc", **options)


def test_a_recording_is_converted(tmp_path):
    path = voice(tmp_path)
    engine = fastsvc.load(path)
    samples = 9001  # neither whole frames nor whole units
    audio = (0.1 * np.sin(2 * np.pi * 200 * np.arange(samples) / 32000)).astype(np.float32)
    assert engine.steps == (2, 3) and engine.table.base == 1
    made = {}
    for key, speaker, options in (
        ("id", 1, {"steps": 2}),
        ("name", "speaker 1", {"steps": 2}),
        ("mixture", {1: 0.7, "speaker 3": 0.3}, {"steps": 2}),
        ("steps", 1, {"steps": 3}),
        ("formant", 1, {"steps": 2, "formant": 3.0}),
        ("calm", 1, {"steps": 2, "noise_scale": 0.0}),
    ):
        made[key], rate_hz = engine.convert(audio, 32000, speaker, f0_method="yin", **options)
        assert rate_hz == 32000 and made[key].shape == (samples,) and np.isfinite(made[key]).all() and made[key].any()
    assert np.array_equal(made["id"], made["name"])
    assert not any(np.array_equal(made["id"], made[key]) for key in ("mixture", "steps", "formant", "calm"))
    text = describe(path)
    assert "DDSP-SVC 6.1" in text and "euler, steps 2, 3" in text and "ids from 1" in text
    with pytest.raises(EngineError, match="streams and live conversion do not work"):
        engine.stream(1, 32000)
    with pytest.raises(EngineError, match="5 steps are not built in"):
        engine.convert(audio, 32000, 1, steps=5)


def test_options_that_do_not_apply_are_refused(tmp_path):
    path = ddsp_golden.write(tmp_path / "exp")
    for options, part in (
        ({"depth": 100}, "--depth does not apply"),
        ({"precision": "bf16"}, "bfloat16|AMX"),
        ({"sampler": "unipc"}, "auto or one of euler, rk4"),
    ):
        with pytest.raises(ConfigError, match=part):
            build.compile(path, tmp_path / "x.fsvc", progress=None, **options)


def test_half_precision_and_rk4(tmp_path):
    path = build.compile(
        ddsp_golden.write(tmp_path / "exp"),
        tmp_path / "x.fsvc",
        progress=None,
        precision="fp16",
        sampler="rk4",
        steps=(2,),
    )
    engine = fastsvc.load(path)
    audio, mel = engine.synthesise(np.zeros((9, 24), np.float32), np.full(9, 200.0), np.full(9, 0.1), 2)
    assert audio is None and mel.shape == (9, 16) and torch.isfinite(mel).all()
