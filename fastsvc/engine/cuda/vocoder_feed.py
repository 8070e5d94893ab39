"""From the frames of a recording to the vocoder's static inputs, inside the graph that computes the audio.

A batch's slices lie within consecutive frames of the recording. Before the graph starts, these frames and a few numbers
are copied into static buffers, three copies in all. The graph cuts the slices, sums the phases and draws the noise.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import torch
from torch import Tensor

from fastsvc.config import AnyVocoderConfig, SourceFilterConfig, VocoderConfig
from fastsvc.engine.cuda.staging import as_int64
from fastsvc.engine.cuda.vocoder_inputs import VocoderInputs, by_kernel
from fastsvc.kernels.vocoder import source as source_kernel
from fastsvc.model import noise, source, vocoders

NUMBERS = 3  # behind the slices' first frames: the batch's first frame, the seed, the frames to the next batch


def by_frame(f0_hz: Tensor, config: AnyVocoderConfig) -> tuple[Tensor, ...]:
    """What the excitation needs of each frame, f0_hz [T] first; () without a source. Phases that depend on the whole
    recording before a slice are summed here, unless the graph sums them."""
    if not config.source_channels:
        return ()
    return (f0_hz,) if by_kernel(config) else (f0_hz, vocoders.frame_phase(f0_hz[None], config)[0])


@functools.lru_cache(maxsize=64)
def starting_offsets(config: VocoderConfig, seed: int) -> tuple[int, ...]:
    """The harmonics' starting phases as the source's kernel takes them, drawn on the processor: on a GPU the draw is
    147 small operations."""
    return tuple(source_kernel.offsets(source.initial_phase(config, seed)).tolist())


class VocoderFeed:
    """Static buffers for the frames of ``inputs``, a :class:`VocoderInputs`; a graph may capture :meth:`run`.

    Of a recording in several batches, whose phases go on from one to the next, each batch gives :attr:`reached`.
    """

    def __init__(self, config: AnyVocoderConfig, inputs: VocoderInputs, scale: float):
        """``scale``: of the mel, which may have another logarithm."""
        self.config, self.inputs, self.scale = config, inputs, scale
        batch, frames, bins = inputs.mel.shape
        device = inputs.mel.device
        wide = inputs.offsets.shape[1] if by_kernel(config) else 0
        with torch.inference_mode(False):
            self.mel = torch.zeros(batch * frames, bins, device=device)
            self.f0_hz = torch.zeros(batch * frames, device=device)
            self.phase = torch.zeros(batch * frames, dtype=torch.float64, device=device)
            self.numbers = torch.zeros(batch + NUMBERS + wide, dtype=torch.int64, device=device)
            self.numbers[batch + NUMBERS - 1] = 1  # capturing reads it before any recording has filled it
            self.before, self.reached = (torch.zeros(1, dtype=torch.int64, device=device) for _ in range(2))
            self.frame_numbers = torch.arange(frames, device=device)

    def fill(
        self,
        mel: Tensor,
        parts: tuple[Tensor, ...],
        seed: int,
        starts: Sequence[int],
        following: int | None = None,
        reached: Tensor | None = None,
    ) -> None:
        """The slices of a recording that begin at ``starts``. mel [T, M], ``parts`` of :func:`by_frame`; ``following``:
        the first frame of the next batch; ``reached``: that of the batch before."""
        first, last = starts[0], starts[-1] + self.inputs.mel.shape[1]
        count = last - first
        self.mel[:count].copy_(mel[first:last], non_blocking=True)
        for buffer, part in zip((self.f0_hz, self.phase), parts):
            buffer[:count].copy_(part[first:last], non_blocking=True)
        config = self.config
        offsets = starting_offsets(config, seed) if isinstance(config, VocoderConfig) and by_kernel(config) else ()
        numbers = [*(start - first for start in starts), first, as_int64(seed), (following or first + 1) - first]
        values = torch.zeros(len(self.numbers), dtype=torch.int64)
        values[: len(numbers) + len(offsets)] = torch.tensor([*numbers, *offsets], dtype=torch.int64)
        if self.numbers.device.type == "cuda":
            values = values.pin_memory()  # PyTorch reuses its memory only after the copy
        self.numbers.copy_(values, non_blocking=True)
        if reached is not None:
            self.before.copy_(reached)

    def run(self) -> None:
        """Write the inputs. Nothing here waits for the device or depends on its values."""
        inputs, config = self.inputs, self.config
        batch = len(inputs.mel)
        local, (first, seed, following) = self.numbers[:batch], self.numbers[batch:][:NUMBERS].split(1)
        index = local[:, None] + self.frame_numbers
        inputs.first_frames.copy_(local + first)
        inputs.seeds.copy_(seed.expand(batch))
        torch.mul(self.mel[index], self.scale, out=inputs.mel)
        if inputs.noise is not None:
            places, channels = inputs.first_frames[:, None] + self.frame_numbers, inputs.noise.shape[2]
            inputs.noise.copy_(noise.drawn(inputs.seeds[:, None, None], 0, places, channels, noise.FRAME_STREAM))
        if not config.source_channels:
            return
        if by_kernel(config):
            before = self.before.masked_fill(first == 0, 0)
            kind = config.mel.rate_hz, config.mel.hop_samples
            starts, growth, ends = source_kernel.running_phases(self.f0_hz[None], *kind, before)
            self.reached.copy_(ends[0].gather(0, following - 1))
            inputs.f0_hz.copy_(self.f0_hz[index])
            inputs.starts.copy_(starts[0][index])
            inputs.growth.copy_(growth[0][index])
            inputs.offsets.copy_(self.numbers[batch + NUMBERS :].expand_as(inputs.offsets))
        elif isinstance(config, SourceFilterConfig):
            inputs.f0_hz.copy_(self.f0_hz[index])
            inputs.phase.copy_(self.phase[index])
        else:
            assert inputs.excitation is not None, "the single sine"
            inputs.excitation.copy_(source.sine(self.f0_hz[index], self.phase[index], config)[..., 0])
