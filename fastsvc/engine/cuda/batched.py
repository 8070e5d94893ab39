"""Samplers on a GPU, whose recordings share batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor

from fastsvc.config import AnyAcousticConfig
from fastsvc.engine.buckets import Buckets
from fastsvc.engine.cpu.sampler import Features, Noise, Progress
from fastsvc.engine.cuda.short_memory import within_memory

Result = TypeVar("Result")


class BatchedSampler:
    """A sampler whose batches are those of ``buckets``, and whose ``network`` can release its memory.

    :meth:`_sampled` of a subclass does the work: mels or latents of several recordings.
    """

    shares_batches = True
    config: AnyAcousticConfig
    device: torch.device
    buckets: Buckets
    network: Any
    _sampled: Callable[..., list[Tensor]]

    def __call__(
        self,
        features: Features,
        speaker: Tensor,
        steps: int,
        noise: Noise,
        block: int | None = None,
        progress: Progress | None = None,
        mel: Tensor | None = None,
    ) -> Tensor:
        """Log-mel, or RVC's latent, margins included, [T, M] on the device, for the utterance's vector ``speaker``.

        Frame 0 of ``noise`` is the first after the margin. ``block``: frames of a slice; ``mel``: for shallow diffusion
        alone.
        """
        return self._sample([features], speaker, steps, [noise], block, progress, mel)[0]

    def many(
        self,
        recordings: Sequence[Features],
        speaker: Tensor,
        steps: int,
        noises: Sequence[Noise],
        progress: Progress | None = None,
    ) -> list[Tensor]:
        """The same of several recordings, each with its own noise, in common batches."""
        return self._sample(list(recordings), speaker, steps, list(noises), progress=progress)

    def _sample(self, recordings, speaker, steps, noises, block=None, progress=None, mel=None) -> list[Tensor]:
        """:meth:`_sampled`, in smaller and smaller batches if memory is short."""
        return self._within_memory(lambda: self._sampled(recordings, speaker, steps, noises, block, progress, mel))

    def _within_memory(self, work: Callable[[], Result]) -> Result:
        """``work()``, repeated with half the rows whenever memory does not suffice. Raises EngineError."""
        return within_memory(self.device, work, self._halve)

    def _halve(self) -> str | None:
        buckets = self.buckets.halved()
        if buckets is None:
            return None
        self.network.release()
        self.buckets = buckets
        return f"continuing with batches of {buckets.rows} frames"
