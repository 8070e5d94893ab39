"""Which backend computes the vocoder: of those that can run the fastest whose error passes, measured once a shape.

A backend has ``name``, ``how`` (a line for people), ``bind(inputs)``, which gives a call that makes ``inputs.audio``
on the current stream and can be captured in a CUDA graph, and ``release()``, which gives its memory back.
"""

from __future__ import annotations

import json
import statistics
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from fastsvc import faults, reading
from fastsvc.config.shown import shown
from fastsvc.engine import buckets
from fastsvc.errors import EngineError
from fastsvc.model import noise

REPEATS = 11
# Relative RMS against float32 in PyTorch: twice what PyTorch itself is off by in the engine's precision, at least this.
LEAST_BOUND = 1e-4
UNKNOWN_ERROR = 2.5e-3  # in place of PyTorch's own where that did not run: about float16's


@dataclass(frozen=True)
class Measurement:
    """One backend at one shape: milliseconds and error, or the reason why there are none."""

    batch: int
    frames: int
    backend: str
    ms: float | None = None
    error: float | None = None
    why: str | None = None


def _measurement(stored: dict) -> Measurement:
    """A row out of a file. Raises TypeError for values of other kinds."""
    row = Measurement(**stored)
    numbers = [value for value in (row.ms, row.error) if value is not None]
    kinds = isinstance(row.batch, int) and isinstance(row.frames, int) and isinstance(row.backend, str)
    if not kinds or not all(isinstance(n, float | int) for n in numbers) or not isinstance(row.why, str | None):
        raise TypeError(f"{shown(stored)} is not a row")
    return row


def fastest(rows: list[Measurement]) -> str:
    """The backend of the least time among those that ran and whose error passes; PyTorch where nothing else does."""
    own = next((row.error for row in rows if row.backend == "torch" and row.error is not None), UNKNOWN_ERROR)
    bound = max(2 * own, LEAST_BOUND)
    passed = [row for row in rows if row.error is not None and row.error <= bound]
    ran = [(row.ms, row.backend) for row in passed if row.ms is not None]
    return min(ran, key=lambda one: one[0])[1] if ran else "torch"


def summary(rows: list[Measurement]) -> list[str]:
    """A line for each shape that was measured: the backend that was chosen, and what the others did."""
    lines = []
    for shape in dict.fromkeys((row.batch, row.frames) for row in rows):
        here = [row for row in rows if (row.batch, row.frames) == shape]
        told = ", ".join(
            f"{row.backend} {row.ms:.2f} ms (error {row.error:.1e})" if row.ms is not None else f"{row.backend} –"
            for row in here
        )
        lines.append(f"{shape[0]} × {shape[1]} frames by {fastest(here)}: {told}")
    reasons = {row.backend: row.why for row in rows if row.why}
    return lines + [f"{name} does not run: {why}" for name, why in reasons.items()]


def frames_bucket(batch: int, frames: int) -> int:
    """Shapes of one rung share their measurement: the ladder's lengths, past them powers of two."""
    together = batch * frames
    return next((n for n in buckets.EVEN_FRAMES if n >= together), 1 << (together - 1).bit_length())


def measured_shapes() -> list[tuple[int, int]]:
    """(batch, frames) of one shape a rung, largest first."""
    longest = buckets.EVEN_FRAMES[-1]
    several = [(batch, longest) for batch in buckets.EVEN_BATCHES if batch & (batch - 1) == 0 and batch > 1]
    return several + [(1, frames) for frames in reversed(buckets.EVEN_FRAMES)]


class BackendChoice:
    """The backends of one engine on one device; each is made when it is first needed.

    ``makers``: by name, what makes a backend or raises FastsvcError with the reason why it cannot run here.
    ``reference``: a backend in float32. ``circumstances``: what a measured row holds for; rows of others are not used.
    ``read`` and ``keep``: the stored table as bytes, or None where nothing is stored.
    """

    def __init__(
        self,
        makers: dict[str, Callable],
        reference: Callable,
        wanted: str = "auto",
        circumstances: dict | None = None,
        read: Callable[[], bytes | None] = lambda: None,
        keep: Callable[[bytes], None] = lambda data: None,
    ):
        if wanted != "auto" and wanted not in makers:
            raise EngineError(
                f"the vocoder backend {wanted!r} does not run on this device",
                f"use auto or one of {', '.join(makers)}",
            )
        self.makers, self.reference, self.wanted = makers, reference, wanted
        self.circumstances, self.keep = circumstances or {}, keep
        self.made: dict[str, Any] = {}  # see generators/torch.py
        self.dropped: set[str] = set()
        self.names: dict[tuple[int, int], str] = {}  # by shape: looking through the rows takes most of a millisecond
        self.rows = self._stored(read())
        if wanted != "auto":
            self.generator(wanted)  # what cannot run is said at once

    def generator(self, name: str):
        """The backend. Raises FastsvcError with the reason where it cannot run."""
        if name not in self.made:
            self.made[name] = self.makers[name]()
        return self.made[name]

    def name(self, inputs, capture: Callable) -> str:
        """Whose turn it is at the shape of ``inputs`` (fastsvc.engine.cuda.vocoder.VocoderInputs).

        ``capture``: fastsvc.engine.cuda.graphs.Graphs.capture. A shape that is new on a GPU is measured, which takes a
        second or so and writes over the inputs; shapes that are not prepared for go through PyTorch.
        """
        batch, frames = inputs.mel.shape[:2]
        if self.wanted != "auto":
            return self.wanted
        if inputs.mel.device.type != "cuda" or frames not in buckets.EVEN_FRAMES or len(self.makers) == 1:
            return "torch"
        if (batch, frames) not in self.names:
            rows = self.measured(batch, frames) or self.measure(inputs, capture)
            self.names[batch, frames] = fastest([row for row in rows if row.backend not in self.dropped])
        return self.names[batch, frames]

    def drop(self, name: str, error: Exception) -> None:
        """``name`` was chosen and cannot run after all: from now on another is. Raises the error if no other may be."""
        if self.wanted != "auto" or name == "torch":
            raise error
        why = faults.told(error) if faults.is_bug(error) else faults.reason(error)
        warnings.warn(f"the vocoder continues without {name}, which was the fastest: {why}", stacklevel=3)
        self.dropped.add(name)
        self.names = {}

    def measured(self, batch: int, frames: int) -> list[Measurement]:
        """The rows that hold for so many frames together, whatever the batch."""
        return [row for row in self.rows if frames_bucket(row.batch, row.frames) == frames_bucket(batch, frames)]

    def measure(self, inputs, capture: Callable) -> list[Measurement]:
        """Rows of every backend at one shape, kept for the next time."""
        batch, frames = inputs.mel.shape[:2]
        want, found = None, []
        for name in self.makers:
            try:
                if want is None:
                    want = _audio(self.reference().bind(inputs), inputs)
                run = capture(self.generator(name).bind(inputs))
                error = relative(_audio(run, inputs), want)
                row = Measurement(batch, frames, name, round(milliseconds(run), 4), float(f"{error:.3g}"))
            except torch.OutOfMemoryError:
                raise
            except Exception as error:  # a backend that fails, however, must not take the others with it
                row = Measurement(batch, frames, name, why=faults.reason(error))
                if faults.is_bug(error):
                    warnings.warn(f"the vocoder's backend {name} is left out: {faults.told(error)}", stacklevel=3)
            found.append(row)
        self.rows += found
        self._keep()
        return found

    def release(self) -> None:
        """Give back the backends' memory; they are made again when they are needed."""
        for backend in self.made.values():
            backend.release()
        self.made = {}

    def _stored(self, data: bytes | None) -> list[Measurement]:
        if data is None:
            return []
        try:
            table = reading.from_json(data)
            return [_measurement(row) for row in table["rows"]] if table["circumstances"] == self.circumstances else []
        except (ValueError, KeyError, TypeError) as error:
            warnings.warn(f"the table of vocoder backends is unreadable and is measured again: {error}", stacklevel=3)
            return []

    def _keep(self) -> None:
        table = {"circumstances": self.circumstances, "rows": [asdict(row) for row in self.rows]}
        self.keep(json.dumps(table, indent=1).encode())


def fill(inputs) -> None:
    """Something to compute on: the same numbers everywhere, about as large as a real mel and excitation."""
    batch, frames, bins = inputs.mel.shape
    inputs.mel.copy_(noise.gaussian(1, 0, 0, batch * frames, bins, inputs.mel.device).view_as(inputs.mel) - 2)
    ramp = torch.arange(inputs.excitation.shape[1], device=inputs.excitation.device)
    inputs.excitation.copy_(0.1 * torch.sin(0.057 * ramp))
    if inputs.noise is not None:
        channels = inputs.noise.shape[2]
        inputs.noise.copy_(noise.gaussian(2, 0, 0, batch * frames, channels, inputs.noise.device).view_as(inputs.noise))


def relative(got: Tensor, want: Tensor) -> float:
    """RMS of the difference over RMS; infinite where something is no number."""
    distance = float((got.double() - want.double()).norm() / want.double().norm())
    return distance if distance == distance else float("inf")


def _audio(run: Callable, inputs) -> Tensor:
    """What ``run`` makes of :func:`fill`'s inputs; samples that it does not write are no numbers."""
    fill(inputs)
    inputs.audio.fill_(float("nan"))
    run()
    return inputs.audio.clone()


def milliseconds(run: Callable, repeats: int = REPEATS) -> float:
    """Median of the GPU's own time."""
    for _ in range(3):
        run()
    marks = [[torch.cuda.Event(enable_timing=True) for _ in range(2)] for _ in range(repeats)]
    for start, end in marks:
        start.record()
        run()
        end.record()
    torch.cuda.synchronize()
    return statistics.median(start.elapsed_time(end) for start, end in marks)
