"""Lines about voices of DDSP-SVC 6, for the descriptions of engines and of checkpoints."""

from __future__ import annotations

from fastsvc.artifact.manifest import Manifest
from fastsvc.commands import inspect_lines
from fastsvc.config import DdspConfig


def engine(manifest: Manifest) -> list[str]:
    steps = ", ".join(map(str, manifest.sampling.schedules))
    sampling = f"  sampling     {manifest.sampling.method}, steps {steps} (default: {manifest.default_steps})"
    return [*network(manifest.acoustic), sampling]


def network(config: DdspConfig) -> list[str]:
    """Version, sizes, flow, features."""
    shift = ", key shift (--formant)" if config.key_shift else ""
    few = f", trained at {', '.join(map(str, config.few_steps))} steps" if config.few_steps else ""
    extra = ", with norms" * config.norm + ", with attention" * config.attention
    return [
        f"  voice        DDSP-SVC {config.version}{shift}",
        f"  synthesiser  comb tooth and noise, windows of {config.window_samples} samples; control network of"
        f" {config.hidden_layers} layers × {config.hidden} channels{extra}",
        f"  flow         from t = {config.t_start:g}, {config.layers} layers × {config.channels} channels{few}",
        inspect_lines.mel(config.mel),
        inspect_lines.features(config.features),
    ]
