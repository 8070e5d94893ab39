"""Checks of the configurations in a manifest and of their agreement: one rate, one mel, one kind of units."""

from __future__ import annotations

from fastsvc.artifact.upgrade import REMOVED_BACKENDS
from fastsvc.config import (
    CONTENT_CONFIGS,
    DDPM_SAMPLERS,
    EDM_SAMPLERS,
    VOCODER_BACKENDS,
    AnyAcousticConfig,
    AnyVocoderConfig,
    DdspConfig,
    RvcConfig,
    VocoderConfig,
    acoustic_config,
    ddsp,
    from_dict,
    vocoder_config,
)
from fastsvc.config.shown import shown
from fastsvc.errors import ConfigError

SHARED = ("rate_hz", "hop_samples", "bins")  # equal in the mels of acoustic model and vocoder
UNVOICED = (None, "zero", "interpolated")
RVC_SAMPLER = "rvc"
ENTRY_TYPES = {"bytes": int, "sha256": str}  # of a listed file


def fault(manifest: dict) -> str | None:
    """As :func:`fastsvc.artifact.manifest_values.fault`, for a manifest whose values have the right types."""
    try:
        config = acoustic_config(manifest["acoustic"])
        return (
            _files(manifest["files"])
            or _sampling(manifest, config)
            or _speakers(manifest, config)
            or _vocoder(manifest.get("vocoder"), config)
            or _content(manifest.get("content"), config)
            or _index(manifest.get("index"), config)
        )
    except ConfigError as error:
        return f"is damaged: {error.message}"


def _files(files: dict) -> str | None:
    for name, entry in files.items():
        valid = isinstance(entry, dict) and all(isinstance(entry.get(key), kind) for key, kind in ENTRY_TYPES.items())
        if not valid or not 0 <= entry["bytes"] < 2**63:
            return f"does not list {shown(name)} properly"
    return None


def _sampling(manifest: dict, config: AnyAcousticConfig) -> str | None:
    method, depth = manifest["sampler"], manifest.get("depth")
    if isinstance(config, RvcConfig):
        one_draw = {"1": [config.noise_scale]}  # one step: a draw of this scale
        fits = method == RVC_SAMPLER and depth is None and manifest["schedules"] == one_draw
        return None if fits else f"has a wrong sampler: {shown(method)} does not fit a voice of RVC"
    if isinstance(config, DdspConfig):
        return _flow(manifest, config)
    if method not in (DDPM_SAMPLERS if config.ddpm else EDM_SAMPLERS):
        return f"has a wrong sampler: {shown(method)} does not fit the model"
    if depth is not None and (config.ddpm is None or depth > config.ddpm.trained_steps):
        return f"has a wrong depth: {depth} does not fit the model"
    for count, row in manifest["schedules"].items():
        evaluated = row if method == "consistency" else row[:-1]  # as fastsvc/model/schedule.py, without its torch
        low = 0 if config.ddpm else 1e-9  # a noise level is a divisor; a step of the chain is not
        high = config.ddpm.timesteps - 1 if config.ddpm else max(config.edm.sigma_max, 1e4)
        if not int(count) <= len(evaluated) <= int(count) + 1 or not all(low <= level <= high for level in evaluated):
            return f"has wrong schedules: that of {count} steps is {shown(row)}"
    return None


def _flow(manifest: dict, config: DdspConfig) -> str | None:
    """Of DDSP-SVC 6: levels 1 − t from the voice's own start to 0, as fastsvc/model/ddsp/flow.py, without its torch."""
    method = manifest["sampler"]
    if method not in ddsp.SAMPLERS or manifest.get("depth") is not None:
        return f"has a wrong sampler: {shown(method)} does not fit a voice of DDSP-SVC"
    for count, row in manifest["schedules"].items():
        steps = int(count)
        even = [(1 - config.t_start) * (steps - i) / steps for i in range(steps + 1)]
        if len(row) != len(even) or any(abs(a - b) > 1e-9 for a, b in zip(row, even)):
            return f"has wrong schedules: that of {count} steps is {shown(row)}"
    return None


def _speakers(manifest: dict, config: AnyAcousticConfig) -> str | None:
    names, speakers = len(manifest["speakers"]), config.speakers
    if names != speakers:
        return f"has wrong speakers: {names} names for {speakers} speakers"
    default = manifest.get("default_speaker")
    if default is not None and default >= speakers:
        return f"has a default_speaker of {default}, but {speakers} speakers"
    return "has more speaker_f0_hz than speakers" if len(manifest.get("speaker_f0_hz") or ()) > speakers else None


def _vocoder(entry: dict | None, config: AnyAcousticConfig) -> str | None:
    if entry is None:
        return "lacks the vocoder, which is a part of every voice of RVC" if isinstance(config, RvcConfig) else None
    vocoder = vocoder_config(entry["config"], "vocoder.config")
    if isinstance(vocoder, VocoderConfig) and vocoder.speakers not in (0, config.speakers):
        return f"has a vocoder.config.speakers of {vocoder.speakers}, but acoustic.speakers is {config.speakers}"
    if isinstance(config, RvcConfig) and not _fits(vocoder, config):
        return "has a vocoder.config that is not the generator of this voice of RVC"
    for name in SHARED:
        acoustic, other = getattr(config.mel, name), getattr(vocoder.mel, name)
        if acoustic != other:
            return f"has a vocoder.config.mel.{name} of {other}, but acoustic.mel.{name} is {acoustic}"
    for key in ("backend", "cpu_backend"):
        if entry.get(key, "auto") not in (*VOCODER_BACKENDS, *REMOVED_BACKENDS):
            return f"has a wrong vocoder.{key}: {shown(entry[key])}"
    if entry.get("unvoiced_f0") not in UNVOICED:
        return f"has a wrong vocoder.unvoiced_f0: {shown(entry['unvoiced_f0'])}"
    return None


def _fits(vocoder: AnyVocoderConfig, config: RvcConfig) -> bool:
    """Whether it takes the voice's speakers, and a source if and only if the voice has pitch."""
    generator = isinstance(vocoder, VocoderConfig) and vocoder.speakers > 0
    return generator and (vocoder.source_channels > 0) == config.pitch


def _content(entry: dict | None, config: AnyAcousticConfig) -> str | None:
    if entry is None:
        return None
    kind = entry.get("kind", "recogniser")  # older engines have no other kind
    if not isinstance(kind, str) or kind not in CONTENT_CONFIGS:
        return f"has a wrong content.kind: {shown(kind)}"
    channels = from_dict(CONTENT_CONFIGS[kind], entry["config"], "content.config").unit_channels
    expected = config.features.unit_channels
    if channels != expected:
        return f"has content.config with {channels} unit channels, but acoustic.features has {expected}"
    return None


def _index(entry: dict | None, config: AnyAcousticConfig) -> str | None:
    if entry is None or isinstance(config, RvcConfig):
        return None
    return "has an index, which only voices of RVC use"
