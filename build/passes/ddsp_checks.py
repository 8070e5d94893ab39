"""Pass 2 for voices of DDSP-SVC 6: sampler, schedules, and options that mean nothing to them."""

from __future__ import annotations

from fastsvc.build.plan import ReadPlan
from fastsvc.config import DdspConfig
from fastsvc.config.ddsp import SAMPLERS
from fastsvc.errors import ConfigError
from fastsvc.model.ddsp import flow

STEPS = {"flow": (4, 10, 20), "distilled": (1, 2, 4)}  # built in unless --steps names others
DISTILLED = ("student", "dmo")


def schedules(plan: ReadPlan, config: DdspConfig) -> tuple[str, dict[int, list[float]], list[float]]:
    """(sampler, its levels for each number of steps, all levels that are evaluated). Raises ConfigError."""
    distilled = plan.acoustic.kind in DISTILLED
    method = ("consistency" if distilled else "euler") if plan.sampler == "auto" else plan.sampler
    if method not in SAMPLERS:
        raise ConfigError(
            f"the sampler {method!r} does not fit {plan.acoustic.path}", f"use auto or one of {', '.join(SAMPLERS)}"
        )
    if plan.depth is not None:
        raise ConfigError(
            f"{plan.acoustic.path} is a voice of DDSP-SVC, which makes its first mel itself, so --depth does not apply"
            " to it",
            "omit --depth",
        )
    if plan.precision == "bf16":
        raise ConfigError(
            f"{plan.acoustic.path} is a voice of DDSP-SVC, whose networks have no form in bfloat16", "use fp32 or fp16"
        )
    usual = config.few_steps or STEPS["distilled"] if method == "consistency" else STEPS["flow"]
    unknown = sorted(set(plan.steps or ()) - set(config.few_steps)) if method == "consistency" else []
    if config.few_steps and unknown:
        raise ConfigError(
            f"{plan.acoustic.path} was not trained at {', '.join(map(str, unknown))} steps",
            f"use {', '.join(map(str, config.few_steps))}, or --sampler euler",
        )
    rows = {count: flow.levels(config.t_start, count) for count in sorted(set(plan.steps or usual))}
    evaluated = {level for row in rows.values() for level in flow.evaluated(method, row)}
    return method, rows, sorted(evaluated, reverse=True)
