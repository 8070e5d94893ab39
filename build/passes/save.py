"""Pass 9, save: the manifest, and the folder written whole or not at all."""

from __future__ import annotations

from fastsvc.artifact import folder as artifact
from fastsvc.build.plan import Plan
from fastsvc.checkpoints import Checkpoint
from fastsvc.config import to_dict
from fastsvc.version import VERSION


def save_pass(plan: Plan) -> None:
    artifact.write(plan.out, manifest(plan), plan.files, plan.force)


def manifest(plan: Plan) -> dict:
    """Everything about the engine that is not a tensor."""
    acoustic = plan.acoustic
    return {
        "fastsvc": VERSION,
        "source": source(acoustic),
        "acoustic": to_dict(plan.acoustic_config),
        "speakers": list(acoustic.speakers) or [f"speaker {i}" for i in range(plan.acoustic_config.condition.speakers)],
        "speaker_base": acoustic.speaker_base,
        "speaker_f0_hz": list(plan.speaker_f0_hz),
        "input_peak": acoustic.input_peak,
        "precision": plan.precision,
        "gpu_precision": plan.gpu_precision,
        "sampler": plan.sampler,
        "depth": plan.depth,
        "default_steps": default_steps(plan),
        "schedules": {str(count): levels for count, levels in plan.schedules.items()},
        "levels": plan.levels,
        "vocoder": None
        if plan.vocoder is None
        else {
            "config": to_dict(plan.vocoder.config),
            "source": source(plan.vocoder),
            "unvoiced_f0": unvoiced_f0(acoustic, plan.vocoder),
            "backend": plan.vocoder_backend,
            "cpu_backend": plan.cpu_backend,
        },
        "content": None
        if plan.content is None
        else {
            "kind": plan.content.kind,
            "config": to_dict(plan.content.config),
            "source": source(plan.content),
        },
        "check": plan.check,
        "verified": plan.verified,
        "measured": plan.measured,
    }


def default_steps(plan: Plan) -> int:
    """What `convert` takes when no steps are asked for: one for students, the middle of the others' schedules."""
    counts = sorted(plan.schedules)
    return counts[0] if plan.sampler == "consistency" else counts[len(counts) // 2]


def unvoiced_f0(acoustic: Checkpoint, vocoder: Checkpoint) -> str:
    """What the vocoder gets in unvoiced frames.

    Upstream's projects hand theirs the f0 that is interpolated through them, and openvpi trains on that; `fastsvc
    train` trains on zeros, as M4Singer does.
    """
    return "interpolated" if acoustic.format != "fastsvc" or vocoder.format == "nsf_hifigan" else "zero"


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
