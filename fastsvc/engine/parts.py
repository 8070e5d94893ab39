"""A backend's input, an engine folder with its configurations, and its output, the parts that do the work."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fastsvc.artifact import engine_folder, index_tensors, lowered
from fastsvc.audio.resample import resample
from fastsvc.config import AnyAcousticConfig, AnyVocoderConfig
from fastsvc.engine.speakers import Speakers
from fastsvc.errors import EngineError
from fastsvc.model.keys import skeleton
from fastsvc.model.modules import module


@dataclass(frozen=True)
class Model:
    """An engine folder with its configurations; None for a part that it does not have."""

    folder: engine_folder.Artifact
    acoustic: AnyAcousticConfig
    vocoder: AnyVocoderConfig | None
    content_kind: str | None
    content: Any
    speakers: Speakers | None = None

    @classmethod
    def of(cls, folder: engine_folder.Artifact) -> Model:
        """The manifest's configurations. The manifest was checked when the folder was opened
        (artifact/manifest_values.py), so a failure from here on is not a damaged manifest."""
        manifest = folder.manifest
        vocoder, content = manifest.vocoder, manifest.content
        return cls(
            folder,
            manifest.acoustic,
            vocoder and vocoder.config,
            content and content.kind,
            content and content.config,
            Speakers.of(manifest),
        )

    def weights(self) -> dict[str, Tensor]:
        """The lowered tensors, with exactly the names and shapes that the manifest's configuration needs."""
        tensors = self.folder.tensors(engine_folder.WEIGHTS)
        expected = lowered.shapes(self.acoustic, len(self.folder.manifest.sampling.levels))
        shapes = {name: tuple(value.shape) for name, value in tensors.items()}
        misfits = sorted(name for name in {*expected, *shapes} if expected.get(name) != shapes.get(name))
        if misfits:
            names = ", ".join(misfits)
            file = f"{self.folder.path}: {engine_folder.WEIGHTS}"
            raise EngineError(f"{file} does not fit: {names}", "build the engine again")
        return tensors

    def generator(self) -> dict[str, Tensor]:
        """The vocoder's tensors."""
        return self._part(engine_folder.VOCODER, "vocoder", self.vocoder)

    def encoder(self, device, dtype: torch.dtype | None = None):
        """The content encoder on a device, or None. ``dtype``: the type that the GPU's own form computes in."""
        if not self.content or self.content_kind is None:
            return None
        from fastsvc.features.content import RecogniserEncoder
        from fastsvc.features.hubert import HubertEncoder

        kinds = {"recogniser": RecogniserEncoder, "hubert": HubertEncoder}
        tensors = self._part(engine_folder.CONTENT, self.content_kind, self.content)
        if dtype is not None:
            from fastsvc.engine.cuda.encoders import cuda_encoder

            return cuda_encoder(self.content_kind, self.content, tensors, dtype, device)
        return kinds[self.content_kind](self.content, tensors, device)

    def rounded_encoder(self):
        """HuBERT with its large products in bfloat16, on the processor."""
        from fastsvc.features.hubert import HubertEncoder

        assert self.content_kind == "hubert", "the other encoders have no such form"
        tensors = self._part(engine_folder.CONTENT, self.content_kind, self.content)
        return HubertEncoder(self.content, tensors, dtype=torch.bfloat16)

    def retrieval(self, device):
        """The index of training units on a device, or None."""
        entry = self.folder.manifest.index
        if entry is None:
            return None
        from fastsvc.features.retrieval import Retrieval

        tensors = self.folder.tensors(engine_folder.INDEX)
        wrong = index_tensors.misfit(tensors, entry.vectors, entry.lists, self.acoustic.unit_channels)
        if wrong:
            file = f"{self.folder.path}: {engine_folder.INDEX}"
            raise EngineError(f"{file} does not fit the manifest: {wrong}", "build the engine again")
        vectors, list_sizes, centroids = (tensors[name] for name in index_tensors.NAMES)
        return Retrieval(vectors, list_sizes, centroids, device)

    def _part(self, name: str, kind: str, config) -> dict[str, Tensor]:
        """The tensors of a file, with exactly the names and shapes that its configuration needs."""
        tensors = self.folder.tensors(name)
        expected = {key: value.shape for key, value in skeleton(lambda: module(kind, config)).state_dict().items()}
        if {key: value.shape for key, value in tensors.items()} != expected:
            raise EngineError(f"{self.folder.path}: {name} does not fit its configuration", "build the engine again")
        return tensors


@dataclass(frozen=True)
class Parts:
    """The parts that do the work: mels from features, audio from mels, units from audio. ``how`` is a line for people.

    ``sampler`` and ``synthesiser`` are called as those of fastsvc.engine.cpu.sampler. ``yin``: the device's own YIN for
    fastsvc.engine.extraction, or None. ``front``: the device's own way from samples to features, a
    fastsvc.engine.cuda.front.DeviceFront, or None. ``retrieval``: the index, a fastsvc.features.retrieval.Retrieval, or
    None. ``join``: likewise its own way from audio to the output, a fastsvc.engine.cuda.joining.DeviceJoin, or None.
    ``resample``: as fastsvc.audio.resample.resample, for what has no such way.
    ``rounded``: on a processor, the parts that compute in bfloat16 (fastsvc/engine/cpu/precision.py).
    """

    device: torch.device
    precision: str
    how: str
    sampler: Any
    synthesiser: Any
    encoder: Any
    yin: Any = None
    retrieval: Any = None
    front: Any = None
    join: Any = None
    resample: Callable[..., np.ndarray] = resample
    rounded: tuple[str, ...] = ()
