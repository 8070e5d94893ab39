"""Log-mel and f0 → audio on a GPU: the excitation, then the generator by the fastest backend, in graphs.

Slices are never padded (engine/buckets.py), so the output is that of one pass over the recording.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

import torch
from torch import Tensor

from fastsvc.config import AnyVocoderConfig
from fastsvc.engine import buckets, ranges
from fastsvc.engine.cpu.generators import torch_generator
from fastsvc.engine.cpu.sampler import Progress
from fastsvc.engine.cuda.copies import DeviceAudio, HostCopy, host_stream, to_device
from fastsvc.engine.cuda.generators.choice import BackendChoice, measured_shapes
from fastsvc.engine.cuda.generators.torch_backend import TorchGenerator
from fastsvc.engine.cuda.graphs import Graphs, on, settle
from fastsvc.engine.cuda.short_memory import within_memory
from fastsvc.engine.cuda.vocoder_feed import VocoderFeed, by_frame
from fastsvc.engine.cuda.vocoder_inputs import VocoderInputs, by_kernel, source_mixing
from fastsvc.model import vocoders

Result = TypeVar("Result")
BASES = {"e": math.e, "10": 10.0}


class Synthesiser:
    """The same role as fastsvc.engine.cpu.sampler.Synthesiser; the mel may be on the device.

    ``choice``: the generator's backends (fastsvc/engine/cuda/generators/choice.py); None: PyTorch alone.
    """

    def __init__(self, tensors, config: AnyVocoderConfig, log_base: str | None, dtype, device, launcher, choice=None):
        self.config, self.device, self.launcher = config, torch.device(device), launcher
        with torch.inference_mode(False):
            vocoder = torch_generator(tensors, config, dtype, device)
            self.mixing = source_mixing(vocoder) if by_kernel(config) else None
        self.speakers = tensors.get(vocoders.SPEAKERS)
        self.choice = choice or BackendChoice(
            {"torch": lambda: TorchGenerator(vocoder)}, lambda: TorchGenerator(vocoder)
        )
        self.halo_frames = vocoder.halo_frames
        self.scale = math.log(BASES[log_base or config.mel.log_base], BASES[config.mel.log_base])
        self.graphs, self.inputs, self.replays, self.calls = Graphs(self.device), {}, {}, {}
        self.feeds: dict[tuple[int, int], VocoderFeed] = {}
        self.host_stream = host_stream(self.device)
        self.most_batch, self.longest = buckets.EVEN_BATCHES[0], buckets.EVEN_FRAMES[-1]

    def speaker(self, weights: Mapping[int, float]) -> Tensor | None:
        """As the CPU's: the vector [initial_channels], on the host, or None."""
        return None if self.speakers is None else vocoders.speaker_vector(self.speakers, weights)

    def __call__(self, mel: Tensor, f0_hz: Tensor, *arguments, **options) -> Tensor:
        """mel [T, M], f0_hz [T] with 0 where there are to be no harmonics, what :meth:`begin` takes → audio [T·hop] on
        the host."""
        return self.begin(mel, f0_hz, *arguments, **options)()

    def begin(
        self,
        mel: Tensor,
        f0_hz: Tensor,
        seed: int = 0,
        block: int | None = None,
        progress: Progress | None = None,
        speaker: Tensor | None = None,
        to_host: bool = True,
    ) -> Callable[[], Tensor]:
        """Start the work; the call that is returned waits for the audio. Until then other recordings may begin. Without
        ``to_host`` the audio stays on the device, and nothing waits."""

        def work() -> Callable[[], Tensor]:
            tensors = to_device(mel, self.device), to_device(f0_hz, self.device)
            vector = None if speaker is None else to_device(speaker, self.device)
            size = len(mel) * self.config.mel.hop_samples
            audio = HostCopy(size, self.device, self.host_stream) if to_host else DeviceAudio(size, self.device)
            return self._synthesise(audio, *tensors, seed, block, progress, vector).wait

        return self._within_memory(work)

    def _within_memory(self, work: Callable[[], Result]) -> Result:
        """``work()``, repeated in smaller batches, then shorter slices, whenever memory does not suffice."""
        return within_memory(self.device, work, self._shrink)

    def _shrink(self) -> str | None:
        if self.most_batch > 1:
            self.most_batch //= 2
        elif self.longest > max(buckets.EVEN_FRAMES[0], 4 * self.halo_frames):
            self.longest //= 2
        else:
            return None
        self.release()
        return f"the vocoder continues with {self.most_batch} slices of {self.longest} frames"

    def release(self) -> None:
        """Forget all shapes and their memory."""
        settle(self.device)
        self.inputs, self.replays, self.calls, self.feeds = {}, {}, {}, {}
        self.choice.release()

    def _synthesise(
        self, audio: HostCopy | DeviceAudio, mel, f0_hz, seed, block, progress, speaker
    ) -> HostCopy | DeviceAudio:
        hop, frames = self.config.mel.hop_samples, len(mel)
        cut = buckets.even_slices(frames, self.halo_frames, block or self.longest)
        parts, reached = by_frame(f0_hz, self.config), None
        for group in cut.batches(self.most_batch):
            starts = [cut.starts[i] for i in group]
            following = cut.starts[group[-1] + 1] if group[-1] + 1 < len(cut.starts) else None
            with ranges.stage("vocoder"):
                out = self._batch(mel, parts, seed, starts, cut.length, speaker, following, reached)
                if following is not None:
                    reached = self.feeds[len(starts), cut.length].reached.clone()
            chunks = []
            for row, i in enumerate(group):
                first, last, start = cut.bounds[i], cut.bounds[i + 1], cut.starts[i]
                chunks.append((first * hop, last * hop, out[row, (first - start) * hop : (last - start) * hop]))
            audio.send(chunks)
            if progress:
                progress(cut.bounds[group[-1] + 1] / frames)
        return audio

    def _batch(
        self,
        mel: Tensor,
        parts: tuple[Tensor, ...],
        seed: int,
        starts: list[int],
        length: int,
        speaker: Tensor | None = None,
        following: int | None = None,
        reached: Tensor | None = None,
    ) -> Tensor:
        """Audio [B, length·hop] of slices that begin at ``starts``; the remainder is as in :meth:`VocoderFeed.fill`."""
        key = len(starts), length
        if key not in self.inputs:
            self.inputs[key] = VocoderInputs(self.config, *key, self.device)
            self.feeds[key] = VocoderFeed(self.config, self.inputs[key], self.scale)
        inputs = self.inputs[key]
        replay = self._replay(key, inputs)  # first, because measuring backends and capturing write over the inputs
        self.feeds[key].fill(mel, parts, seed, starts, following, reached)
        if inputs.speaker is not None:
            assert speaker is not None, "this vocoder takes a speaker's vector"
            inputs.speaker.copy_(speaker)
        replay()
        return inputs.audio

    def _replay(self, key: tuple[int, int], inputs: VocoderInputs) -> Callable[[], None]:
        name = self.choice.name(inputs, self.graphs.capture)
        full_key = (*key, name)
        ready = self.replays.get(full_key) or self.calls.get(full_key)
        if ready is not None:
            return ready
        start_source, feed = inputs.start_source(self.config, self.mixing, self.launcher), self.feeds[key]
        try:
            generate = self.choice.generator(name).bind(inputs)
        except torch.OutOfMemoryError:
            raise
        except Exception as error:
            self.choice.drop(name, error)
            return self._replay(key, inputs)

        def run() -> None:
            feed.run()
            if start_source is not None:
                start_source()
            generate()

        if (
            key[1] not in buckets.EVEN_FRAMES
        ):  # short, and may never come again: no graph, but bound once, as binding may keep
            self.calls[full_key] = run  # memory until it is released
            return run
        self.replays[full_key] = self.graphs.capture(run)
        return self.replays[full_key]

    def measure(self, progress: Progress | None = None) -> None:
        """Time the backends for every bucket of lengths that has no measurement yet, as far as memory suffices."""
        shapes = [shape for shape in measured_shapes() if not self.choice.measured(*shape)]
        for done, shape in enumerate(shapes, 1):
            try:
                with on(self.device):
                    self.choice.measure(VocoderInputs(self.config, *shape, self.device), self.graphs.capture)
            except torch.OutOfMemoryError:
                warnings.warn(f"GPU memory is too small to time {shape[0]} × {shape[1]} frames", stacklevel=2)
                self.release()
            torch.cuda.empty_cache()
            if progress:
                progress(done / len(shapes))

    def warm_up(self, frames: Iterable[int] | None = None, progress: Progress | None = None) -> None:
        """Make the graphs for recordings of these numbers of frames, by default for all shapes, largest first."""
        self._within_memory(lambda: self._prepare(frames, progress))

    def _prepare(self, frames: Iterable[int] | None, progress: Progress | None) -> None:
        bounds = self.halo_frames, self.longest, self.most_batch
        shapes = buckets.even_shapes(*bounds) if frames is None else buckets.even_needed(frames, *bounds)
        for done, shape in enumerate(shapes, 1):
            mel = torch.zeros(shape.frames, self.config.mel.bins, device=self.device)
            parts = by_frame(torch.full((shape.frames,), 200.0, device=self.device), self.config)
            speaker = self.speaker({0: 1.0})
            vector = None if speaker is None else speaker.to(self.device)
            self._batch(mel, parts, 0, [0] * shape.batch, shape.frames, vector)
            if progress:
                progress(done / len(shapes))
