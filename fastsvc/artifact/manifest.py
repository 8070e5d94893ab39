"""An engine's manifest as values of their kinds: what :mod:`fastsvc.artifact.stated` found right, read once."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

from fastsvc.artifact.upgrade import upgraded
from fastsvc.config import CONTENT_CONFIGS, AcousticConfig, AnyVocoderConfig, from_dict, to_dict, vocoder_config


@dataclass(frozen=True)
class Origin:
    """Where tensors came from: the checkpoint's name and hash, its format and kind, its step, notes of its reader."""

    file: str
    format: str
    kind: str
    step: int
    sha256: str | None = None
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, stated: dict) -> Origin:
        known: dict[str, Any] = {key.name: stated[key.name] for key in fields(cls) if key.name in stated}
        known["notes"] = tuple(stated.get("notes", ()))
        return cls(**known)


@dataclass(frozen=True)
class Sampling:
    """A sampler's name; for each number of steps its noise levels; all levels that are built in; and, of shallow
    diffusion, the place on the chain where a given mel is taken up."""

    method: str
    schedules: dict[int, list[float]]
    levels: list[float]
    depth: int | None = None


@dataclass(frozen=True)
class VocoderPart:
    """``unvoiced_f0``: what it gets in unvoiced frames, zero or interpolated; backends of GPU and CPU."""

    config: AnyVocoderConfig
    source: Origin
    unvoiced_f0: str = "zero"
    backend: str = "auto"
    cpu_backend: str = "torch"


@dataclass(frozen=True)
class ContentPart:
    """``kind``: of CONTENT_CONFIGS."""

    kind: str
    config: Any
    source: Origin


@dataclass(frozen=True)
class Manifest:
    """Everything about an engine that is not a tensor. ``schedules`` and ``default_steps`` are of the sampler."""

    source: Origin
    acoustic: AcousticConfig
    speakers: tuple[str, ...]
    sampling: Sampling
    default_steps: int
    speaker_base: int = 0
    speaker_f0_hz: tuple[float, ...] = ()
    input_peak: float | None = None
    precision: str = "fp32"
    gpu_precision: str = "fp32"
    vocoder: VocoderPart | None = None
    content: ContentPart | None = None
    check: dict | None = None
    verified: dict = field(default_factory=dict)
    measured: dict = field(default_factory=dict)

    @classmethod
    def of(cls, stated: dict) -> Manifest:
        """From what a manifest.json holds, of this or an older version of fastsvc, once it was found right."""
        stated = upgraded(stated)
        vocoder, content = stated["vocoder"], stated["content"]
        return cls(
            source=Origin.of(stated["source"]),
            acoustic=from_dict(AcousticConfig, stated["acoustic"], "acoustic"),
            speakers=tuple(stated["speakers"]),
            sampling=Sampling(
                stated["sampler"],
                {int(count): [float(level) for level in row] for count, row in stated["schedules"].items()},
                [float(level) for level in stated["levels"]],
                stated["depth"],
            ),
            default_steps=stated["default_steps"],
            speaker_base=stated["speaker_base"],
            speaker_f0_hz=tuple(stated["speaker_f0_hz"]),
            input_peak=stated["input_peak"],
            precision=stated["precision"],
            gpu_precision=stated["gpu_precision"],
            vocoder=vocoder
            and VocoderPart(
                vocoder_config(vocoder["config"]),
                Origin.of(vocoder["source"]),
                vocoder["unvoiced_f0"],
                vocoder["backend"],
                vocoder["cpu_backend"],
            ),
            content=content
            and ContentPart(
                content["kind"],
                from_dict(CONTENT_CONFIGS[content["kind"]], content["config"], "content"),
                Origin.of(content["source"]),
            ),
            check=stated["check"],
            verified=stated["verified"],
            measured=stated["measured"],
        )

    def to_dict(self) -> dict:
        """What manifest.json holds besides format, versions and files."""
        plain = {key.name: getattr(self, key.name) for key in fields(self) if key.name != "sampling"}
        return plain | {
            "source": _plain(self.source),
            "acoustic": to_dict(self.acoustic),
            "speakers": list(self.speakers),
            "speaker_f0_hz": list(self.speaker_f0_hz),
            "sampler": self.sampling.method,
            "depth": self.sampling.depth,
            "schedules": {str(count): levels for count, levels in self.sampling.schedules.items()},
            "levels": self.sampling.levels,
            "vocoder": _part(self.vocoder),
            "content": _part(self.content),
        }


def _part(part) -> dict | None:
    return part and _plain(part) | {"config": to_dict(part.config), "source": _plain(part.source)}


def _plain(values) -> dict:
    plain = {key.name: getattr(values, key.name) for key in fields(values)}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in plain.items()}
