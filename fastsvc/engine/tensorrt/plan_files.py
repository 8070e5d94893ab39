"""TensorRT plans: built from the vocoder's graph for some shapes, written to files, and identified when read again.

A plan belongs to one package, its exact version, one kind of GPU and one graph with its weights. A header line before
the plan says all this, so a wrong plan is refused in words before TensorRT sees it. Plans are code: read only those
that this program wrote.
"""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType

from fastsvc import reading
from fastsvc.config import AnyVocoderConfig
from fastsvc.engine import buckets
from fastsvc.engine.tensorrt import trt_packages
from fastsvc.errors import EngineError
from fastsvc.model.vocoders import shapes

MAGIC = b"fastsvc plan 1\n"
HEADER_MOST = 4096  # bytes
SUFFIX = ".plan"


@dataclass(frozen=True, repr=False)
class ProfileShapes:
    """The shapes of one optimisation profile.

    ``frames``: the shortest and the longest slice. ``best`` (batch, frames): the shape that kernels are chosen for.
    """

    frames: tuple[int, int]
    best: tuple[int, int]

    def __repr__(self) -> str:
        """As headers of plan files spell it: another spelling would make every stored plan one of other shapes."""
        return f"Rung(frames={self.frames}, best={self.best})"


# Recordings are cut into slices of equal length, most often two (engine/buckets.py), longer ones eight at a time.
PROFILES_BY_LENGTH = (
    ProfileShapes((1, 128), (2, 112)),
    ProfileShapes((129, 256), (2, 224)),
    ProfileShapes((257, 512), (2, 448)),
    ProfileShapes((513, 1024), (4, 896)),
)
SINGLE_PROFILE = (ProfileShapes((1, buckets.EVEN_FRAMES[-1]), (2, 448)),)
MOST_BATCH = buckets.EVEN_BATCHES[0]


def profiles(module: ModuleType) -> tuple[ProfileShapes, ...]:
    """A profile for each range of lengths; a single one for tensorrt_rtx, which compiles kernels for each exact shape.

    Measured with tensorrt_rtx 1.7: each further profile costs 2.6 s and 5 MB.
    """
    return SINGLE_PROFILE if module.__name__ == trt_packages.RTX.module else PROFILES_BY_LENGTH


@dataclass(frozen=True)
class PlanOrigin:
    """The package, device and graph that a plan belongs to. ``device``: sm_89, for `tensorrt` with the GPU's name."""

    package: str
    version: str
    device: str
    graph: str  # hash of the graph and of its weights
    ladder: str  # the optimisation profiles; the header of a plan file has this key

    @property
    def name(self) -> str:
        """A file name without suffix, different for every origin."""
        content = json.dumps(asdict(self), sort_keys=True).encode()
        return f"vocoder_{self.package}_{hashlib.sha256(content).hexdigest()[:16]}"


def joint_hash(graph: str, weights: str) -> str:
    """The hash of two sha256: of a graph and of the file with its weights."""
    return hashlib.sha256((graph + weights).encode()).hexdigest()


def origin(module: ModuleType, arch: int, graph: str, gpu: str | None = None) -> PlanOrigin:
    """``graph``: the hash of graph and weights; ``gpu``: the GPU's name, which plans of `tensorrt` are tied to."""
    device = f"sm_{arch}" if module.__name__ == trt_packages.RTX.module or not gpu else f"sm_{arch} {gpu}"
    return PlanOrigin(module.__name__, module.__version__, device, graph, repr(profiles(module)))


@dataclass(frozen=True)
class TensorRTPlan:
    origin: PlanOrigin
    code: bytes
    seconds: float = 0.0  # of the build

    def content(self) -> bytes:
        header = json.dumps({**asdict(self.origin), "seconds": round(self.seconds, 2)}, sort_keys=True).encode()
        return MAGIC + header + b"\n" + self.code


def read(content: bytes, expected: PlanOrigin) -> TensorRTPlan:
    """The plan in a file. Raises EngineError naming the first field in which its origin is not the expected one."""
    remedy = "remove the file, and it is built again"
    header, newline, code = content[len(MAGIC) :].partition(b"\n")
    try:
        if not content.startswith(MAGIC) or not newline or len(header) > HEADER_MOST:
            raise ValueError
        fields = reading.parse_json(header)
        seconds, actual = float(fields.pop("seconds")), PlanOrigin(**fields)
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError):
        raise EngineError("the file is not a TensorRT plan of fastsvc", remedy) from None
    for key, right in asdict(expected).items():
        value = getattr(actual, key)
        if value != right:
            raise EngineError(f"the TensorRT plan was made for another {key}: {value!r}, not {right!r}"[:300], remedy)
    return TensorRTPlan(actual, code, seconds)


def build(
    module: ModuleType,
    graph: Path,
    config: AnyVocoderConfig,
    origin: PlanOrigin,
    *,
    ahead: int | None = None,
    cache: bytes = b"",
) -> tuple[TensorRTPlan, bytes]:
    """(a plan from the graph at this path, whose weights lie beside it; the timing ``cache`` for the next build).

    ``ahead``: the architecture to build for, without a GPU (tensorrt_rtx); None: for the current device.
    Raises EngineError with the node that cannot be parsed, or with TensorRT's words where building fails.
    """
    started, log = time.perf_counter(), trt_packages.journal(module)
    with trt_packages.quiet():
        builder = module.Builder(log)
        network = builder.create_network(_strongly_typed(module))
        parse(module, network, graph, log)
        settings = builder.create_builder_config()
        if hasattr(module.BuilderFlag, "TF32"):  # float32 is meant where the graph says so
            settings.clear_flag(module.BuilderFlag.TF32)
        for profile in profiles(module):
            if settings.add_optimization_profile(_profile(builder, config, profile)) < 0:
                raise EngineError(f"{module.__name__} refuses the shapes of {profile}: {log.last()}", REMEDY)
        if ahead is not None:
            target = trt_packages.capability(module, ahead)
            settings.num_compute_capabilities = 1
            if not settings.set_compute_capability(target, 0):
                raise EngineError(f"{module.__name__} refuses to build for sm_{ahead}: {log.last()}", REMEDY)
        timings = _timings(module, settings, cache)
        built = builder.build_serialized_network(network, settings)
        if built is None:
            raise EngineError(f"{module.__name__} could not build the vocoder: {log.last()}", REMEDY)
        new_cache = b"" if timings is None else bytes(settings.get_timing_cache().serialize())
    return TensorRTPlan(origin, bytes(built), time.perf_counter() - started), new_cache


REMEDY = "use another vocoder backend, and please report this"


def parse(module: ModuleType, network, graph: Path, log) -> None:
    """Parse the graph into the network; weights come from the file that it names. Raises EngineError with the node."""
    parser = module.OnnxParser(network, log)
    if parser.parse_from_file(str(graph)):
        return
    errors = [parser.get_error(i) for i in range(parser.num_errors)]
    if not errors:
        raise EngineError(f"{module.__name__} cannot read {graph}: {log.last()}", "build the engine again")
    first = errors[0]
    node = f"at the node {first.node_name()} ({first.node_operator()})" if first.node_name() else "before any node"
    why = f"{module.__name__} cannot read {graph.name} {node}: {first.desc()[:300]}"
    raise EngineError(why, "build the engine again")


def _profile(builder, config: AnyVocoderConfig, ranges: ProfileShapes):
    profile = builder.create_optimization_profile()
    least, most = shapes(config, 1, ranges.frames[0]), shapes(config, MOST_BATCH, ranges.frames[1])
    best = shapes(config, *ranges.best)
    for name in best:
        profile.set_shape(name, least[name], best[name], most[name])
    return profile


def _strongly_typed(module: ModuleType) -> int:
    """The flag for networks with the graph's own types; 0 in versions without it, where all networks are such."""
    flag = getattr(module.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
    return 0 if flag is None else 1 << int(flag)


def _timings(module: ModuleType, settings, cache: bytes):
    """The cache of kernel timings from earlier builds, which saves measuring again; tensorrt_rtx has none."""
    if module.__name__ == trt_packages.RTX.module:
        return None
    timings = settings.create_timing_cache(cache)
    if not settings.set_timing_cache(timings, False):  # of another version or GPU
        timings = settings.create_timing_cache(b"")
        settings.set_timing_cache(timings, False)
    return timings
