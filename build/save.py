"""Pass 7, save: the manifest, and the folder written whole or not at all."""

from __future__ import annotations

from fastsvc import __version__
from fastsvc.build.plan import Plan
from fastsvc.checkpoints import Checkpoint
from fastsvc.config import to_dict
from fastsvc.engine import artifact


def save_pass(plan: Plan) -> None:
    artifact.write(plan.out, manifest(plan), plan.files, plan.force)


def manifest(plan: Plan) -> dict:
    """Everything about the engine that is not a tensor."""
    acoustic = plan.acoustic
    return {
        "fastsvc": __version__,
        "source": source(acoustic),
        "acoustic": to_dict(plan.acoustic_config),
        "speakers": list(acoustic.speakers) or [f"speaker {i}" for i in range(plan.acoustic_config.condition.speakers)],
        "speaker_base": acoustic.speaker_base,
        "speaker_f0_hz": list(acoustic.speaker_f0_hz),
        "input_peak": acoustic.input_peak,
        "precision": plan.precision,
        "sampler": plan.sampler,
        "schedules": {str(count): levels for count, levels in plan.schedules.items()},
        "levels": plan.levels,
        "vocoder": None
        if plan.vocoder is None
        else {
            "config": to_dict(plan.vocoder.config),
            "source": source(plan.vocoder),
            # CoMoSVC hands its vocoder the f0 that is interpolated through unvoiced frames; ours gets zeros there.
            "unvoiced_f0": "interpolated" if acoustic.format == "comosvc" else "zero",
        },
        "content": None
        if plan.content is None
        else {
            "kind": plan.content.kind,
            "config": to_dict(plan.content.config),
            "source": source(plan.content),
        },
        "verified": plan.verified,
        "measured": plan.measured,
    }


def source(checkpoint: Checkpoint) -> dict:
    """Where tensors came from; the file's name alone, as folders tell about people."""
    return {
        "file": checkpoint.path.name,
        "sha256": artifact.sha256(checkpoint.path),
        "format": checkpoint.format,
        "kind": checkpoint.kind,
        "step": checkpoint.step,
        "notes": list(checkpoint.notes),
    }
