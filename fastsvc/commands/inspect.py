"""What an engine or a checkpoint is, in a few lines, without loading more than is needed to tell."""

from __future__ import annotations

from fastsvc import arguments, screen
from fastsvc.artifact import folder as artifact
from fastsvc.commands import inspect_checkpoint
from fastsvc.commands.inspect_lines import condition, features, mel, network, speakers, units


def describe(path) -> str:
    """Text about an engine folder or a checkpoint: kind, sizes, speakers, schedules, what is missing to build.

    Raises EngineError or CheckpointError if it is neither, or damaged.
    """
    path = arguments.path("path", path)
    if path.is_dir() and (artifact.is_engine(path) or path.suffix == ".fsvc"):
        return _engine(artifact.Artifact(path))
    return inspect_checkpoint.describe(path)


def _engine(folder: artifact.Artifact) -> str:
    from fastsvc.config import AcousticConfig, from_dict

    manifest = folder.manifest
    origin, config = manifest["source"], from_dict(AcousticConfig, manifest["acoustic"], "acoustic")
    content = manifest.get("content")
    size = sum(entry["bytes"] for entry in folder.files.values()) / 1e6
    steps = ", ".join(manifest["schedules"])
    depth = f", refines given mels from place {manifest['depth']} on" if manifest.get("depth") else ""
    lines = [
        f"{folder.path}: engine, format {manifest['version']}, {size:.1f} MB",
        f"  made from    {origin['file']} ({origin['format']} {origin['kind']}, step {origin['step']})",
        *(f"  note         {note}" for note in origin.get("notes", ())),
        network(config.denoiser),
        condition(config),
        mel(config.mel),
        features(config.features),
        f"  sampling     {manifest['sampler']}, steps {steps}{depth}",
        f"  precision    {manifest.get('precision', 'fp32')}",
        _part("vocoder", manifest.get("vocoder"), "none: makes mels only; build with --vocoder"),
        *_graphs(folder),
        _part("content", content, "none: takes units only; build with --content"),
        *_units(content),
        *speakers(manifest["speakers"], manifest.get("speaker_base", 0), manifest.get("speaker_f0_hz", ())),
        *_measured(manifest.get("measured", {})),
    ]
    for name in folder.files:
        folder.verify(name)
    lines.append(f"  files        {len(folder.files)}, all as the manifest says (sha256)")
    return "\n".join(map(screen.shown, lines))  # names and notes are others' words


def _graphs(folder: artifact.Artifact) -> list[str]:
    """The vocoder's graphs, and the plans that TensorRT has made of it."""
    if not folder.has(artifact.VOCODER):
        return []
    found = [name for name in artifact.GRAPHS.values() if folder.has(name)]
    plans = [name for name in folder.files if name.endswith(".plan")]
    without = "none for other programs, as onnx was not installed when it was built"
    lines = [f"  graphs       {', '.join(found) or without}"]
    return lines + [f"  plans        {', '.join(plans)}"] * bool(plans)


def _units(content: dict | None) -> list[str]:
    from fastsvc.config import CONTENT_CONFIGS, from_dict

    if not content:
        return []
    return [units(from_dict(CONTENT_CONFIGS[content.get("kind", "recogniser")], content["config"], "content"))]


def _part(name: str, part: dict | None, otherwise: str) -> str:
    if not part:
        return f"  {name:<12} {otherwise}"
    origin = part["source"]
    return f"  {name:<12} from {origin['file']} ({origin['format']}, step {origin['step']})"


def _measured(measured: dict):
    for name in ("denoiser", "vocoder"):
        if name in measured:
            took = measured[name]
            yield (
                f"  measured     {name}: {took['audio_s']:g} s of audio in {1e3 * took['compiled_s']:.1f} ms,"
                f" {took['speedup']:g}× plain PyTorch ({measured['machine']['cpu']},"
                f" {measured['machine']['threads']} threads, {measured['date']})"
            )
