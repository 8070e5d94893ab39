"""Passes 1 and 2: read the checkpoints; check that they belong together and fix the schedules."""

from __future__ import annotations

import dataclasses

import torch

from fastsvc.build.part import read_part
from fastsvc.build.plan import Plan
from fastsvc.checkpoints import Checkpoint, read
from fastsvc.checkpoints.checkpoint import ACOUSTIC_KINDS
from fastsvc.checkpoints.native import module
from fastsvc.config import AcousticConfig, FeatureConfig, hubert_units
from fastsvc.engine import cpu_bf16
from fastsvc.errors import CheckpointError, ConfigError
from fastsvc.model import schedule

PRECISIONS = ("auto", "fp32", "fp16", "bf16")
MAX_STEPS = 1000


def read_pass(plan: Plan) -> None:
    """Files → checkpoints of the right kinds."""
    plan.acoustic = read(plan.checkpoint, plan.config).require(ACOUSTIC_KINDS, "an acoustic model (teacher, student)")
    if plan.vocoder_path is not None:
        plan.vocoder = read_part(plan.vocoder_path, "vocoder", "a vocoder")
    if plan.content_path is not None:
        plan.content = read_part(plan.content_path, "content", "a content encoder")


def check_pass(plan: Plan) -> None:
    """Options and configurations agree with each other, or a line says which do not."""
    _check_options(plan)
    plan.precision = "fp32" if plan.precision == "auto" else plan.precision
    plan.acoustic_config = _with_mel_of_vocoder(plan)
    if plan.content is not None:
        plan.content = _fitting_content(plan.acoustic_config.features, plan.content)
    # A teacher follows the probability flow; students and their like jump to the end and noise again.
    plan.sampler = "euler" if plan.acoustic.kind == "teacher" else "consistency"
    edm = plan.acoustic_config.edm
    make = schedule.euler_sigmas if plan.sampler == "euler" else schedule.consistency_sigmas
    plan.schedules = {count: [float(s) for s in make(edm, count)] for count in sorted(set(plan.steps))}
    plan.levels = sorted({s for levels in plan.schedules.values() for s in levels if s > 0}, reverse=True)


def _check_options(plan: Plan) -> None:
    if plan.target not in ("auto", "cpu"):
        raise ConfigError(
            f"target {plan.target!r} cannot be built: this version makes the portable part, which runs on any CPU",
            "use --target auto or cpu",
        )
    if plan.precision == "bf16" and not cpu_bf16.supported():
        raise ConfigError("precision bf16 needs a processor with AMX or AVX-512 BF16", "use fp32 or fp16")
    if plan.precision not in PRECISIONS:
        raise ConfigError(f"unknown precision {plan.precision!r}", f"use one of {', '.join(PRECISIONS)}")
    if not plan.steps or any(not 1 <= int(count) <= MAX_STEPS for count in plan.steps):
        raise ConfigError(f"steps {tuple(plan.steps)} make no schedule", f"give numbers from 1 to {MAX_STEPS}")


def _with_mel_of_vocoder(plan: Plan) -> AcousticConfig:
    """Upstream keeps the mel recipe with the vocoder; our own checkpoints carry it, and it must be the same."""
    config, vocoder = plan.acoustic.config, plan.vocoder
    if vocoder is None or vocoder.config.mel == config.mel:
        return config
    ours, theirs = config.mel, vocoder.config.mel
    fields = [f.name for f in dataclasses.fields(ours) if getattr(ours, f.name) != getattr(theirs, f.name)]
    shared = ("rate_hz", "hop_samples", "bins", "log_base")
    unlike = fields if plan.acoustic.format == "fastsvc" else [name for name in fields if name in shared]
    if unlike:
        pairs = ", ".join(f"{name} {getattr(ours, name)} and {getattr(theirs, name)}" for name in unlike)
        raise CheckpointError(
            f"{plan.acoustic.path} and {vocoder.path} work on different mels: {pairs}",
            "give the vocoder that the acoustic model was trained for",
        )
    return dataclasses.replace(config, mel=theirs)


def _fitting_content(spec: FeatureConfig, content: Checkpoint) -> Checkpoint:
    """The content encoder whose units the acoustic model was trained on, with no layer more than it needs."""
    hubert = hubert_units(spec.encoder) is not None
    if hubert != (content.kind == "hubert") or not (hubert or spec.encoder == "recogniser"):
        raise CheckpointError(
            f"{content.path} is a {content.kind}, but the acoustic model was trained on {spec.encoder}",
            "give HuBERT or ContentVec with --content"
            if hubert
            else "leave --content away: an engine without content encoder takes units",
        )
    if hubert:
        try:
            config = content.config.cut(spec.encoder)
        except ConfigError as error:
            raise CheckpointError(f"{content.path}: {error.message}", error.remedy) from None
        with torch.device("meta"):
            names = module("hubert", config).state_dict()
        content = dataclasses.replace(content, config=config, tensors={name: content.tensors[name] for name in names})
    channels = content.config.unit_channels
    if channels != spec.unit_channels:
        raise CheckpointError(
            f"{content.path} gives {channels} unit channels, the acoustic model takes {spec.unit_channels}",
            "give the content encoder that the corpus was prepared with",
        )
    return content
