"""Features → log-mel on a GPU: slices in batches through the denoiser's graphs.

A schedule that the kernels' update form expresses is one graph from noise to mel. All others (Heun, UniPC, noise that
the caller supplies, that is scaled or that is drawn about the condition) are stepped by fastsvc/model/sampler.py, with
one graph for each evaluation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor

from fastsvc.artifact.manifest import Sampling
from fastsvc.audio.slicing import blocks
from fastsvc.config import AcousticConfig
from fastsvc.engine import ranges
from fastsvc.engine.buckets import Buckets, Shape
from fastsvc.engine.cpu.sampler import Features, Noise, Progress, SeededNoise
from fastsvc.engine.cuda import schedules
from fastsvc.engine.cuda.batched import BatchedSampler
from fastsvc.engine.cuda.conditions import condition_for
from fastsvc.engine.cuda.copies import to_device
from fastsvc.engine.cuda.denoiser import DenoiserNetwork, DenoiserProgram, packed
from fastsvc.engine.cuda.graphs import Graphs
from fastsvc.engine.cuda.slice_jobs import SliceJob, stacked_rows
from fastsvc.engine.cuda.staging import Slice
from fastsvc.model import sampler, schedule


class MelSampler(BatchedSampler):
    """The same role as fastsvc.engine.cpu.sampler.MelSampler; mels stay on the device."""

    config: AcousticConfig

    def __init__(self, tensors, config: AcousticConfig, sampling: Sampling, dtype, device, arch: int, launcher):
        self.config, self.method, self.depth = config, sampling.method, sampling.depth
        sampler.check_method(config, self.method)
        self.device = torch.device(device)
        self.schedules = sampling.schedules
        self.plans = {
            n: schedules.fused(config, self.method, row, self.depth is not None) for n, row in self.schedules.items()
        }
        self.condition = condition_for(config)(tensors, config, self.device)
        weights = packed(tensors, config, dtype, self.device)
        self.network = DenoiserNetwork(
            weights, config, sampling.levels, tensors["steps.vectors"], arch, launcher, Graphs(self.device)
        )
        self.low, self.high = (torch.tensor(edge, device=self.device) for edge in (config.norm.low, config.norm.high))
        self.buckets = Buckets()

    def _sampled(self, recordings, speaker, steps, noises, block, progress, mel) -> list[Tensor]:
        """Log-mels, which stay on the device."""
        return self._run(self._slice_jobs(recordings, speaker, steps, noises, block, mel), recordings, steps, progress)

    def _run(
        self, jobs: list[SliceJob], recordings: list[Features], steps: int, progress: Progress | None
    ) -> list[Tensor]:
        self.network.reserve(self.buckets.largest())
        mels = [torch.empty(len(f.f0_hz), self.config.mel.bins, device=self.device) for f in recordings]
        plan = self.plans[steps]
        fused = plan is not None and all(job.in_kernels for job in jobs)
        lengths, done = [len(job.slice) for job in jobs], 0
        for group in self.buckets.batches(lengths):
            batch = [jobs[i] for i in group]
            shape = self.buckets.shape([lengths[i] for i in group])
            self.fill(self.network.program(shape), batch)
            with ranges.stage("denoiser"):
                out = self._fused(shape, steps, batch) if fused else self._stepped(shape, steps, batch)
            for row, job in enumerate(batch):
                start = job.slice.first
                mels[job.recording][job.first : job.last] = out[row, job.first - start : job.last - start]
            done += sum(lengths[i] for i in group)
            if progress:
                progress(done / sum(lengths))
        return mels

    def _slice_jobs(self, recordings, speaker, steps, noises, block, mel) -> list[SliceJob]:
        """All slices of all recordings, in order."""
        halo = self.halo(steps)
        utterance, jobs = to_device(speaker.detach(), self.device, torch.float32), []
        start_mel = None if mel is None else self.normalise(mel.to(self.device))
        for recording, (features, noise) in enumerate(zip(recordings, noises, strict=True)):
            frames = len(features.f0_hz)
            units, unit_indices, recording_cond = self.condition.inputs(features, speaker)
            cuts = self.buckets.cut(frames, halo) if block is None else blocks(frames, block, halo)
            by_frame = torch.stack([features.f0_hz, features.volume, features.voiced.float()])
            units = to_device(units, self.device, torch.float32)  # once, not for each slice
            for first, last, start, end in cuts:
                seed = noise.seed if isinstance(noise, SeededNoise) else 0
                indices = unit_indices[start:end].int()
                piece = Slice(units, indices, by_frame[:, start:end], utterance, start, seed)
                cond, x0 = (None if rows is None else rows[start:end] for rows in (recording_cond, start_mel))
                jobs.append(SliceJob(piece, recording, first, last, noise, cond, x0))
        return jobs

    def fill(self, program: DenoiserProgram, jobs: list[SliceJob]) -> None:
        """Write the program's inputs, and the condition into its buffer."""
        self.network.staging.send(program, [job.slice for job in jobs])
        self.condition.fill(self.network, program, [job.cond for job in jobs])

    def _fused(self, shape: Shape, steps: int, jobs: list[SliceJob]) -> Tensor:
        program, plan = self.network.program(shape), self.plans[steps]
        assert plan is not None, "without a plan evaluations are stepped"
        start = self.network.prepared(shape, ("sampling", steps), lambda p: p.sampling(plan))
        if plan.carry:
            for row, job in enumerate(jobs):
                start_mel = job.required_start_mel
                program.net.out[row, : len(start_mel)] = start_mel
        start()
        return program.net.out

    def _stepped(self, shape: Shape, steps: int, jobs: list[SliceJob]) -> Tensor:
        """Evaluations from the host loop of fastsvc/model/sampler.py → log-mel [B, T, M]."""
        net = self.network.program(shape).net
        width = self.config.denoiser.cond_channels

        def draw(step: int) -> Tensor:
            return stacked_rows(jobs, net.x, lambda job: job.draw(step, self.device))

        def denoise(x: Tensor, sigma: float) -> Tensor:
            net.x.copy_(x)
            self.network.replay(shape, ("evaluation", float(sigma)), lambda p: p.evaluation(float(sigma)))
            return net.out.clone()

        x0 = None
        if jobs[0].start_mel is not None:
            x0 = stacked_rows(jobs, net.x, lambda job: job.required_start_mel)
        cond = net.cond[..., :width].float()
        x = sampler.sample(self.config, self.method, denoise, self.schedules[steps], draw, cond, x0)
        return self.denormalise(x)

    def normalise(self, mel: Tensor) -> Tensor:
        return (mel - self.low) / ((self.high - self.low) / 2) - 1

    def denormalise(self, x: Tensor) -> Tensor:
        return (x + 1) * ((self.high - self.low) / 2) + self.low

    def timed_stages(self, features: Features, speaker: Tensor, steps: int, noise: Noise) -> dict[str, Callable]:
        """As fastsvc.engine.cpu.sampler.MelSampler.timed_stages, over inputs on the device, in one slice."""
        self.network.reserve(self.buckets.largest())
        jobs = self._slice_jobs([features], speaker, steps, [noise], len(features.f0_hz), None)
        shape = self.buckets.shape([len(jobs[0].slice)])
        self.fill(self.network.program(shape), jobs)
        self._fused_or_stepped(shape, steps, jobs)
        cond = self.condition.alone(self.network, shape, features, speaker)
        return {"condition": cond, "denoiser": lambda: self._fused_or_stepped(shape, steps, jobs)}

    def _fused_or_stepped(self, shape: Shape, steps: int, jobs: list[SliceJob]) -> Tensor:
        fused = self.plans[steps] is not None and jobs[0].in_kernels
        return (self._fused if fused else self._stepped)(shape, steps, jobs)

    def halo(self, steps: int) -> int:
        """Frames to each side that a frame of the mel depends on."""
        return self.config.denoiser.halo_frames * schedule.evaluations(self.method, self.schedules[steps])

    def warm_up(
        self,
        steps: Iterable[int],
        groups: Sequence[Sequence[int]] | None = None,
        progress: Progress | None = None,
    ) -> None:
        """Make the graphs for these numbers of steps, the largest shapes first: for all buckets, or for ``groups`` of
        recordings with these numbers of frames, sampled together."""
        self._within_memory(lambda: self._prepare(tuple(steps), groups, progress))

    def _prepare(self, steps: tuple[int, ...], groups, progress: Progress | None) -> None:
        self.network.reserve(self.buckets.largest())
        pairs = []
        for n in steps:
            shapes = self.buckets.shapes() if groups is None else self.buckets.needed(groups, self.halo(n))
            pairs += [(shape, n) for shape in shapes]
        pairs.sort(key=lambda pair: -pair[0].batch * pair[0].frames)
        for done, (shape, n) in enumerate(pairs, 1):
            self.network.staging.send(self.network.program(shape), [])  # slices of no length
            self.condition.prepare(self.network, shape)
            self._graphs(shape, n)
            if progress:
                progress(done / len(pairs))

    def _graphs(self, shape: Shape, steps: int) -> None:
        """Capture the schedule's graph, or those of the evaluations of a stepped schedule."""
        plan = self.plans[steps]
        if plan is not None and self.condition.in_graphs:
            self.network.prepared(shape, ("sampling", steps), lambda p: p.sampling(plan))
            return
        for level in schedule.evaluated(self.method, self.schedules[steps]):
            self.network.prepared(shape, ("evaluation", float(level)), lambda p, at=float(level): p.evaluation(at))
