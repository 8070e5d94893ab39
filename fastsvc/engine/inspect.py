"""What an engine or a checkpoint is, in a few lines, without loading more than is needed to tell."""

from __future__ import annotations

from pathlib import Path

from fastsvc.config import hubert_units
from fastsvc.engine import artifact


def describe(path) -> str:
    """Text about an engine folder or a checkpoint file: kind, sizes, speakers, schedules, what is missing to build.

    Raises EngineError or CheckpointError if it is neither, or damaged.
    """
    path = Path(path)
    engine = path.is_dir() and not (path / "config.json").is_file()  # transformers' folders have one
    return _engine(artifact.Artifact(path)) if engine else _checkpoint(path)


def _engine(folder: artifact.Artifact) -> str:
    manifest = folder.manifest
    origin, net, mel = manifest["source"], manifest["acoustic"]["denoiser"], manifest["acoustic"]["mel"]
    content = manifest.get("content")
    hubert = content["config"] if content and content.get("kind") == "hubert" else None
    units = [_hubert(hubert["layers"], hubert["channels"], hubert["projection"])] if hubert else []
    size = _megabytes(sum(entry["bytes"] for entry in folder.files.values()))
    lines = [
        f"{folder.path}: engine, format {manifest['version']}, {size}",
        f"  made from    {origin['file']} ({origin['format']} {origin['kind']}, step {origin['step']})",
        _network(net["channels"], net["layers"], net["mel_bins"], net["dilation_cycle"]),
        _mel(mel["rate_hz"], mel["hop_samples"], mel["bins"]),
        f"  sampling     {manifest['sampler']}, steps {', '.join(manifest['schedules'])}",
        f"  precision    {manifest.get('precision', 'fp32')}",
        _part("vocoder", manifest.get("vocoder"), "none: makes mels only; build with --vocoder"),
        _part("content", content, "none: takes units only; build with --content"),
        *units,
        *_speakers(manifest["speakers"], manifest.get("speaker_base", 0), manifest.get("speaker_f0_hz", ())),
    ]
    measured = manifest.get("measured", {})
    for name in ("denoiser", "vocoder"):
        if name in measured:
            took = measured[name]
            lines.append(
                f"  measured     {name}: {took['audio_s']:g} s of audio in {1e3 * took['compiled_s']:.1f} ms,"
                f" {took['speedup']:g}× plain PyTorch ({measured['machine']['cpu']},"
                f" {measured['machine']['threads']} threads, {measured['date']})"
            )
    for name in folder.files:
        folder.verify(name)
    lines.append(f"  files        {len(folder.files)}, all as the manifest says (sha256)")
    return "\n".join(lines)


def _checkpoint(path: Path) -> str:
    from fastsvc.checkpoints import read

    checkpoint = read(path)
    config = checkpoint.config
    lines = [
        f"{path}: {checkpoint.format} checkpoint, {checkpoint.kind}, step {checkpoint.step},"
        f" {checkpoint.parameters / 1e6:.2f} M parameters, {_megabytes(checkpoint.path.stat().st_size)}"
    ]
    lines += [f"  note         {note}" for note in checkpoint.notes]
    if checkpoint.acoustic:
        net, mel, spec = config.denoiser, config.mel, config.features
        lines += [
            _network(net.channels, net.layers, net.mel_bins, net.dilation_cycle),
            _mel(mel.rate_hz, mel.hop_samples, mel.bins),
            f"  features     {spec.encoder} ({spec.unit_channels} channels, {spec.unit_align}), f0 by {spec.f0_method}",
            *_speakers(checkpoint.speakers, checkpoint.speaker_base, checkpoint.speaker_f0_hz),
            "  to build     --vocoder PATH (mel to audio)"
            + (f" and --content PATH ({wanted})" if (wanted := _content(spec.encoder)) else ""),
        ]
        if not wanted:
            lines.append(f"  missing      {spec.encoder}, which is not supported yet: the engine takes units")
    elif checkpoint.kind == "vocoder":
        lines.append(_mel(config.mel.rate_hz, config.mel.hop_samples, config.mel.bins))
        lines.append(f"  generator    {config.family}, {config.initial_channels} channels, {config.upsample_rates}")
    elif checkpoint.kind == "recogniser":
        lines.append(f"  units        {config.bottleneck} channels, {len(config.phones)} phones")
    elif checkpoint.kind == "hubert":
        lines.append(_hubert(config.layers, config.channels, config.projection))
    return "\n".join(lines)


def _network(channels, layers, bins, cycle) -> str:
    return f"  denoiser     {layers} layers × {channels} channels, {bins} mel bins, dilation cycle {cycle}"


def _mel(rate_hz, hop_samples, bins) -> str:
    return f"  mel          {rate_hz} Hz, hop {hop_samples} samples, {bins} bins"


def _content(encoder: str) -> str:
    """What to give with --content for an acoustic model's encoder; empty if there is nothing to give."""
    if encoder == "recogniser":
        return "the recogniser"
    return f"HuBERT or ContentVec, whichever gave its {encoder}" if hubert_units(encoder) else ""


def _hubert(layers: int, channels: int, projection: int) -> str:
    projected = f", final_proj to {projection}" if projection else ", no final_proj"
    return f"  units        HuBERT, {layers} layers × {channels} channels{projected}"


def _part(name: str, part: dict | None, otherwise: str) -> str:
    if not part:
        return f"  {name:<12} {otherwise}"
    origin = part["source"]
    return f"  {name:<12} from {origin['file']} ({origin['format']}, step {origin['step']})"


def _speakers(names, base: int, f0_hz) -> list[str]:
    pitches = [f" (median {f:.0f} Hz)" if f > 0 else "" for f in f0_hz] + [""] * len(names)
    rows = [f"    {base + i:>4}  {name}{pitch}" for i, (name, pitch) in enumerate(zip(names, pitches))]
    return [f"  speakers     {len(names)}, ids from {base}", *rows]


def _megabytes(count: int) -> str:
    return f"{count / 1e6:.1f} MB"
