"""Upstream's acoustic formats without golden data: what is read, and the way through an engine."""

import formats
import numpy as np
import pytest
import torch
import yaml

from fastsvc import build, load
from fastsvc.checkpoints import read
from fastsvc.config import hubert_units
from fastsvc.errors import CheckpointError, ConfigError, EngineError
from fastsvc.model.modules import module

T = 23
BASES = {"comosvc": 0, "diffusion_svc": 1, "sovits": 0, "ddsp_svc": 1}
ALIGN = {"comosvc": "nearest", "diffusion_svc": "nearest", "sovits": "nearest", "ddsp_svc": "round"}
F0 = {"comosvc": "dio", "diffusion_svc": "crepe", "sovits": "yin", "ddsp_svc": "yin"}


def inputs(units: int, bins: int):
    generator = torch.Generator().manual_seed(1)
    return {
        "units": torch.randn(T, units, generator=generator),
        "f0_hz": torch.full((T,), 220.0),
        "volume": torch.full((T,), 0.1),
        "noise": [torch.randn(T, bins, generator=generator) for _ in range(5)],
    }


@pytest.mark.parametrize("name", formats.ACOUSTIC)
def test_read(tmp_path, name):
    checkpoint = read(formats.ACOUSTIC[name](tmp_path))
    config = checkpoint.config
    assert checkpoint.format == name and checkpoint.speaker_base == BASES[name] and checkpoint.step == 4000
    assert len(checkpoint.speakers) == config.condition.speakers == 3
    assert config.features.unit_align == ALIGN[name] and config.features.f0_method == F0[name]
    assert hubert_units(config.features.encoder) == ((256, 9) if name == "ddsp_svc" else (768, 12))
    assert config.condition.key_shift == (name != "ddsp_svc")
    if name == "comosvc":
        assert checkpoint.kind == "student" and config.ddpm is None and config.mel.log_base == "10"
    else:
        assert config.ddpm.timesteps == config.ddpm.trained_steps == 1000
        assert (config.ddpm.beta_low, config.ddpm.beta_high) == (1e-4, 0.02)
        assert (config.norm.low, config.norm.high) == ((-12.0,), (2.0,))
        assert (config.mel.rate_hz, config.mel.hop_samples, config.mel.bins, config.mel.log_base) == (
            44100,
            512,
            128,
            "e",
        )


@pytest.mark.parametrize("name", formats.ACOUSTIC)
def test_engine_equals_the_specification(tmp_path, name):
    """Read → build → engine, noise given, against the plain model with the file's own tensors."""
    path = formats.ACOUSTIC[name](tmp_path)
    checkpoint = read(path)
    out = build.compile(path, tmp_path / "e.fsvc", steps=(1, 4), progress=None)
    engine = load(out)
    config = checkpoint.config
    case = inputs(config.condition.unit_channels, config.mel.bins)
    model = module(checkpoint.kind, config)
    model.load_state_dict(checkpoint.tensors)
    cond = model.condition(case["units"][None], case["f0_hz"][None], case["volume"][None], torch.tensor([2]))
    for steps in (1, 4):
        noise = case["noise"]
        want = model.sample(cond, steps, lambda step, noise=noise: noise[step][None])[0]
        speaker = BASES[name] + 2
        got = engine.synthesise(case["units"], case["f0_hz"], case["volume"], speaker, steps, noise)[1]
        assert float((got - want).abs().max() / want.abs().max()) < 1e-5


@pytest.mark.parametrize("method", ["ddim", "unipc"])
def test_other_samplers(tmp_path, method):
    path = formats.diffusion_svc(tmp_path)
    engine = load(build.compile(path, tmp_path / "e.fsvc", steps=(4,), sampler=method, progress=None))
    checkpoint = read(path)
    case = inputs(12, 128)
    model = module("teacher", checkpoint.config)
    model.load_state_dict(checkpoint.tensors)
    cond = model.condition(case["units"][None], case["f0_hz"][None], case["volume"][None], torch.tensor([0]))
    want = model.sample(cond, 4, lambda step: case["noise"][step][None], method)[0]
    got = engine.synthesise(case["units"], case["f0_hz"], case["volume"], 1, noise=case["noise"])[1]
    assert float((got - want).abs().max() / want.abs().max()) < 1e-5
    with pytest.raises(ConfigError, match="consistency"):
        build.compile(path, tmp_path / "no.fsvc", sampler="consistency", progress=None)


def test_shallow_diffusion_refines_a_given_mel(tmp_path):
    path = formats.sovits(tmp_path, k_step_max=100)
    checkpoint = read(path)
    assert checkpoint.config.ddpm.trained_steps == 100 and "shallow" in " ".join(checkpoint.notes)
    for depth in (None, 101):
        with pytest.raises((CheckpointError, ConfigError), match="depth"):
            build.compile(path, tmp_path / "no.fsvc", depth=depth, progress=None)
    engine = load(build.compile(path, tmp_path / "e.fsvc", steps=(5,), depth=100, progress=None))
    case = inputs(12, 128)
    mel = torch.randn(T, 128) - 5
    arguments = case["units"], case["f0_hz"], case["volume"], "singer 1"
    got = engine.synthesise(*arguments, noise=case["noise"], mel=mel)[1]
    model = module("teacher", checkpoint.config)
    model.load_state_dict(checkpoint.tensors)
    cond = model.condition(case["units"][None], case["f0_hz"][None], case["volume"][None], torch.tensor([1]))
    want = model.sample(cond, 5, lambda step: case["noise"][step][None], mel=mel[None], depth=100)[0]
    assert float((got - want).abs().max() / want.abs().max()) < 1e-5
    with pytest.raises(ConfigError, match="mel"):
        engine.synthesise(*arguments)
    with pytest.raises(ConfigError, match="shape"):
        engine.synthesise(*arguments, mel=mel[1:])
    with pytest.raises(EngineError):
        engine.convert(np.zeros(1000, np.float32), 44100, 0)


def test_combo_file(tmp_path):
    checkpoint = read(formats.diffusion_svc(tmp_path, combo=True))
    assert checkpoint.format == "diffusion_svc" and "omitted" in checkpoint.notes[0]
    plain = read(formats.diffusion_svc(tmp_path / "b"))
    assert checkpoint.config == plain.config and checkpoint.tensors.keys() == plain.tensors.keys()
    with pytest.raises(CheckpointError, match="its own configuration"):
        read(tmp_path / "combo.ptc", tmp_path / "b" / "config.yaml")


@pytest.mark.parametrize("count", [1, 3])
def test_speaker_embeddings_become_a_table(tmp_path, count):
    """The fork's linear map of an embedding, folded: the same condition as the map itself gives."""
    path = formats.comosvc_fork(tmp_path)
    unready = read(path)
    assert "--speaker-vectors" in unready.missing[0]
    with pytest.raises(CheckpointError, match="--speaker-vectors"):
        build.compile(path, tmp_path / "no.fsvc", progress=None)
    vectors = {f"s{i}": np.random.default_rng(i).standard_normal(256).astype(np.float32) for i in range(count)}
    np.savez(tmp_path / "v.npz", **vectors)
    checkpoint = read(path, speaker_vectors=tmp_path / "v.npz")
    assert checkpoint.speakers == tuple(vectors) and not checkpoint.missing
    assert checkpoint.config.features.unit_channels == 256 and not checkpoint.config.condition.key_shift
    raw = torch.load(path, weights_only=True)["model"]
    model = module("teacher", checkpoint.config)
    model.load_state_dict(checkpoint.tensors)
    units = torch.randn(1, 2, 256)
    got = model.condition(units, torch.zeros(1, 2), torch.zeros(1, 2), torch.tensor([count - 1]))
    vector = torch.from_numpy(vectors[f"s{count - 1}"])
    want = units @ raw["unit_embed.weight"].T + raw["unit_embed.bias"] + raw["f0_embed.bias"]
    want = want + raw["volume_embed.bias"] + raw["spk_embed.weight"] @ vector + raw["spk_embed.bias"]
    torch.testing.assert_close(got, want, rtol=1e-5, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["comosvc", "diffusion_svc"])
@pytest.mark.long
def test_full_size(tmp_path, name):
    """512 × 20: documented numbers of keys and parameters; copies that sampling does not use are not built in."""
    path = formats.ACOUSTIC[name](tmp_path, formats.FULL)
    state = torch.load(path, weights_only=True, mmap=True)["model"]
    network = {key: value for key, value in state.items() if key.startswith("decoder.denoise_fn.")}
    assert len(network) == 170
    assert sum(v.numel() for v in network.values()) == (54_945_360 if name == "comosvc" else 54_994_560)
    checkpoint = read(path)
    assert checkpoint.parameters - sum(v.numel() for v in network.values()) < 300_000
    out = build.compile(path, tmp_path / "e.fsvc", steps=(1,), precision="fp16", progress=None)
    weights = (out / "weights.safetensors").stat().st_size
    assert weights < 2 * checkpoint.parameters < path.stat().st_size
    engine = load(out)
    frames, config = 7, checkpoint.config
    units = torch.randn(frames, config.condition.unit_channels)
    mel = engine.synthesise(units, torch.full((frames,), 200.0), torch.zeros(frames), checkpoint.speaker_base)[1]
    assert mel.shape == (frames, config.mel.bins) and bool(torch.isfinite(mel).all())


def test_projects_are_told_apart_by_their_configuration(tmp_path):
    """DDSP-SVC 3 has key shifts too, since its template says so: only Diffusion-SVC's YAML names these two keys."""
    path = formats.diffusion_svc(tmp_path)
    config = yaml.safe_load((tmp_path / "config.yaml").read_text())
    told = {}
    for keys in ((), ("units_forced_mode",), ("k_step_max",), ("units_forced_mode", "k_step_max")):
        parts = {"data": dict(config["data"]), "model": dict(config["model"])}
        for key in {"units_forced_mode", "k_step_max"} - set(keys):
            parts["data"].pop(key, None), parts["model"].pop(key, None)
        (tmp_path / "config.yaml").write_text(yaml.safe_dump(parts))
        checkpoint = read(path)
        told[keys] = checkpoint.format
        assert checkpoint.config.condition.key_shift and checkpoint.speaker_base == 1
        assert checkpoint.config.features.unit_align == ("nearest" if "units_forced_mode" in keys else "round")
    assert told.pop(()) == "ddsp_svc" and set(told.values()) == {"diffusion_svc"}
