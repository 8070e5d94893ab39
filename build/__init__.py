"""The compiler: an ordered list of passes from a checkpoint to an engine folder.

read → check → fold → lower → export → verify → measure → target → save; each takes a stage of
:mod:`fastsvc.build.plan` and returns the next.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastsvc.checkpoints import Checkpoint

__all__ = ["compile", "pipeline"]


def pipeline() -> list[Callable]:
    """The passes in their order; each takes a stage of the plan and returns the next."""
    from fastsvc.build.passes.export import export_pass
    from fastsvc.build.passes.fold import fold_pass
    from fastsvc.build.passes.lower import lower_pass
    from fastsvc.build.passes.measure import measure_pass
    from fastsvc.build.passes.read import check_pass, read_pass
    from fastsvc.build.passes.save import save_pass
    from fastsvc.build.passes.target import target_pass
    from fastsvc.build.passes.verify import verify_pass

    return [
        read_pass,
        check_pass,
        fold_pass,
        lower_pass,
        export_pass,
        verify_pass,
        measure_pass,
        target_pass,
        save_pass,
    ]


def compile(
    checkpoint,
    out=None,
    config=None,
    vocoder=None,
    content=None,
    steps=None,
    precision="auto",
    target="auto",
    force=False,
    progress: Callable[[str], None] = print,
    *,
    era=None,
    sampler="auto",
    depth=None,
    speaker_vectors=None,
    speaker_f0=None,
    vocoder_backend="auto",
    index=None,
    store="float",
    on_read: Callable[[Checkpoint], None] | None = None,
) -> Path:
    """Compile an acoustic checkpoint, with its vocoder and content encoder, into an engine folder; returns its path.

    checkpoint, vocoder, content: paths of any format that fastsvc.checkpoints reads. Without a vocoder the engine
    makes mels only; without a content encoder it takes units. ``out`` defaults to the checkpoint's name with .fsvc.
    ``config``: the YAML file of formats that keep it outside. ``steps``: numbers of steps whose schedules are built in;
    None: those of the kind of model (build/passes/read.py). ``precision``: fp32 (auto), or fp16, which stores weights
    in half the space and computes in float32 on a CPU; a GPU computes in the precision named here, in fp16 if it is
    auto. ``store``: float stores weights as ``precision`` says, int8 in eight bits; read again they are float32
    (fastsvc/model/packed.py). ``target``: GPUs to compile kernels for: auto (this machine's, if any), cpu
    (none), sm_90, or several with commas. An existing ``out`` is replaced with ``force`` only, and only if it is an
    engine. ``progress`` gets one line for each finished part. ``era`` of CoMoSVC's code and ``speaker_vectors``:
    fastsvc.checkpoints.ReadOptions.
    ``sampler``: of fastsvc.model.sampler.methods, or auto. ``depth``: shallow diffusion from that step of a DDPM chain
    on, so that the engine refines first mels. ``speaker_f0``: median pitches for automatic transposing
    (build/passes/speaker_f0.py). ``vocoder_backend``: one of fastsvc.config.VOCODER_BACKENDS, used on every device that
    has it; auto: the fastest. ``index``: RVC's index of training units; None: the one found with the voice, if any;
    "none": no index. ``on_read`` gets the acoustic checkpoint as soon as it is read; what it raises ends the build.
    Raises CheckpointError, ConfigError, OutputError; EngineError if the result differs from the specification.
    """
    from fastsvc.artifact import seal
    from fastsvc.artifact.engine_folder import refuse_existing
    from fastsvc.build.options import check
    from fastsvc.build.plan import BuildPlan
    from fastsvc.checkpoints import ReadOptions
    from fastsvc.checkpoints.files.folder import checkpoint_in

    paths = {"checkpoint": checkpoint, "out": out, "config": config, "vocoder": vocoder, "content": content}
    paths |= {"speaker_vectors": speaker_vectors, "index": index}
    words = {
        "precision": precision,
        "store": store,
        "target": target,
        "sampler": sampler,
        "vocoder backend": vocoder_backend,
        "era": era,
    }
    check(paths, words, steps, depth, speaker_f0, force, progress, on_read)
    checkpoint, steps = Path(checkpoint), None if steps is None else tuple(map(int, steps))
    plan = BuildPlan(
        checkpoint=checkpoint,
        out=Path(out) if out is not None else checkpoint_in(checkpoint).with_suffix(".fsvc"),
        read_options=ReadOptions.of(config=config, era=era, speaker_vectors=speaker_vectors),
        vocoder_path=None if vocoder is None else Path(vocoder),
        content_path=None if content is None else Path(content),
        index_path=None if index is None else Path(index),
        steps=steps,
        sampler=sampler,
        depth=depth,
        speaker_f0=speaker_f0,
        precision=precision,
        store=store,
        target=target,
        vocoder_backend=vocoder_backend,
        force=force,
        say=progress or (lambda line: None),
        on_read=on_read or (lambda checkpoint: None),
    )
    refuse_existing(plan.out, force)  # before minutes of work, and once more before writing
    if target != "cpu":
        seal.check()
    for run_pass in pipeline():
        plan = run_pass(plan)
    plan.say(f"built {plan.out}")
    return plan.out
