"""A description of a checkpoint file: kind, era, sizes, schedule, speakers, and files missing to build it."""

from __future__ import annotations

from pathlib import Path

from fastsvc import screen
from fastsvc.commands import inspect_ddsp, inspect_rvc
from fastsvc.commands.inspect_lines import condition, features, generator, mel, network, speakers, units
from fastsvc.config import CONTENT_CONFIGS, AcousticConfig, DdspConfig, hubert_units

PROJECTS = {
    "fastsvc": "fastsvc",
    "comosvc": "CoMoSVC",
    "diffusion_svc": "Diffusion-SVC v1",
    "sovits": "so-vits-svc 4.1 (shallow diffusion)",
    "ddsp_svc": "DDSP-SVC 3",
    "ddsp_svc6": "DDSP-SVC 6",
    "amphion": "Amphion DiffComoSVC",
    "rvc": "RVC",
    "m4gan": "M4Singer HiFi-GAN",
    "nsf_hifigan": "openvpi NSF-HiFi-GAN",
    "fairseq": "fairseq",
    "huggingface": "HuggingFace",
}


def describe(path: Path) -> str:
    """Text about the file. Raises CheckpointError if its format is unknown, or it is damaged."""
    from fastsvc.checkpoints import read
    from fastsvc.checkpoints.checkpoint import KIND_NAMES

    checkpoint = read(path, inspect_only=True)
    size = checkpoint.path.stat().st_size / 1e6
    parameters = checkpoint.parameters + (checkpoint.vocoder.parameters if checkpoint.vocoder else 0)
    lines = [
        f"{checkpoint.path}: {PROJECTS.get(checkpoint.format, checkpoint.format)} checkpoint,"
        f" {'voice' if checkpoint.kind in KIND_NAMES else checkpoint.kind},"
        f" step {checkpoint.step}, {parameters / 1e6:.2f} M parameters to build, {size:.1f} MB"
    ]
    lines += [f"  weights      {checkpoint.weights}"] * bool(checkpoint.weights)
    lines += [f"  note         {note}" for note in checkpoint.notes]
    if checkpoint.kind == "rvc":
        lines += inspect_rvc.checkpoint(checkpoint)
    elif checkpoint.acoustic:
        lines += _acoustic(checkpoint)
    elif checkpoint.kind == "vocoder":
        config = checkpoint.config
        lines.append(mel(config.mel))
        lines.append(generator(config))
    elif checkpoint.kind in CONTENT_CONFIGS:
        lines.append(units(checkpoint.config))
    return "\n".join(map(screen.shown, lines))  # names and notes come from strangers' files


def _acoustic(checkpoint) -> list[str]:
    config = checkpoint.config
    missing = checkpoint.missing
    return [
        *(inspect_ddsp.network(config) if isinstance(config, DdspConfig) else _diffusion(config)),
        *speakers(checkpoint.speakers, checkpoint.speaker_base, checkpoint.speaker_f0_hz),
        *(f"  missing      {text}" for text in missing),
        f"  to build     {_parts(config)}",
    ]


def _diffusion(config: AcousticConfig) -> list[str]:
    return [
        network(config.denoiser),
        condition(config),
        mel(config.mel),
        _schedule(config),
        _range(config.norm),
        features(config.features),
    ]


def _schedule(config) -> str:
    chain, edm = config.ddpm, config.edm
    if chain is None:
        trained = " | ".join(", ".join(f"{level:g}" for level in levels) for levels in edm.few_steps)
        few = f", trained at the levels {trained}" if trained else ""
        return f"  diffusion    EDM, sigma {edm.sigma_min:g} … {edm.sigma_max:g}, sigma_data {edm.sigma_data:g}{few}"
    depth = "" if chain.trained_steps == chain.timesteps else f", of which {chain.trained_steps} are trained (--depth)"
    return f"  diffusion    DDPM, {chain.timesteps} places, beta {chain.beta_low:g} … {chain.beta_high:g}{depth}"


def _range(norm) -> str:
    if (norm.low, norm.high) == ((-1.0,), (1.0,)):
        return "  range        mel as it is"
    return f"  range        mel from {min(norm.low):g} … {max(norm.high):g}" + (" by bin" if len(norm.low) > 1 else "")


def _parts(config) -> str:
    vocoder = f"--vocoder PATH ({config.mel.rate_hz} Hz, hop {config.mel.hop_samples}, {config.mel.bins} bins)"
    if config.foreign_encoders:
        return vocoder
    encoder = config.features.encoder
    if encoder != "recogniser" and hubert_units(encoder) is None:
        return f"{vocoder}; {encoder} is not served as a content encoder, so the engine takes units"
    which = "the recogniser" if encoder == "recogniser" else f"the ContentVec or HuBERT that gave its {encoder}"
    return f"{vocoder} and --content PATH ({which})"
