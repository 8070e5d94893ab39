"""An engine's manifest as typed values, read once, after :mod:`fastsvc.artifact.manifest_values` has checked them."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

from fastsvc.artifact.upgrade import upgraded
from fastsvc.config import (
    CONTENT_CONFIGS,
    AnyAcousticConfig,
    AnyVocoderConfig,
    acoustic_config,
    from_dict,
    to_dict,
    vocoder_config,
)


@dataclass(frozen=True)
class TensorOrigin:
    """The checkpoint of some tensors: its file name and hash, format and kind, step, and notes of its reader.
    ``encoder``: as of fastsvc.checkpoints.Checkpoint."""

    file: str
    format: str
    kind: str
    step: int
    sha256: str | None = None
    notes: tuple[str, ...] = ()
    encoder: str | None = None

    @classmethod
    def of(cls, raw: dict) -> TensorOrigin:
        values: dict[str, Any] = {key.name: raw[key.name] for key in fields(cls) if key.name in raw}
        values["notes"] = tuple(raw.get("notes", ()))
        return cls(**values)


@dataclass(frozen=True)
class Sampling:
    """A sampler's name; the noise levels for each number of steps; all levels that are built in; for shallow diffusion
    the step of the chain at which a first mel enters."""

    method: str
    schedules: dict[int, list[float]]
    levels: list[float]
    depth: int | None = None


@dataclass(frozen=True)
class VocoderPart:
    """``unvoiced_f0``: the vocoder's f0 in unvoiced frames, zero or interpolated; backends of GPU and CPU."""

    config: AnyVocoderConfig
    source: TensorOrigin
    unvoiced_f0: str = "zero"
    backend: str = "auto"
    cpu_backend: str = "torch"


@dataclass(frozen=True)
class ContentPart:
    """``kind``: a key of CONTENT_CONFIGS."""

    kind: str
    config: Any
    source: TensorOrigin


@dataclass(frozen=True)
class IndexPart:
    """The training units of a voice of RVC: the index's file name and hash, numbers of vectors and of their lists."""

    file: str
    sha256: str
    vectors: int
    lists: int


@dataclass(frozen=True)
class Manifest:
    """Everything about an engine that is not a tensor. ``default_steps`` is a key of the sampling's schedules;
    ``default_speaker``: the row of the speaker where none is named, None: one must be named."""

    source: TensorOrigin
    acoustic: AnyAcousticConfig
    speakers: tuple[str, ...]
    sampling: Sampling
    default_steps: int
    speaker_base: int = 0
    default_speaker: int | None = None
    speaker_f0_hz: tuple[float, ...] = ()
    input_peak: float | None = None
    precision: str = "fp32"
    gpu_precision: str = "fp32"
    store: str = "float"  # one of fastsvc.config.STORES
    vocoder: VocoderPart | None = None
    content: ContentPart | None = None
    index: IndexPart | None = None
    check: dict | None = None
    verified: dict = field(default_factory=dict)
    measured: dict = field(default_factory=dict)

    @classmethod
    def of(cls, raw: dict) -> Manifest:
        """From the checked values of a manifest.json, of this or an older version of fastsvc."""
        raw = upgraded(raw)
        vocoder, content, index = raw["vocoder"], raw["content"], raw["index"]
        return cls(
            source=TensorOrigin.of(raw["source"]),
            acoustic=acoustic_config(raw["acoustic"]),
            speakers=tuple(raw["speakers"]),
            sampling=Sampling(
                raw["sampler"],
                {int(count): [float(level) for level in row] for count, row in raw["schedules"].items()},
                [float(level) for level in raw["levels"]],
                raw["depth"],
            ),
            default_steps=raw["default_steps"],
            speaker_base=raw["speaker_base"],
            default_speaker=raw["default_speaker"],
            speaker_f0_hz=tuple(raw["speaker_f0_hz"]),
            input_peak=raw["input_peak"],
            precision=raw["precision"],
            gpu_precision=raw["gpu_precision"],
            store=raw["store"],
            vocoder=vocoder
            and VocoderPart(
                vocoder_config(vocoder["config"]),
                TensorOrigin.of(vocoder["source"]),
                vocoder["unvoiced_f0"],
                vocoder["backend"],
                vocoder["cpu_backend"],
            ),
            content=content
            and ContentPart(
                content["kind"],
                from_dict(CONTENT_CONFIGS[content["kind"]], content["config"], "content"),
                TensorOrigin.of(content["source"]),
            ),
            index=index and IndexPart(**{key.name: index[key.name] for key in fields(IndexPart)}),
            check=raw["check"],
            verified=raw["verified"],
            measured=raw["measured"],
        )

    def to_dict(self) -> dict:
        """The values of manifest.json besides format, versions and files."""
        plain = {key.name: getattr(self, key.name) for key in fields(self) if key.name != "sampling"}
        return plain | {
            "source": _origin(self.source),
            "acoustic": to_dict(self.acoustic),
            "speakers": list(self.speakers),
            "speaker_f0_hz": list(self.speaker_f0_hz),
            "sampler": self.sampling.method,
            "depth": self.sampling.depth,
            "schedules": {str(count): levels for count, levels in self.sampling.schedules.items()},
            "levels": self.sampling.levels,
            "vocoder": _part(self.vocoder),
            "content": _part(self.content),
            "index": self.index and _plain(self.index),
        }


def _part(part) -> dict | None:
    return part and _plain(part) | {"config": to_dict(part.config), "source": _origin(part.source)}


def _origin(source: TensorOrigin) -> dict:
    return {name: value for name, value in _plain(source).items() if name != "encoder" or value is not None}


def _plain(values) -> dict:
    plain = {key.name: getattr(values, key.name) for key in fields(values)}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in plain.items()}
