"""Checkpoints that predict noise on a DDPM chain with CoMoSVC's network: Diffusion-SVC v1 (CNChTu), so-vits-svc 4.1's
shallow diffusion (svc-develop-team) and DDSP-SVC 3 (yxlllc).

`model_<step>.pt` with `config.yaml` beside it, or Diffusion-SVC's `.ptc`, which carries both. All three have the same
keys; the YAML tells them apart, and with them the base of the speaker ids and the way units reach the frames.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from fastsvc.checkpoints.checkpoint import Checkpoint
from fastsvc.checkpoints.files.yaml_file import YamlFile
from fastsvc.checkpoints.read_options import ReadOptions
from fastsvc.checkpoints.readers import unit2mel
from fastsvc.config import AcousticConfig, DdpmConfig, FeatureConfig, MelConfig, NormConfig
from fastsvc.errors import CheckpointError, ConfigError
from fastsvc.model.keys import fit
from fastsvc.reading.loading import count, state_dict

USED_OPTIONS = ("speaker_vectors",)  # fields of ReadOptions
BETAS, LOW, HIGH = "decoder.betas", "decoder.spec_min", "decoder.spec_max"
DERIVED = {  # buffers computed from the betas
    f"decoder.{name}"
    for name in (
        "alphas_cumprod",
        "alphas_cumprod_prev",
        "sqrt_alphas_cumprod",
        "sqrt_one_minus_alphas_cumprod",
        "log_one_minus_alphas_cumprod",
        "sqrt_recip_alphas_cumprod",
        "sqrt_recipm1_alphas_cumprod",
        "posterior_variance",
        "posterior_log_variance_clipped",
        "posterior_mean_coef1",
        "posterior_mean_coef2",
    )
}
FORCED = {"left": "round"}  # Diffusion-SVC's "left" rounds (features/align.py)
F0_METHODS = {"crepe", "dio", "fcpe", "harvest", "rmvpe"}  # upstream's methods that fastsvc has too


def recognises(content: dict) -> bool:
    """A `.pt` with the chain's buffers, or a `.ptc` whose diffusion model has them."""
    model = content.get("model")
    if isinstance(content.get("diff_model"), dict):
        model = content["diff_model"].get("model")
    return isinstance(model, dict) and unit2mel.has_network(model) and has_chain(model)


def has_chain(model: dict) -> bool:
    """Whether a state dict holds buffers of a DDPM chain."""
    return BETAS in model or bool(DERIVED & model.keys())


def read(content: dict, path: Path, options: ReadOptions) -> Checkpoint:
    notes, missing_files = (), ()
    if "diff_model" in content:
        if options.config is not None:
            raise CheckpointError(f"{path} carries its own configuration", "omit --config")
        yaml = YamlFile.of(content.get("diff_config_dict"), path)
        content = content["diff_model"]
        state = state_dict(content, "model", path)
        notes = ("from a .ptc; its second network, which makes a first mel, is omitted",)
    else:
        state = state_dict(content, "model", path)
        yaml, missing_files = unit2mel.configuration(path, options, state, sampling_rate=44100, block_size=512)
    chain = {name: state[name] for name in (BETAS, LOW, HIGH) if name in state}
    weight = state.get(unit2mel.NETWORK + "input_projection.weight")
    for name, value, axes in ((BETAS, chain.get(BETAS), 1), (unit2mel.NETWORK + "input_projection.weight", weight, 3)):
        if value is None or value.dim() != axes:
            fault = "missing" if value is None else f"of shape {tuple(value.shape)}"
            raise CheckpointError(
                f"{path} does not fit its configuration: {name} is {fault}", "download the checkpoint again"
            )
    dropped = {*chain, *DERIVED}
    tensors = {unit2mel.model_name(name): value for name, value in state.items() if name not in dropped}
    layers = unit2mel.layers(yaml, tensors)
    project, base = _project(yaml)
    names, missing = None, ()
    if unit2mel.takes_vectors(tensors, yaml):
        tensors, names, missing = unit2mel.with_vectors(tensors, options.speaker_vectors, path)
    elif options.speaker_vectors is not None:
        raise CheckpointError(f"{path} takes speaker ids, not vectors", "omit --speaker-vectors")
    try:
        config, note = _config(yaml, tensors, chain, layers, project, path)
        if names is not None:
            config = replace(config, condition=replace(config.condition, speakers=len(names)))
    except ConfigError as error:
        raise CheckpointError(f"{yaml.path}: {error.message}", error.remedy) from None
    from fastsvc.model.acoustic import AcousticModel

    return Checkpoint(
        path=path,
        format=project,
        kind="teacher",
        config=config,
        tensors=fit(tensors, lambda: AcousticModel(config), path, unit2mel.file_name),
        speakers=names or unit2mel.speaker_names(yaml, config.condition.speakers, base),
        speaker_base=base,
        step=count(content, "global_step"),
        notes=notes + note,
        missing=missing_files + missing,
        mel_fields=("rate_hz", "hop_samples", "bins"),
    )


def _project(yaml: YamlFile) -> tuple[str, int]:
    """(which project wrote the file, the base of its speaker ids)."""
    data = yaml.get("data", dict)
    if "spk" in yaml.values or "training_files" in data:
        return "sovits", 0
    is_diffusion_svc = "units_forced_mode" in data or "k_step_max" in yaml.get(
        "model", dict
    )  # keys that DDSP-SVC 3 never had
    return ("diffusion_svc" if is_diffusion_svc else "ddsp_svc"), 1


def _config(yaml, tensors, chain, layers: int, project: str, path: Path) -> tuple[AcousticConfig, tuple[str, ...]]:
    bins = tensors["denoiser.input_projection.weight"].shape[1]
    features, notes = _features(yaml, project)
    ddpm, note = _chain(yaml, chain[BETAS], path)
    config = AcousticConfig(
        mel=_mel(yaml, bins),
        features=features,
        condition=unit2mel.condition(yaml, key_shift="condition.aug_shift_embed.weight" in tensors),
        denoiser=unit2mel.denoiser(yaml, layers, bins),
        norm=NormConfig(_bound(chain, LOW, -12.0, bins, path), _bound(chain, HIGH, 2.0, bins, path)),
        ddpm=ddpm,
    )
    return config, notes + note


def _mel(yaml: YamlFile, bins: int) -> MelConfig:
    """Rate and hop from the file, the rest from openvpi's recipe for 44.1 kHz, unless the vocoder differs."""
    rate_hz, hop = yaml.get("data.sampling_rate", int), yaml.get("data.block_size", int)
    window = max(2048, hop)
    log_base = "10" if yaml.get("vocoder.type", str, "nsf-hifigan").endswith("log10") else "e"
    return MelConfig(rate_hz, hop, window, window, bins, 40.0, min(16000.0, rate_hz / 2), log_base)


def _features(yaml: YamlFile, project: str) -> tuple[FeatureConfig, tuple[str, ...]]:
    method, notes = yaml.get("data.f0_extractor", str, ""), ()
    if method not in F0_METHODS:
        notes = (f"trained on f0 by {method or 'a method that the file does not name'}; yin finds f0 instead",)
        method = "yin"
    forced = yaml.get("data.units_forced_mode", str, "left")
    align = {
        "sovits": yaml.get("data.unit_interpolate_mode", str, "left"),
        "diffusion_svc": FORCED.get(forced, forced),
        "ddsp_svc": "round",
    }[project]
    channels = yaml.get("data.encoder_out_channels", int)
    low_hz, high_hz = (50.0, 1100.0) if project == "sovits" else (65.0, 800.0)
    features = FeatureConfig(
        encoder=yaml.get("data.encoder", str),
        unit_channels=channels,
        unit_align=align,
        f0_method=method,
        f0_style="comosvc" if project == "sovits" else "diffusion_svc",
        f0_low_hz=yaml.get("data.f0_min", float, low_hz),
        f0_high_hz=yaml.get("data.f0_max", float, high_hz),
    )
    return features, notes


def _chain(yaml: YamlFile, betas: Tensor, path: Path) -> tuple[DdpmConfig, tuple[str, ...]]:
    """The schedule from its betas, which must rise linearly, and a note on how much of it was trained."""
    count = betas.numel()
    if count < 2 or not betas.is_floating_point():
        raise CheckpointError(
            f"{path}: {BETAS} is {betas.dtype} of shape {tuple(betas.shape)}", "download the checkpoint again"
        )
    low, high = float(betas[0]), float(betas[-1])
    if not 0 < low <= high < 1:
        raise CheckpointError(f"{path}: {BETAS} runs from {low:g} to {high:g}", "download the checkpoint again")
    line = torch.linspace(low, high, count, dtype=torch.float64)
    if not bool(((betas.double() - line).abs() <= 1e-5 * abs(high)).all()):
        raise CheckpointError(f"{path}: {BETAS} does not rise linearly", "use a checkpoint with a linear schedule")
    low, high = (float(f"{beta:.6g}") for beta in (low, high))  # float32's 0.0200000009 is 0.02
    deepest = yaml.get("model.k_step_max", int, 0)
    trained = deepest if 0 < deepest < count else count
    note = (
        ()
        if trained == count
        else (f"trained for shallow diffusion: refines the mel of another network, depth up to {trained}",)
    )
    return DdpmConfig(count, low, high, trained), note


def _bound(chain: dict[str, Tensor], name: str, default: float, bins: int, path: Path) -> tuple[float, ...]:
    value = chain.get(name)
    if value is None:
        return (default,)
    if value.numel() not in (1, bins):
        raise CheckpointError(
            f"{path}: {name} has shape {tuple(value.shape)} for {bins} mel bins", "download the checkpoint again"
        )
    return tuple(float(v) for v in value.double().flatten())
