"""Pass 9, save: the manifest, and the engine folder, which is written whole or not at all."""

from __future__ import annotations

from fastsvc.artifact import engine_folder
from fastsvc.artifact.manifest import ContentPart, Manifest, Sampling, TensorOrigin, VocoderPart
from fastsvc.build.passes import index
from fastsvc.build.plan import CheckedPlan, TargetedPlan
from fastsvc.checkpoints import Checkpoint
from fastsvc.config import SourceFilterConfig
from fastsvc.model import packed
from fastsvc.version import VERSION


def save_pass(plan: TargetedPlan) -> TargetedPlan:
    tensors = plan.tensors
    if plan.store == "int8":
        parts = (engine_folder.WEIGHTS, engine_folder.VOCODER, engine_folder.CONTENT)
        tensors = {name: packed.packed(part) if name in parts else part for name, part in tensors.items()}
    engine_folder.write(plan.out, {"fastsvc": VERSION, **manifest(plan).to_dict()}, tensors | plan.files, plan.force)
    return plan


def manifest(plan: TargetedPlan) -> Manifest:
    """Everything about the engine that is not a tensor."""
    acoustic, vocoder, content = plan.acoustic, plan.vocoder, plan.content
    names = acoustic.speakers or tuple(f"speaker {i}" for i in range(plan.acoustic_config.speakers))
    return Manifest(
        source=source(acoustic),
        acoustic=plan.acoustic_config,
        speakers=tuple(names),
        sampling=Sampling(plan.sampler, plan.schedules, plan.levels, plan.depth),
        default_steps=default_steps(plan),
        speaker_base=acoustic.speaker_base,
        default_speaker=default_speaker(acoustic),
        speaker_f0_hz=tuple(plan.speaker_f0_hz),
        input_peak=acoustic.input_peak,
        precision=plan.precision,
        store=plan.store,
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
        index=index.part(plan),
        check=plan.check,
        verified=plan.verified,
        measured=plan.measured,
    )


def default_steps(plan: CheckedPlan) -> int:
    """The steps of `convert` without --steps: the fewest for students, the middle one of the others' schedules."""
    counts = sorted(plan.schedules)
    return counts[0] if plan.sampler == "consistency" else counts[len(counts) // 2]


def default_speaker(acoustic: Checkpoint) -> int | None:
    """The row of the speaker where none is named: the first of a voice of RVC, whose tables have rows for speakers that
    nobody trained; of other models with several speakers one must be named."""
    return 0 if acoustic.kind == "rvc" else None


def unvoiced_f0(acoustic: Checkpoint, vocoder: Checkpoint) -> str:
    """The vocoder's f0 in unvoiced frames: "interpolated" or "zero".

    Upstream's projects interpolate f0 through unvoiced frames, and openvpi trains its vocoder on that; `fastsvc train`
    trains on zeros, as M4Singer does, and nearly all voices of RVC were trained on zeros. The source-filter vocoder
    reads from the zeros what is voiced.
    """
    if isinstance(vocoder.config, SourceFilterConfig) or acoustic.kind == "rvc":
        return "zero"
    return "interpolated" if acoustic.format != "fastsvc" or vocoder.format == "nsf_hifigan" else "zero"


def source(checkpoint: Checkpoint) -> TensorOrigin:
    """The origin of a part's tensors; the file's name without its folder, as folders reveal private names."""
    return TensorOrigin(
        checkpoint.path.name,
        checkpoint.format,
        checkpoint.kind,
        checkpoint.step,
        engine_folder.sha256(checkpoint.path),
        tuple(checkpoint.notes),
        checkpoint.encoder,
    )
