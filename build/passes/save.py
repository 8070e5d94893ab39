"""Pass 9, save: the manifest, and the folder written whole or not at all."""

from __future__ import annotations

from fastsvc.artifact import folder as artifact
from fastsvc.artifact.manifest import ContentPart, Manifest, Origin, Sampling, VocoderPart
from fastsvc.build.plan import Checked, Targeted
from fastsvc.checkpoints import Checkpoint
from fastsvc.config import SourceFilterConfig
from fastsvc.version import VERSION


def save_pass(plan: Targeted) -> Targeted:
    artifact.write(plan.out, {"fastsvc": VERSION, **manifest(plan).to_dict()}, plan.tensors | plan.files, plan.force)
    return plan


def manifest(plan: Targeted) -> Manifest:
    """Everything about the engine that is not a tensor."""
    acoustic, vocoder, content = plan.acoustic, plan.vocoder, plan.content
    names = acoustic.speakers or tuple(f"speaker {i}" for i in range(plan.acoustic_config.condition.speakers))
    return Manifest(
        source=source(acoustic),
        acoustic=plan.acoustic_config,
        speakers=tuple(names),
        sampling=Sampling(plan.sampler, plan.schedules, plan.levels, plan.depth),
        default_steps=default_steps(plan),
        speaker_base=acoustic.speaker_base,
        speaker_f0_hz=tuple(plan.speaker_f0_hz),
        input_peak=acoustic.input_peak,
        precision=plan.precision,
        gpu_precision=plan.gpu_precision,
        vocoder=vocoder
        and VocoderPart(
            vocoder.config,
            source(vocoder),
            unvoiced_f0(acoustic, vocoder),
            plan.vocoder_backend,
            plan.cpu_backend,
        ),
        content=content and ContentPart(content.kind, content.config, source(content)),
        check=plan.check,
        verified=plan.verified,
        measured=plan.measured,
    )


def default_steps(plan: Checked) -> int:
    """What `convert` takes when no steps are asked for: one for students, the middle of the others' schedules."""
    counts = sorted(plan.schedules)
    return counts[0] if plan.sampler == "consistency" else counts[len(counts) // 2]


def unvoiced_f0(acoustic: Checkpoint, vocoder: Checkpoint) -> str:
    """What the vocoder gets in unvoiced frames.

    Upstream's projects hand theirs the f0 that is interpolated through them, and openvpi trains on that; `fastsvc
    train` trains on zeros, as M4Singer does. The source-filter vocoder reads from the zeros what is voiced.
    """
    if isinstance(vocoder.config, SourceFilterConfig):
        return "zero"
    return "interpolated" if acoustic.format != "fastsvc" or vocoder.format == "nsf_hifigan" else "zero"


def source(checkpoint: Checkpoint) -> Origin:
    """Where tensors came from; the file's name alone, as folders tell about people."""
    return Origin(
        checkpoint.path.name,
        checkpoint.format,
        checkpoint.kind,
        checkpoint.step,
        artifact.sha256(checkpoint.path),
        tuple(checkpoint.notes),
    )
