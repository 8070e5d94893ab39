"""Which parts of an engine compute in bfloat16 on this processor: those that gain by it, measured once and kept.

Flags alone do not tell: with AMX bfloat16 is four to five times as fast, with AVX-512 alone at most twice, and without
units for it many times slower. So where there are units, each part is timed in both precisions and its error is
compared with that of plain PyTorch in bfloat16. The figures are kept in the user's cache folder: of one processor,
PyTorch and form, they are measured once, and every process of the machine makes the same choice. Where they cannot be
kept all is computed in float32, as two processes might choose differently.

Times are processor time of one thread, in turns: other work on the machine changes it little.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import sys
import time
import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch

from fastsvc import environment, files, machine, reading
from fastsvc.artifact.manifest import Manifest
from fastsvc.engine.cpu.denoiser_bf16 import CAPS, NO_UNITS, supported
from fastsvc.engine.cpu.trials import DENOISER, Runs, Trial, trials
from fastsvc.engine.parts import Model
from fastsvc.errors import EngineError, OutputError

VARIABLE = "FASTSVC_PRECISION"  # stands for "auto" in every program
LEAST_SPEEDUP = 1.3
LARGEST_ERROR = 3e-2  # relative RMS, as the compiler's
ROUNDS = 3
FOLDER = "cpu_precision"  # in the cache
LIMIT = 1 << 16  # bytes of a file
MOST_WEIGHTS = 200  # of one form whose errors are kept
VERSION = 1  # of the measurement: others are not read
VARIABLES = (*CAPS, "ATEN_CPU_CAPABILITY", "MKL_ENABLE_INSTRUCTIONS")


@dataclass(frozen=True)
class Figures:
    """What was measured of one form: milliseconds of one thread in float32 and in bfloat16, and by the sha256 of
    weights the relative RMS error of our form in bfloat16 and of plain PyTorch's."""

    part: str
    sizes: dict
    fp32_ms: float
    bf16_ms: float
    errors: dict[str, tuple[float, float]]

    @property
    def speedup(self) -> float:
        return self.fp32_ms / self.bf16_ms

    @property
    def faster(self) -> bool:
        return self.speedup >= LEAST_SPEEDUP

    def exact_enough(self, weights: str) -> bool:
        error, plain = self.errors[weights]
        return error <= min(2 * plain, LARGEST_ERROR)

    @classmethod
    def of(cls, stored: dict) -> Figures:
        """Raises KeyError, TypeError, ValueError for what :func:`worthwhile` did not store."""
        times = [float(stored[name]) for name in ("fp32_ms", "bf16_ms")]
        if not all(math.isfinite(value) and value > 0 for value in times):
            raise ValueError("times are not numbers above 0")
        errors = {str(name): (float(error), float(plain)) for name, (error, plain) in stored["errors"].items()}
        return cls(str(stored["part"]), dict(stored["sizes"]), times[0], times[1], errors)


def rounded_parts(model: Model, precision: str = "auto", vocoder_backend: str = "auto") -> tuple[str, ...]:
    """The parts that compute in bfloat16, for one of fastsvc.arguments.PRECISIONS.

    auto measures what was not measured before; built leaves all as the engine was built, and so does fp16, which is a
    GPU's; bf16 takes every part that has such a form. An engine built in bf16 has that denoiser in all of them but
    fp32. Raises ConfigError for a word in $FASTSVC_PRECISION that is not one of them.
    """
    if precision == "auto":
        precision = environment.word(VARIABLE)
    built = as_built(model.folder.manifest)
    if precision == "fp32":
        return ()
    if not supported():
        if built:
            warnings.warn(NO_UNITS, stacklevel=4)
        return ()
    if precision in ("built", "fp16"):
        return built
    found = trials(model, vocoder_backend)
    return tuple(t.part for t in found if t.part in built or precision == "bf16" or worthwhile(t))


def as_built(manifest: Manifest) -> tuple[str, ...]:
    """The parts that compute in bfloat16 because the engine was built so."""
    return (DENOISER,) if manifest.precision == "bf16" else ()


def worthwhile(trial: Trial) -> bool:
    """Whether bfloat16 is chosen for a part, by figures that are kept or are measured now."""
    path, made = _path(trial), []

    def runs() -> Runs:
        made[:] = made or [trial.runs()]
        return made[0]

    figures = _read(path)
    if figures is None:
        try:
            exact_ms, rounded_ms = _times(runs())
            figures = _keep_first(path, Figures(trial.part, trial.sizes, exact_ms, rounded_ms, {}))
        except OutputError as error:
            why = f"the {trial.part} computes in float32, because a choice cannot be kept: {error}"
            warnings.warn(f"{why}; or ask for bf16", stacklevel=5)
            return False
    if not figures.faster:
        return False
    if trial.weights not in figures.errors:
        latest = list(figures.errors.items())[-MOST_WEIGHTS:]
        figures = replace(figures, errors={**dict(latest), trial.weights: _errors(runs())})
        with contextlib.suppress(OutputError):  # errors are the same in every process, kept or not
            _write(path, figures)
    return figures.exact_enough(trial.weights)


def circumstances() -> dict:
    """What measurements hold for: the processor, what libraries may use of it, their versions."""
    return {
        "version": VERSION,
        "cpu": machine.cpu_model(),
        "flags": machine.cpu_flags(),
        "torch": torch.__version__,
        "capability": torch.backends.cpu.get_cpu_capability(),
        "caps": {name: os.environ[name] for name in VARIABLES if name in os.environ},
    }


def stored() -> list[Figures]:
    """All that was measured under today's circumstances."""
    paths = sorted((files.cache_folder() / FOLDER).glob("*.json"))
    return [figures for figures in map(_read, paths) if figures is not None]


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@torch.inference_mode()
def _times(runs: Runs) -> list[float]:
    """Milliseconds in float32 and bfloat16: the least of some rounds, in turns after one to warm up."""
    spent: list[list[float]] = [[], []]
    with one_thread():
        for round_ in range(ROUNDS + 1):
            for run, times in zip((runs.exact, runs.rounded), spent):
                start = time.thread_time()
                run()
                if round_:
                    times.append(1e3 * (time.thread_time() - start))
    return [max(round(min(times), 4), 1e-4) for times in spent]


@torch.inference_mode()
def _errors(runs: Runs) -> tuple[float, float]:
    """Relative RMS errors against float32: of our form in bfloat16, and of plain PyTorch's."""
    with one_thread():
        exact, rounded, plain = (run().double() for run in (runs.exact, runs.rounded, runs.plain))
    size = float(exact.norm()) or 1.0
    errors = (float((output - exact).norm()) / size for output in (rounded, plain))
    ours, theirs = (float(f"{error:.3g}") if math.isfinite(error) else sys.float_info.max for error in errors)
    return ours, theirs


def _path(trial: Trial) -> Path:
    about = {"circumstances": circumstances(), "part": trial.part, "sizes": trial.sizes}
    name = hashlib.sha256(json.dumps(about, sort_keys=True, default=str).encode()).hexdigest()[:32]
    return files.cache_folder() / FOLDER / f"{name}.json"


def _keep_first(path: Path, figures: Figures) -> Figures:
    """The stored figures: these, or those of a process that was faster. Raises OutputError."""
    try:
        _write(path, figures, new=not path.exists() or _read(path) is not None)
    except OutputError:
        others = _read(path)
        if others is None:
            raise
        return others
    return figures


def _write(path: Path, figures: Figures, new: bool = False) -> None:
    text = json.dumps({"circumstances": circumstances(), **asdict(figures)}, indent=1, default=str)
    with files.writing(path, new=new, remedy="set FASTSVC_CACHE to a folder that can be written") as file:
        file.write(text.encode())


def _read(path: Path) -> Figures | None:
    """Figures for today's circumstances; None for others, and where they are missing or damaged."""
    if not path.is_file():
        return None
    try:
        row = reading.read_json(path, LIMIT, EngineError)
        return Figures.of(row) if row["circumstances"] == json.loads(json.dumps(circumstances())) else None
    except (EngineError, KeyError, TypeError, ValueError, AttributeError):
        return None
