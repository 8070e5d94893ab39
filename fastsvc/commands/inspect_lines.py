"""Lines that the descriptions of engines and of checkpoints share."""

from __future__ import annotations

from fastsvc.config import (
    AcousticConfig,
    DenoiserConfig,
    FeatureConfig,
    HubertConfig,
    MelConfig,
    RecogniserConfig,
    SourceFilterConfig,
    VocoderConfig,
)


def network(net: DenoiserConfig) -> str:
    sizes = f"{net.layers} layers × {net.channels} channels, {net.mel_bins} mel bins"
    return f"  denoiser     {sizes}, dilation cycle {net.dilation_cycle}"


def condition(config: AcousticConfig) -> str:
    part = config.condition
    shift = (", pulses at f0" if part.pulses else "") + (", key shift (--formant)" if part.key_shift else "")
    if config.amphion is None:
        return f"  condition    {part.unit_channels} unit channels → {part.channels}{shift}"
    sizes = f"{config.amphion.layers} layers × {config.amphion.channels} channels"
    return f"  condition    Amphion's Conformer, {sizes} over {', '.join(config.amphion.encoders)}, f0, energy, singer"


def mel(spec: MelConfig) -> str:
    log = "log10" if spec.log_base == "10" else "ln"
    return f"  mel          {spec.rate_hz} Hz, hop {spec.hop_samples} samples, {spec.bins} bins, {log}"


def generator(spec: VocoderConfig | SourceFilterConfig) -> str:
    if isinstance(spec, SourceFilterConfig):
        sizes = f"{spec.blocks} blocks of {spec.channels} channels, {spec.bands} bands"
        return f"  generator    {spec.family}, {sizes}, filters of {spec.transform_samples} samples"
    family = "RVC's HiFi-GAN" if spec.speakers else spec.family  # no other one has a table of speakers
    source = "no source" if spec.source == "none" else spec.source
    return f"  generator    {family}, {source}, {spec.initial_channels} channels, {spec.upsample_rates}"


def features(spec: FeatureConfig) -> str:
    """The features' line, with the range of pitch in training."""
    return (
        f"  features     {spec.encoder} ({spec.unit_channels} channels, {spec.unit_align}), f0 by {spec.f0_method}"
        f" from {spec.f0_low_hz:g} to {spec.f0_high_hz:g} Hz"
    )


def units(config: RecogniserConfig | HubertConfig) -> str:
    if isinstance(config, RecogniserConfig):
        return f"  units        {config.bottleneck} channels, {len(config.phones)} phones ({config.architecture})"
    projected = f", final_proj to {config.projection}" if config.projection else ", no final_proj"
    return f"  units        HuBERT, {config.layers} layers × {config.channels} channels{projected}"


def speakers(names, base: int, f0_hz) -> list[str]:
    pitches = [f" (median {f:.0f} Hz)" if f > 0 else "" for f in f0_hz] + [""] * len(names)
    rows = [f"    {base + i:>4}  {name}{pitch}" for i, (name, pitch) in enumerate(zip(names, pitches))]
    return [f"  speakers     {len(names)}, ids from {base}", *rows]
