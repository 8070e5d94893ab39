"""Passes 1 and 2: read the checkpoints; check that they belong together and fix the schedules."""

from __future__ import annotations

from fastsvc.build.mels import mel_for_both
from fastsvc.build.part import read_part
from fastsvc.build.plan import Plan
from fastsvc.checkpoints import read
from fastsvc.checkpoints.checkpoint import ACOUSTIC_KINDS
from fastsvc.config import AcousticConfig
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
        plan.content = read_part(plan.content_path, "recogniser", "a content encoder")


def check_pass(plan: Plan) -> None:
    """Options and configurations agree with each other, or a line says which do not."""
    _check_options(plan)
    plan.precision = "fp32" if plan.precision == "auto" else plan.precision
    plan.acoustic_config = mel_for_both(plan.acoustic, plan.vocoder)
    if plan.content is not None:
        _check_content(plan.acoustic_config, plan.content)
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


def _check_content(config: AcousticConfig, content) -> None:
    if config.features.encoder != "recogniser":
        raise CheckpointError(
            f"{content.path} is a recogniser, but the acoustic model was trained on {config.features.encoder}",
            "leave --content away: an engine without content encoder takes units",
        )
    if content.config.bottleneck != config.features.unit_channels:
        raise CheckpointError(
            f"{content.path} gives {content.config.bottleneck} unit channels,"
            f" the acoustic model takes {config.features.unit_channels}",
            "give the recogniser that the corpus was prepared with",
        )
