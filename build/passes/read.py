"""Passes 1 and 2: read the checkpoints; check that they fit each other and choose the schedules."""

from __future__ import annotations

import dataclasses

from fastsvc.build.part import read_part
from fastsvc.build.passes import ddsp_checks, index, rvc_checks, speaker_f0
from fastsvc.build.passes.mels import mel_for_both
from fastsvc.build.passes.target import architectures
from fastsvc.build.plan import BuildPlan, CheckedPlan, ReadPlan
from fastsvc.checkpoints import Checkpoint, read
from fastsvc.checkpoints.checkpoint import ACOUSTIC_KINDS
from fastsvc.config import (
    AcousticConfig,
    AnyAcousticConfig,
    DdspConfig,
    FeatureConfig,
    RvcConfig,
    SourceFilterConfig,
    hubert_units,
)
from fastsvc.config.reach import is_short
from fastsvc.config.source_filter import INSTEAD_OF_TRITON, NOT_BY_TRITON
from fastsvc.engine.cpu import denoiser_bf16
from fastsvc.errors import CheckpointError, ConfigError
from fastsvc.model import sampler, schedule
from fastsvc.model.encoder_hash import KnownEncoder
from fastsvc.model.keys import skeleton
from fastsvc.model.modules import module

STEPS = {"student": (1, 2, 4), "teacher": (10, 25, 50), "ddpm": (5, 10, 20)}  # built in unless --steps names others


def read_pass(plan: BuildPlan) -> ReadPlan:
    """Files → checkpoints of the right kinds."""
    options, content = plan.read_options, None
    acoustic = read(plan.checkpoint, options.config, options.era, options.speaker_vectors)
    acoustic = acoustic.require(ACOUSTIC_KINDS, "an acoustic model (teacher, student, a voice of RVC or DDSP-SVC)")
    plan.on_read(acoustic)
    for note in acoustic.notes:
        plan.say(f"read: {note}")
    vocoder = acoustic.vocoder
    if vocoder is not None and plan.vocoder_path is not None:
        raise ConfigError(f"{acoustic.path} brings the only vocoder that fits it", "omit --vocoder")
    if plan.vocoder_path is not None:
        vocoder = read_part(plan.vocoder_path, "vocoder", "a vocoder")
    if plan.content_path is not None:
        content = read_part(plan.content_path, "content", "a content encoder")
    units = index.read(plan, acoustic)
    return plan.then(ReadPlan, acoustic=acoustic, vocoder=vocoder, content=content, index=units)


def check_pass(plan: ReadPlan) -> CheckedPlan:
    """Check that options and configurations agree; an error names those that do not."""
    _check_options(plan)
    config, content = mel_for_both(plan.acoustic, plan.vocoder), plan.content
    if content is not None:
        content = _fitting_content(config.features, content)
        content = dataclasses.replace(content, encoder=_checked_encoder(plan, content))
    f0_hz = speaker_f0.medians(plan.speaker_f0, plan.acoustic)
    method, schedules, levels = _schedules(plan, config)
    return plan.then(
        CheckedPlan,
        content=content,
        sampler=method,
        steps=tuple(schedules),
        precision="fp32" if plan.precision == "auto" else plan.precision,
        gpu_precision="fp16" if plan.precision == "auto" else plan.precision,
        acoustic_config=config,
        schedules=schedules,
        levels=levels,
        speaker_f0_hz=f0_hz,
    )


def _schedules(plan: ReadPlan, config: AnyAcousticConfig) -> tuple[str, dict[int, list[float]], list[float]]:
    """(sampler, its schedule for each number of steps, all levels at which these evaluate)."""
    if isinstance(config, RvcConfig):
        return rvc_checks.schedules(plan, config)
    if isinstance(config, DdspConfig):
        return ddsp_checks.schedules(plan, config)
    method, steps = _sampling(plan, config)
    _check_depth(plan, config)
    schedules = {n: schedule.levels(config, method, n, plan.depth) for n in sorted(set(steps))}
    evaluated = {level for levels in schedules.values() for level in schedule.evaluated(method, levels)}
    return method, schedules, sorted(evaluated, reverse=True)


def _sampling(plan: ReadPlan, config: AcousticConfig) -> tuple[str, tuple[int, ...]]:
    """(sampler, numbers of steps). A teacher follows the probability flow; a student jumps to the end and adds noise
    again."""
    student = plan.acoustic.kind != "teacher"
    default = "dpm++" if config.ddpm else "consistency" if student else "euler"
    method = default if plan.sampler == "auto" else plan.sampler
    if method not in sampler.methods(config):
        raise ConfigError(
            f"the sampler {method!r} does not fit {plan.acoustic.path}",
            f"use auto or one of {', '.join(sampler.methods(config))}",
        )
    if plan.steps is not None:
        return method, plan.steps
    if method == "consistency" and config.edm.few_steps:
        return method, tuple(sorted(map(len, config.edm.few_steps)))  # the numbers of steps it was trained at
    return method, STEPS["ddpm" if config.ddpm else "student" if student else "teacher"]


def _check_depth(plan: ReadPlan, config: AcousticConfig) -> None:
    """Raises where a depth is missing, means nothing, or is out of range."""
    chain, depth = config.ddpm, plan.depth
    if chain is None:
        if depth is not None:
            raise ConfigError(
                f"{plan.acoustic.path} is not a DDPM model, so --depth does not apply to it", "omit --depth"
            )
        return
    if depth is None and chain.trained_steps < chain.timesteps:
        raise CheckpointError(
            f"{plan.acoustic.path} was trained for shallow diffusion alone and cannot start from noise",
            f"add --depth up to {chain.trained_steps}: the engine then refines mels through Engine.synthesise",
        )
    if depth is not None and not 2 <= depth <= chain.trained_steps:
        raise ConfigError(
            f"depth {depth} is outside 2 … {chain.trained_steps}", "choose another depth, or omit --depth"
        )


def _check_options(plan: ReadPlan) -> None:
    if architectures(plan.target) and plan.target != "auto" and is_short(plan.acoustic.config):
        why = f"{plan.acoustic.path} is for live conversion, and has no GPU kernels yet"
        raise ConfigError(why, "add --target cpu")
    if plan.precision == "bf16" and not denoiser_bf16.supported():
        raise ConfigError("precision bf16 needs a processor with AMX or AVX-512 BF16", "use fp32 or fp16")
    if plan.vocoder_backend == "triton" and plan.vocoder and isinstance(plan.vocoder.config, SourceFilterConfig):
        raise ConfigError(f"{plan.vocoder.path}: {NOT_BY_TRITON}", INSTEAD_OF_TRITON)


def _fitting_content(spec: FeatureConfig, content: Checkpoint) -> Checkpoint:
    """The content encoder of the acoustic model's units, cut to the layers that the units need."""
    hubert = hubert_units(spec.encoder) is not None
    if hubert != (content.kind == "hubert") or not (hubert or spec.encoder == "recogniser"):
        raise CheckpointError(
            f"{content.path} is a {content.kind}, but the acoustic model was trained on {spec.encoder}",
            "name HuBERT or ContentVec with --content"
            if hubert
            else "omit --content: an engine without a content encoder takes units",
        )
    if hubert:
        try:
            config = content.config.cut(spec.encoder)
        except ConfigError as error:
            raise CheckpointError(f"{content.path}: {error.message}", error.remedy) from None
        names = skeleton(lambda: module("hubert", config)).state_dict()
        whole = content.encoder if config == content.config else None  # the hash of another number of layers
        tensors = {name: content.tensors[name] for name in names}
        content = dataclasses.replace(content, config=config, tensors=tensors, encoder=whole)
    channels = content.config.unit_channels
    if channels != spec.unit_channels:
        raise CheckpointError(
            f"{content.path} gives {channels} unit channels, the acoustic model takes {spec.unit_channels}",
            "name the content encoder that the corpus was prepared with",
        )
    return content


def _checked_encoder(plan: ReadPlan, content: Checkpoint) -> str | None:
    """The hash of the content encoder as it was trained, if it is known. Raises CheckpointError where it is certainly
    not the one that the acoustic model was trained on: its units mean something else."""
    known, trained = KnownEncoder(content.config, content.tensors, content.encoder), plan.acoustic.encoder
    same = known.gave(trained)
    if same is False:
        raise CheckpointError(
            f"{content.path} is not the content encoder that {plan.acoustic.path} was trained on: its weights differ",
            "name the content encoder that the corpus was prepared with",
        )
    if same is None and trained is not None:
        what = f"the weights in {content.path} were rounded"
        plan.say(f"check: {what}; whether they are those that {plan.acoustic.path} was trained on is not known")
    return known.before
