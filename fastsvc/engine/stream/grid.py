"""The grid of a stream: which frames a block holds and how far it looks ahead, and what that costs in time."""

from __future__ import annotations

from dataclasses import dataclass

from fastsvc import arguments


@dataclass(frozen=True)
class Grid:
    """Block k holds the frames k · block … (k + 1) · block − 1; it is computed from frames up to ``lookahead`` more."""

    rate_hz: int  # of the model's audio
    hop: int  # samples a frame, at that rate
    block: int  # frames
    lookahead: int  # frames

    @classmethod
    def of(cls, mel, block_ms, lookahead_ms) -> Grid:
        """``mel``: the model's MelConfig; sizes are rounded to whole frames. Raises ConfigError."""
        block_ms = arguments.number("block_ms", block_ms, *arguments.BLOCK_MS)
        lookahead_ms = arguments.number("lookahead_ms", lookahead_ms, *arguments.LOOKAHEAD_MS)
        frame_ms = 1000 * mel.hop_samples / mel.rate_hz
        return cls(mel.rate_hz, mel.hop_samples, max(1, round(block_ms / frame_ms)), round(lookahead_ms / frame_ms))

    @property
    def frame_ms(self) -> float:
        return 1000 * self.hop / self.rate_hz

    @property
    def block_ms(self) -> float:
        return self.block * self.frame_ms

    @property
    def lookahead_ms(self) -> float:
        return self.lookahead * self.frame_ms


@dataclass(frozen=True)
class Latency:
    """What delays a stream's output, in milliseconds. ``compute_ms``: median and 95th percentile of its last blocks."""

    block_ms: float
    lookahead_ms: float
    resampling_ms: float
    compute_ms: tuple[float, float]

    @property
    def stream_ms(self) -> float:
        """Of a stream that computes at once: block, look-ahead, filters."""
        return self.block_ms + self.lookahead_ms + self.resampling_ms

    @property
    def total_ms(self) -> float:
        """From a sample's arrival to its conversion, at most, in 95 of 100 blocks; without sound cards."""
        return self.stream_ms + self.compute_ms[1]
