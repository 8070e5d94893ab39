"""Features → the generator's input for RVC's voices on a GPU: recordings in batches through encoder and flow.

Long recordings go through the encoder in the CPU's stretches, with its fades (engine/cpu/rvc/encoder.py). Short ones
share a padded batch of the encoder, and the rows of the flow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor

from fastsvc.artifact.manifest import Sampling
from fastsvc.config.rvc import RvcConfig
from fastsvc.engine import ranges
from fastsvc.engine.buckets import Buckets
from fastsvc.engine.cpu.rvc.encoder import faded
from fastsvc.engine.cpu.rvc.sampler import ENCODER_SHARE, RvcSampler, RvcSpeakers
from fastsvc.engine.cpu.sampler import Features, Noise, Progress, SeededNoise
from fastsvc.engine.cuda.batched import BatchedSampler
from fastsvc.engine.cuda.copies import to_device
from fastsvc.engine.cuda.rvc import batches, inputs
from fastsvc.engine.cuda.rvc.batches import Piece
from fastsvc.engine.cuda.rvc.flow import FlowProgram, RowSlice
from fastsvc.engine.cuda.rvc.network import FLOW, SAMPLE, RvcNetwork


class CudaRvcSampler(BatchedSampler):
    """The same role as fastsvc.engine.cpu.rvc.RvcSampler; latents stay on the device.

    dtype: of the products. Softmax and norms sum in float32 inside PyTorch's kernels; mean, deviation, draw and latent
    are float32 in every precision. Relative RMS error of latents at full size, against float64 and on a CPU: 2e-6 in
    float32, 1.4e-3 in float16, 1.4e-2 in bfloat16; tests allow 1e-5, 4e-3, 3e-2, and twice plain PyTorch's.
    """

    config: RvcConfig
    drawn = RvcSampler.drawn  # over tensors on the device

    def __init__(self, tensors: dict[str, Tensor], config: RvcConfig, sampling: Sampling, dtype: torch.dtype, device):
        self.config, self.method, self.depth, self.schedules = config, sampling.method, None, sampling.schedules
        self.device = torch.device(device)
        self.condition = RvcSpeakers(tensors["condition.speakers"].float())
        self.buckets = Buckets(batches.ROWS)
        self.network = RvcNetwork(tensors, config, dtype, self.device, self.buckets.rows)

    def _sampled(self, recordings, speaker, steps, noises, block, progress, mel) -> list[Tensor]:
        """Latents, which stay on the device; ``block``: frames that a piece of the flow computes."""
        self.network.reserve(self.buckets)
        voice, scale = to_device(speaker, self.device, torch.float32), self.schedules[steps][0]
        frames = [len(features.f0_hz) for features in recordings]
        latents = [torch.empty(count, self.config.mel.bins, device=self.device) for count in frames]
        done, halo = 0, self.config.flow_halo_frames

        def report(fraction: float, group: list[int]) -> None:
            if progress:
                progress((done + fraction * sum(frames[i] for i in group)) / sum(frames))

        for group in batches.encoder_groups(frames, self.buckets):
            priors = dict(zip(group, self._priors([recordings[i] for i in group], lambda f, g=group: report(f, g))))
            for pieces in batches.flow_pieces([(i, frames[i]) for i in group], self.buckets, halo, block):
                self._flow(pieces, priors, voice, scale, recordings, noises, latents)
            done += sum(frames[i] for i in group)
            report(0.0, group)
        return latents

    def _priors(self, recordings: list[Features], report: Callable[[float], None]) -> list[Tensor]:
        """mean | log of the deviation [T, 2C] of recordings that share a batch, or of a single one of any length; what
        the next batch overwrites."""
        with ranges.stage("encoder"):
            if len(recordings) > 1:
                return self._encode([(features, 0, len(features.f0_hz)) for features in recordings])
            (features,) = recordings
            prior = torch.empty(len(features.f0_hz), 2 * self.config.mel.bins, device=self.device)
            for first, last, rows in faded(len(prior), lambda begin, end: self._encode([(features, begin, end)])[0]):
                prior[first:last] = rows
                report(ENCODER_SHARE * last / len(prior))
            return [prior]

    def _encode(self, passes: list[tuple[Features, int, int]]) -> list[Tensor]:
        """mean | log of the deviation of frames [begin, end) of recordings, in the program's own memory."""
        lengths = [end - begin for _, begin, end in passes]
        program, replay = self.network.encoder(self.buckets.shape(lengths))
        inputs.fill(program, passes, self.config.pitch, self.device)
        replay()
        return [program.prior[row, :length] for row, length in enumerate(lengths)]

    def _flow(self, pieces: list[Piece], priors, voice: Tensor, scale: float, recordings, noises, latents) -> None:
        """Draw and flow of pieces that share rows, into ``latents``."""
        own = [noises[piece.recording] for piece in pieces]
        seeded = all(isinstance(noise, SeededNoise) and noise.scale == own[0].scale for noise in own)
        scale = scale * own[0].scale if seeded else scale  # the graph draws with deviation 1
        rows = self.buckets.bucket(batches.rows(pieces))
        program, replay = self.network.flow(rows, SAMPLE if seeded else FLOW)
        slices, first_row = [], 0
        for piece in pieces:
            noise, place = noises[piece.recording], piece.begin - recordings[piece.recording].margin
            slices.append(RowSlice(first_row, piece.rows, place, noise.seed if seeded else 0))
            first_row += piece.rows
            prior = priors[piece.recording][piece.begin : piece.end]
            if seeded:
                program.prior[slices[-1].own] = prior
            else:
                draws = to_device(noise(0, place, place + piece.rows), self.device, torch.float32)
                program.z[slices[-1].own] = self.drawn(prior, draws, scale)
        self._fill(program, slices, voice, scale)
        with ranges.stage("flow"):
            replay()
        for piece, one in zip(pieces, slices):
            own = program.z[one.own][piece.first - piece.begin : piece.last - piece.begin]
            latents[piece.recording][piece.first : piece.last] = own

    def _fill(self, program: FlowProgram, slices: list[RowSlice], voice: Tensor, scale: float) -> None:
        program.by_row.copy_(to_device(program.slices_by_row(slices), self.device))
        program.voice.copy_(voice.view_as(program.voice))
        program.scale.fill_(scale)

    def encoding(self, features: Features) -> Callable[[int, int], Tensor]:
        """(begin, end) → mean | log of the deviation of these frames, which attend to each other alone."""
        return lambda begin, end: self._encode([(features, begin, end)])[0].clone()

    def flow(self, z_p: Tensor, voice: Tensor) -> Tensor:
        """z_p [T, C] → z [T, C] for a voice, in one piece."""
        program, replay = self.network.flow(self.buckets.bucket(len(z_p)), FLOW)
        self._fill(program, [RowSlice(0, len(z_p))], to_device(voice, self.device, torch.float32), 0.0)
        program.z[: len(z_p)] = z_p
        replay()
        return program.z[: len(z_p)].clone()

    def timed_stages(self, features: Features, speaker: Tensor, steps: int, noise: Noise) -> dict[str, Callable]:
        """As the CPU's, over inputs on the device; the flow with its draw where the noise is seeded."""
        self.network.reserve(self.buckets)
        frames, scale = len(features.f0_hz), self.schedules[steps][0]
        prior, voice = self.encoding(features)(0, frames), to_device(speaker, self.device, torch.float32)
        _, encode = self.network.encoder(self.buckets.shape([frames]))
        whole, latent = Piece(0, 0, frames, 0, frames), torch.empty(frames, self.config.mel.bins, device=self.device)
        self._flow([whole], [prior], voice, scale, [features], [noise], [latent])
        _, flow = self.network.flow(self.buckets.bucket(frames), SAMPLE if isinstance(noise, SeededNoise) else FLOW)
        return {"encoder": encode, "flow": flow}

    def warm_up(
        self,
        steps: Iterable[int],
        groups: Sequence[Sequence[int]] | None = None,
        progress: Progress | None = None,
    ) -> None:
        """Make the graphs, the largest shapes first: of all buckets, or for ``groups`` of recordings with these numbers
        of frames, margins included, sampled together. They are the same for all ``steps``."""
        self._within_memory(lambda: self._prepare(groups, progress))

    def _prepare(self, groups, progress: Progress | None) -> None:
        self.network.reserve(self.buckets)
        if groups is None:
            encoders = self.buckets.shapes()
            flows = sorted({shape.frames for shape in encoders}, reverse=True)
        else:
            encoders, flows = batches.shapes(groups, self.buckets, self.config.flow_halo_frames)
        works = [lambda shape=shape: self.network.encoder(shape) for shape in encoders]
        works += [lambda rows=rows: self.network.flow(rows, SAMPLE) for rows in flows]
        for done, prepare in enumerate(works, 1):
            prepare()
            if progress:
                progress(done / len(works))
