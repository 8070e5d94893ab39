"""Pass 2 for RVC's voices: their one schedule, and options that mean nothing to them."""

from __future__ import annotations

from fastsvc.artifact.manifest_configs import RVC_SAMPLER
from fastsvc.build.plan import ReadPlan
from fastsvc.config import RvcConfig
from fastsvc.errors import ConfigError

STEPS = (1,)


def schedules(plan: ReadPlan, config: RvcConfig) -> tuple[str, dict[int, list[float]], list[float]]:
    """(sampler, schedules, levels): one draw of the voice's own deviation. Raises ConfigError for other options."""
    refused = {
        "--steps": plan.steps is not None and set(plan.steps) != set(STEPS),
        "--sampler": plan.sampler != "auto",
        "--depth": plan.depth is not None,
    }
    for option, given in refused.items():
        if given:
            raise ConfigError(
                f"{plan.acoustic.path} is a voice of RVC, which draws once, so {option} does not apply to it",
                f"omit {option}",
            )
    if plan.precision == "bf16":
        raise ConfigError(
            f"{plan.acoustic.path} is a voice of RVC, whose text encoder and flow have no form in bfloat16",
            "use fp32 or fp16",
        )
    return RVC_SAMPLER, {STEPS[0]: [config.noise_scale]}, [config.noise_scale]
