"""A description of an engine or a checkpoint in a few lines, which loads only what it needs."""

from __future__ import annotations

from collections import Counter

from fastsvc import arguments, screen
from fastsvc.artifact import engine_folder
from fastsvc.artifact.manifest import ContentPart, Manifest, VocoderPart
from fastsvc.commands import inspect_checkpoint, inspect_ddsp, inspect_rvc
from fastsvc.commands.inspect_lines import condition, features, generator, mel, network, speakers, units
from fastsvc.config import DdspConfig, RvcConfig


def describe(path) -> str:
    """Text about an engine folder or a checkpoint: kind, sizes, speakers, schedules, files missing to build it.

    Raises EngineError or CheckpointError if the path is neither, or damaged.
    """
    path = arguments.path("path", path)
    if path.is_dir() and (engine_folder.is_engine(path) or path.suffix == ".fsvc"):
        return _engine(engine_folder.Artifact(path))
    return inspect_checkpoint.describe(path)


def _engine(folder: engine_folder.Artifact) -> str:
    manifest = folder.manifest
    origin, config = manifest.source, manifest.acoustic
    rvc, ddsp = isinstance(config, RvcConfig), isinstance(config, DdspConfig)
    size = sum(entry["bytes"] for entry in folder.files.values()) / 1e6
    singers = manifest.speakers, manifest.speaker_base, manifest.speaker_f0_hz
    lines = [
        f"{folder.path}: engine, format {engine_folder.VERSION}, {size:.1f} MB",
        f"  made from    {origin.file} ({' '.join(dict.fromkeys((origin.format, origin.kind)))}, step {origin.step})",
        *(f"  note         {note}" for note in origin.notes),
        *(inspect_rvc.engine if rvc else inspect_ddsp.engine if ddsp else _networks)(manifest),
        f"  precision    {manifest.precision}{_stored(manifest.store)}",
        f"  on GPUs      in {manifest.gpu_precision}, {inspect_rvc.ON_GPUS if rvc else ''}kernels {_kernels(folder)}",
        _part("vocoder", manifest.vocoder, "none: makes mels only; build with --vocoder"),
        *([generator(manifest.vocoder.config)] if manifest.vocoder else []),
        *_graphs(folder),
        _part("content", manifest.content, "none: takes units only; build with --content"),
        *([units(manifest.content.config)] if manifest.content else []),
        *(inspect_rvc.speakers(*singers, manifest.default_speaker) if rvc else speakers(*singers)),
        *_measured(manifest.measured),
    ]
    for name in folder.files:
        folder.verify(name)
    lines.append(f"  files        {len(folder.files)}, all as the manifest says (sha256)")
    return "\n".join(map(screen.shown, lines))  # names and notes come from strangers' files


def _networks(manifest: Manifest) -> list[str]:
    config, sampling = manifest.acoustic, manifest.sampling
    steps = ", ".join(map(str, sampling.schedules))
    depth = f", refines given mels from place {sampling.depth} on" if sampling.depth else ""
    return [
        network(config.denoiser),
        condition(config),
        mel(config.mel),
        features(config.features),
        f"  sampling     {sampling.method}, steps {steps}{depth}",
    ]


def _stored(store: str) -> str:
    return ", weights stored in eight bits" if store == "int8" else ""


def _kernels(folder: engine_folder.Artifact) -> str:
    """Where the engine's kernels come from."""
    cubins = [name for name in folder.files if name.startswith("sm_") and name.endswith(".cubin")]
    counts = Counter(int(name.partition("/")[0].removeprefix("sm_")) for name in cubins)
    listed = ", ".join(f"sm_{arch} ({count})" for arch, count in sorted(counts.items()))
    return f"compiled for {listed}, by Triton elsewhere" if listed else "compiled by Triton when first used"


def _graphs(folder: engine_folder.Artifact) -> list[str]:
    """The vocoder's graphs and TensorRT's plans of it."""
    if not folder.has(engine_folder.VOCODER):
        return []
    graphs = [name for name in engine_folder.GRAPHS.values() if folder.has(name)]
    plans = [name for name in folder.files if name.endswith(".plan")]
    without = "none for other programs; fastsvc writes its own where it needs one"
    if folder.manifest.store != "float":
        without = "none, as they would read weights stored in eight bits"
    lines = [f"  graphs       {', '.join(graphs) or without}"]
    return lines + [f"  plans        {', '.join(plans)}"] * bool(plans)


def _part(name: str, part: VocoderPart | ContentPart | None, otherwise: str) -> str:
    if not part:
        return f"  {name:<12} {otherwise}"
    return f"  {name:<12} from {part.source.file} ({part.source.format}, step {part.source.step})"


def _measured(measured: dict):
    for name in ("denoiser", "latent", "vocoder"):
        if name in measured:
            part = measured[name]
            yield (
                f"  measured     {name}: {part['audio_s']:g} s of audio in {1e3 * part['compiled_s']:.1f} ms,"
                f" {part['speedup']:g}× plain PyTorch ({measured['machine']['cpu']},"
                f" {measured['machine']['threads']} threads, {measured['date']})"
            )
