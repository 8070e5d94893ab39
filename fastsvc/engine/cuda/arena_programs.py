"""Programs of fixed shapes whose buffers are all cut from one block of memory, and the graphs captured of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch

from fastsvc.engine.cuda.graphs import Arena, ArenaSizer, Graphs, settle


class ArenaPrograms:
    """Programs of one kind. ``make(shape, new)`` gives one, whose buffers come from ``new``, as torch.zeros gives.

    Only one shape can be in use at a time, and what a program gives must be copied before another one runs.
    """

    def __init__(self, make: Callable[[Any, Any], Any], graphs: Graphs):
        self.make, self.graphs = make, graphs
        self.release()

    def release(self) -> None:
        """Forget all programs and their memory."""
        settle(self.graphs.device)
        self.by_shape: dict[Any, Any] = {}
        self.replays: dict[tuple, Callable[[], None]] = {}
        self.arena: Arena | None = None
        self.reserved: set = set()  # shapes that fit into the arena

    def reserve(self, shapes: Iterable) -> None:
        """Memory for the largest of these shapes; where it must grow, all programs are made again."""
        missing, sizes = set(shapes) - self.reserved, [0]
        for shape in missing:
            sizer = ArenaSizer()
            self.make(shape, sizer)
            sizes.append(sizer.size)
        if self.arena is None or len(self.arena.memory) < max(sizes):
            self.release()
            self.arena = Arena(max(sizes), self.graphs.device)
        self.reserved |= missing

    def program(self, shape) -> Any:
        """The program of a shape. Raises torch.OutOfMemoryError."""
        if shape not in self.by_shape:
            self.reserve([shape])
            assert self.arena is not None, "reserve() makes it"
            with torch.inference_mode(False):  # so that its inputs may be written in either mode
                self.by_shape[shape] = self.make(shape, self.arena.restarted())
        return self.by_shape[shape]

    def prepared(self, shape, work: str) -> tuple[Any, Callable[[], None]]:
        """A shape's program, and the replay of its method ``work``. Raises torch.OutOfMemoryError.

        Capturing writes over the program's outputs, and inputs that are outputs, too: fill them afterwards.
        """
        program = self.program(shape)
        if (shape, work) not in self.replays:
            self.replays[shape, work] = self.graphs.capture(getattr(program, work))
        return program, self.replays[shape, work]
