"""Lines about voices of RVC, for the descriptions of engines and of voice files."""

from __future__ import annotations

from fastsvc.artifact.manifest import Manifest
from fastsvc.commands import inspect_lines
from fastsvc.commands.rvc_content import FILES, encoder
from fastsvc.config import RvcConfig

ON_GPUS = "text encoder and flow by PyTorch, "
MOST_SPEAKERS = 8  # more are shortened: RVC's files have 109 rows, of which one was trained


def engine(manifest: Manifest) -> list[str]:
    config = manifest.acoustic
    index = manifest.index
    kept = index and f"{index.file}, {index.vectors} units in {index.lists} lists (--index-rate, --protect)"
    return [*network(config), f"  index        {kept or 'none: built without one (--index)'}"]


def network(config: RvcConfig) -> list[str]:
    """Version, rate, pitch; sizes; features."""
    pitch = "with pitch" if config.pitch else "without pitch"
    return [
        f"  voice        RVC {config.version}, {config.mel.rate_hz} Hz, hop {config.mel.hop_samples} samples, {pitch}",
        f"  networks     text encoder {config.layers} layers × {config.hidden} channels, flow of {config.couplings}"
        f" couplings, latent {config.mel.bins}",
        f"  features     {encoder(config)}" + (f", {_range(config)}" if config.pitch else ""),
    ]


def _range(config: RvcConfig) -> str:
    return f"pitch in {config.features.f0_low_hz:g} … {config.features.f0_high_hz:g} Hz, by rmvpe, fcpe or yin"


def checkpoint(voice) -> list[str]:
    """A voice file, a fastsvc.checkpoints.Checkpoint, with the index beside it and what is needed to build it."""
    config = voice.config
    return [
        *network(config),
        inspect_lines.generator(voice.vocoder.config),
        f"  index        {_index(voice)}",
        *speakers(voice.speakers, voice.speaker_base, voice.speaker_f0_hz),
        f"  to build     --content PATH: {encoder(config)}: {FILES}",
    ]


def _index(voice) -> str:
    from fastsvc.checkpoints.files.faiss_index import read_index
    from fastsvc.errors import FastsvcError

    if voice.index is None:
        return "none beside it; name one with --index"
    try:
        index = read_index(voice.index, voice.config.unit_channels)
    except FastsvcError as error:
        return f"cannot be used: {error}"
    return f"{index.file}, {len(index.vectors)} units in {len(index.list_sizes)} lists"


def speakers(names, base: int, f0_hz, default: int | None = 0) -> list[str]:
    """As inspect_lines.speakers, of many only the first, and the one that is taken without --spk."""
    lines = inspect_lines.speakers(names[:MOST_SPEAKERS], base, f0_hz)
    lines[0] = f"  speakers     {len(names)}, ids from {base}"
    if default is not None and len(names) > 1:
        lines[0] += f"; without --spk {base + default} {names[default]}"
    if len(names) > MOST_SPEAKERS:
        lines.append(f"          … and {len(names) - MOST_SPEAKERS} more, to {base + len(names) - 1} {names[-1]}")
    return lines
