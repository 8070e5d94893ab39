"""The choice of the vocoder's backend: the fastest one that runs and whose error passes, measured once for each shape.

A backend has ``name``, ``how`` (a line for people), ``bind(inputs)``, which returns a call that computes
``inputs.audio`` on the current stream and can be captured in a CUDA graph, and ``release()``, which frees its memory.
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
# Bound of the relative RMS error against float32 in PyTorch: twice PyTorch's own error in the engine's precision, or
LEAST_BOUND = 1e-4  # this if it is more
UNKNOWN_ERROR = 2.5e-3  # stands for PyTorch's own error where PyTorch did not run: about float16's


@dataclass(frozen=True)
class Measurement:
    """One backend at one shape: milliseconds and error, or the reason ``why`` it does not run. A row of the table."""

    batch: int
    frames: int
    backend: str
    ms: float | None = None
    error: float | None = None
    why: str | None = None


def _measurement(stored: dict) -> Measurement:
    """A measurement from a stored row. Raises TypeError for values of other types."""
    row = Measurement(**stored)
    numbers = [value for value in (row.ms, row.error) if value is not None]
    kinds = isinstance(row.batch, int) and isinstance(row.frames, int) and isinstance(row.backend, str)
    if not kinds or not all(isinstance(n, float | int) for n in numbers) or not isinstance(row.why, str | None):
        raise TypeError(f"{shown(stored)} is not a row")
    return row


def fastest(rows: list[Measurement]) -> str:
    """The fastest backend whose error passes; PyTorch where none does."""
    torch_error = next((row.error for row in rows if row.backend == "torch" and row.error is not None), UNKNOWN_ERROR)
    bound = max(2 * torch_error, LEAST_BOUND)
    passed = [row for row in rows if row.error is not None and row.error <= bound]
    times = [(row.ms, row.backend) for row in passed if row.ms is not None]
    return min(times, key=lambda pair: pair[0])[1] if times else "torch"


def summary(rows: list[Measurement]) -> list[str]:
    """A line for each measured shape: the chosen backend, and the figures of all."""
    lines = []
    for shape in dict.fromkeys((row.batch, row.frames) for row in rows):
        at_shape = [row for row in rows if (row.batch, row.frames) == shape]
        figures = ", ".join(
            f"{row.backend} {row.ms:.2f} ms (error {row.error:.1e})" if row.ms is not None else f"{row.backend} –"
            for row in at_shape
        )
        lines.append(f"{shape[0]} × {shape[1]} frames by {fastest(at_shape)}: {figures}")
    reasons = {row.backend: row.why for row in rows if row.why}
    return lines + [f"{name} does not run: {why}" for name, why in reasons.items()]


def frames_bucket(batch: int, frames: int) -> int:
    """The bucket of batch · frames, whose shapes share a measurement: a prepared length, or beyond a power of two."""
    total = batch * frames
    return next((n for n in buckets.EVEN_FRAMES if n >= total), 1 << (total - 1).bit_length())


def measured_shapes() -> list[tuple[int, int]]:
    """(batch, frames) of one shape for each bucket, largest first."""
    longest = buckets.EVEN_FRAMES[-1]
    several = [(batch, longest) for batch in buckets.EVEN_BATCHES if batch & (batch - 1) == 0 and batch > 1]
    return several + [(1, frames) for frames in reversed(buckets.EVEN_FRAMES)]


class BackendChoice:
    """The backends of one engine on one device; each is made on first use.

    ``makers``: by name, a function that makes a backend or raises FastsvcError with the reason why it cannot run here.
    ``reference``: makes a backend in float32. ``requested``: a backend's name, or auto. ``circumstances``: the card and
    versions for which measurements hold; others are not used. ``read`` and ``store``: the stored table as bytes, or
    None where nothing is stored.
    """

    def __init__(
        self,
        makers: dict[str, Callable],
        reference: Callable,
        requested: str = "auto",
        circumstances: dict | None = None,
        read: Callable[[], bytes | None] = lambda: None,
        store: Callable[[bytes], None] = lambda data: None,
    ):
        if requested != "auto" and requested not in makers:
            raise EngineError(
                f"the vocoder backend {requested!r} does not run on this device",
                f"use auto or one of {', '.join(makers)}",
            )
        self.makers, self.reference, self.requested = makers, reference, requested
        self.circumstances, self.store = circumstances or {}, store
        self.backends: dict[str, Any] = {}  # see generators/torch_backend.py
        self.dropped: set[str] = set()
        self.names: dict[tuple[int, int], str] = {}  # by shape: looking through the rows takes most of a millisecond
        self.rows = self._stored(read())
        if requested != "auto":
            self.generator(requested)  # raises at once if it cannot run

    def generator(self, name: str):
        """The backend. Raises FastsvcError with the reason where it cannot run."""
        if name not in self.backends:
            self.backends[name] = self.makers[name]()
        return self.backends[name]

    def name(self, inputs, capture: Callable) -> str:
        """The backend for the shape of ``inputs`` (fastsvc.engine.cuda.vocoder.VocoderInputs).

        ``capture``: fastsvc.engine.cuda.graphs.Graphs.capture. A new shape on a GPU is measured, which takes about a
        second and writes over the inputs; unprepared shapes go through PyTorch.
        """
        batch, frames = inputs.mel.shape[:2]
        if self.requested != "auto":
            return self.requested
        if inputs.mel.device.type != "cuda" or frames not in buckets.EVEN_FRAMES or len(self.makers) == 1:
            return "torch"
        if (batch, frames) not in self.names:
            rows = self.measured(batch, frames) or self.measure(inputs, capture)
            self.names[batch, frames] = fastest([row for row in rows if row.backend not in self.dropped])
        return self.names[batch, frames]

    def drop(self, name: str, error: Exception) -> None:
        """Exclude ``name``, which was chosen and cannot run after all. Raises the error if no other may be chosen."""
        if self.requested != "auto" or name == "torch":
            raise error
        why = faults.line_with_report(error) if faults.is_bug(error) else faults.reason(error)
        warnings.warn(f"the vocoder continues without {name}, which was the fastest: {why}", stacklevel=3)
        self.dropped.add(name)
        self.names = {}

    def measured(self, batch: int, frames: int) -> list[Measurement]:
        """The measurements for the bucket of batch · frames."""
        return [row for row in self.rows if frames_bucket(row.batch, row.frames) == frames_bucket(batch, frames)]

    def measure(self, inputs, capture: Callable) -> list[Measurement]:
        """Measure every backend at one shape, and store the rows for the next time."""
        batch, frames = inputs.mel.shape[:2]
        expected, rows = None, []
        for name in self.makers:
            try:
                if expected is None:
                    expected = _audio(self.reference().bind(inputs), inputs)
                run = capture(self.generator(name).bind(inputs))
                error = relative(_audio(run, inputs), expected)
                row = Measurement(batch, frames, name, round(milliseconds(run), 4), float(f"{error:.3g}"))
            except torch.OutOfMemoryError:
                raise
            except Exception as error:  # a backend that fails, however, must not take the others with it
                row = Measurement(batch, frames, name, why=faults.reason(error))
                if faults.is_bug(error):
                    why = faults.line_with_report(error)
                    warnings.warn(f"the vocoder's backend {name} is left out: {why}", stacklevel=3)
            rows.append(row)
        self.rows += rows
        self._store()
        return rows

    def release(self) -> None:
        """Free the backends' memory; they are made again on next use."""
        for backend in self.backends.values():
            backend.release()
        self.backends = {}

    def _stored(self, data: bytes | None) -> list[Measurement]:
        if data is None:
            return []
        try:
            table = reading.parse_json(data)
            return [_measurement(row) for row in table["rows"]] if table["circumstances"] == self.circumstances else []
        except (ValueError, KeyError, TypeError) as error:
            warnings.warn(f"the table of vocoder backends is unreadable and is measured again: {error}", stacklevel=3)
            return []

    def _store(self) -> None:
        table = {"circumstances": self.circumstances, "rows": [asdict(row) for row in self.rows]}
        self.store(json.dumps(table, indent=1).encode())


def fill(inputs) -> None:
    """Fill the inputs with the same numbers everywhere, about as large as a real mel and excitation."""
    batch, frames, bins = inputs.mel.shape
    inputs.mel.copy_(noise.gaussian(1, 0, 0, batch * frames, bins, inputs.mel.device).view_as(inputs.mel) - 2)
    if inputs.excitation is not None:
        ramp = torch.arange(inputs.excitation.shape[1], device=inputs.excitation.device)
        sine = 0.1 * torch.sin(0.057 * ramp)
        inputs.excitation.copy_(sine if inputs.excitation.dim() == 2 else sine[:, None])  # of each channel
    inputs.f0_hz.fill_(200.0)
    if inputs.added is not None:
        channels = inputs.added.shape[2]
        inputs.added.copy_(noise.gaussian(2, 0, 0, batch * frames, channels, inputs.added.device).view_as(inputs.added))


def relative(actual: Tensor, expected: Tensor) -> float:
    """RMS of the difference over RMS; infinite where a value is NaN."""
    distance = float((actual.double() - expected.double()).norm() / expected.double().norm())
    return distance if distance == distance else float("inf")


def _audio(run: Callable, inputs) -> Tensor:
    """The audio that ``run`` computes from :func:`fill`'s inputs; samples that it does not write are NaN."""
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
