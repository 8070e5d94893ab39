"""Programs of text encoder and flow by shape, and the graphs captured of them.

Buffers of all shapes are cut from one block of memory for the encoder and one for the flow, so only one shape of each
can be in use at a time, and what a program gives must be copied before another one runs.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from fastsvc.config.rvc import RvcConfig
from fastsvc.engine.buckets import Buckets, Shape
from fastsvc.engine.cuda.arena_programs import ArenaPrograms
from fastsvc.engine.cuda.graphs import Graphs
from fastsvc.engine.cuda.rvc.encoder import EncoderProgram
from fastsvc.engine.cuda.rvc.flow import FlowProgram
from fastsvc.engine.cuda.rvc.weights import RvcWeights

SCORES_PER_ROW = 2048  # of attention in memory at a time, for each row that a batch may have: 64 MB at most in float32
SAMPLE, FLOW = "sample", "flow"  # the draw and the flow, or the flow alone


class RvcNetwork:
    """Text encoder and flow on one device, from lowered tensors; products in ``dtype``.

    ``rows``: frames that a batch may have, which bounds the memory of attention.
    """

    def __init__(
        self, tensors: dict[str, Tensor], config: RvcConfig, dtype: torch.dtype, device: torch.device, rows: int
    ):
        self.device, self.graphs, self.rows = device, Graphs(device), rows
        with torch.inference_mode(False):
            weights = self.weights = RvcWeights(tensors, config, dtype, device)
        self.encoders = ArenaPrograms(
            lambda shape, new: EncoderProgram(weights, shape, new, SCORES_PER_ROW * self.rows), self.graphs
        )
        self.flows = ArenaPrograms(lambda rows, new: FlowProgram(weights, rows, new), self.graphs)

    def reserve(self, buckets: Buckets) -> None:
        """Memory for all shapes of these buckets, before the first one is used. Raises torch.OutOfMemoryError."""
        if self.encoders.arena is None or self.rows != buckets.rows:
            self.release()
            self.rows = buckets.rows
        self.encoders.reserve(buckets.largest())
        self.flows.reserve([buckets.rows])

    def encoder(self, shape: Shape) -> tuple[EncoderProgram, Callable[[], None]]:
        return self.encoders.prepared(shape, "run")

    def flow(self, rows: int, work: str) -> tuple[FlowProgram, Callable[[], None]]:
        """``work``: SAMPLE or FLOW."""
        return self.flows.prepared(rows, work)

    @property
    def replays(self) -> dict[tuple, Callable[[], None]]:
        return {**self.encoders.replays, **self.flows.replays}

    def release(self) -> None:
        """Forget all programs and their memory."""
        self.encoders.release()
        self.flows.release()
