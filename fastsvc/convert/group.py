"""Channels of several recordings that the engine synthesizes together, so that their slices share a GPU's batches."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Iterable, Sequence

from fastsvc import faults, memory
from fastsvc.audio import io
from fastsvc.audio.resample import resampled_length
from fastsvc.config import MelConfig
from fastsvc.convert.plan import Job
from fastsvc.convert.recording import Channel
from fastsvc.convert.settings import ConversionSettings
from fastsvc.errors import FastsvcError

# Frames of a group: features, mels and audio of that many are in memory at once (6 minutes at 24 kHz, hop 128).
MOST_FRAMES = 65536


class GroupFill:
    """How full a group is: at most ``most`` recordings and MOST_FRAMES frames."""

    def __init__(self, most: int):
        self.most = most
        self.clear()

    def clear(self) -> None:
        self.frames = self.recordings = 0

    def add(self, frames: int) -> bool:
        """Count one more channel; whether the group is full."""
        self.frames += frames
        return self.most == 1 or self.frames >= MOST_FRAMES

    def end(self) -> bool:
        """Count a recording whose channels are all in the group; whether the group is full."""
        self.recordings += self.frames > 0
        return self.recordings >= self.most


def groups(recordings: Iterable[Sequence[int]], most: int) -> list[list[int]]:
    """Frames of the channels in each group, from the frames of each recording's channels, if no recording fails."""
    fill, result = GroupFill(most), [[]]
    for channels in recordings:
        for frames in channels:
            result[-1].append(frames)
            if fill.add(frames):
                result.append([])
                fill.clear()
        if fill.end():
            result.append([])
            fill.clear()
    return [group for group in result if group]


def frames_of(jobs: Iterable[Job], mel: MelConfig, keep_channels: bool) -> list[list[int]]:
    """Frames of each recording's channels, from its header; recordings that cannot be read are left out."""
    result = []
    for job in jobs:
        try:
            info = io.probe(job.source)
        except FastsvcError:
            continue
        samples = resampled_length(info.samples, info.rate_hz, mel.rate_hz)
        if samples:
            result.append([math.ceil(samples / mel.hop_samples)] * (info.channels if keep_channels else 1))
    return result


def synthesize(
    engine, channels: Sequence[Channel], settings: ConversionSettings, progress: Callable[[float], None]
) -> None:
    """Give every channel its audio. After a failure each channel is tried alone, so that each keeps its own error."""
    channels = [channel for channel in channels if not channel.recording.failed]
    if len(channels) > 1:
        try:
            return _together(engine, channels, settings, progress)
        except Exception as error:
            group_error = memory.release_frames(error)
    for channel in channels:
        try:
            _together(engine, [channel], settings, progress)
        except Exception as error:
            channel.recording.fail(error)
    if len(channels) > 1 and not any(channel.recording.failed for channel in channels):
        warnings.warn(
            f"{len(channels)} recordings failed together and went well alone: {faults.line_with_report(group_error)}",
            stacklevel=2,
        )


def _together(
    engine, channels: Sequence[Channel], settings: ConversionSettings, progress: Callable[[float], None]
) -> None:
    start = time.perf_counter()
    outputs = engine.synthesise_many([channel.features for channel in channels], settings.request, progress=progress)
    seconds, frames = time.perf_counter() - start, sum(channel.frames for channel in channels)
    for channel, audio in zip(channels, outputs, strict=True):
        channel.recording.receive(channel, audio, seconds * channel.frames / frames)
