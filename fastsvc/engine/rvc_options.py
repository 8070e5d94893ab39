"""The options of RVC's voices: an engine's own choices, and which of a request's do not apply to an engine.

``request`` is a fastsvc.engine.Request everywhere here.
"""

from __future__ import annotations

from dataclasses import dataclass

from fastsvc import arguments
from fastsvc.config.rvc import RvcConfig
from fastsvc.errors import ConfigError, EngineError, MissingPackageError
from fastsvc.features import f0

NAMES = ("index_rate", "protect", "index_search", "unvoiced")  # fields of a request
PREFERRED_F0 = ("rmvpe", "fcpe")  # the first one whose weights are here; RVC's voices were trained with rmvpe
LAST_F0 = "yin"
TRACKING_RATE_HZ = 16000
UNPROTECTED = arguments.PROTECT[1]


@dataclass(frozen=True)
class RvcOptions:
    """As :meth:`fastsvc.engine.Engine.convert` takes them. Options without effect have one and the same value."""

    index_rate: float
    protect: float
    index_search: str
    unvoiced: str

    @property
    def uses_index(self) -> bool:
        return self.index_rate > 0


def of(engine, request) -> RvcOptions | None:
    """What ``engine`` does for ``request``, None where it is not a voice of RVC. Raises EngineError for options that
    do not apply to it, unless they ask for what happens without them."""
    if not isinstance(engine.config, RvcConfig):
        _refuse(engine, [name for name in NAMES if getattr(request, name) is not None], "is not a voice of RVC")
        return None
    index, pitch = engine.index is not None, engine.config.pitch
    if not index:
        _refuse(engine, _of_index(request), "holds no index", "omit it, or build the engine again with --index FILE")
    if not pitch:
        _refuse(engine, _of_pitch(request), "is a voice without pitch")
    _refuse(engine, ["normalise"] if request.normalise else [], "is a voice of RVC, which takes recordings as they are")
    unvoiced = (request.unvoiced or engine.manifest.vocoder.unvoiced_f0) if pitch else "zero"
    rate = (arguments.DEFAULT_INDEX_RATE if request.index_rate is None else request.index_rate) if index else 0.0
    protect = arguments.DEFAULT_PROTECT if request.protect is None else request.protect
    acts = rate > 0 and pitch and unvoiced == "zero"  # frames without pitch are those that are protected
    search = (request.index_search or arguments.INDEX_SEARCHES[0]) if rate > 0 else arguments.INDEX_SEARCHES[0]
    return RvcOptions(rate, protect if acts else UNPROTECTED, search, unvoiced)


def tracking_rate_hz(engine) -> int:
    """The rate of the audio whose pitch is tracked: 16 kHz for RVC's voices, else the model's."""
    return TRACKING_RATE_HZ if isinstance(engine.config, RvcConfig) else engine.config.mel.rate_hz


def f0_method(engine, request) -> str | None:
    """The pitch tracker; None for voices without pitch.

    Without a name in the request: the model's own; for RVC's voices the first one of PREFERRED_F0 whose weights are
    here, else LAST_F0. Raises CheckpointError where named weights are missing.
    """
    if not isinstance(engine.config, RvcConfig):
        return request.f0_method or engine.config.features.f0_method
    return (request.f0_method or preferred_f0(request.f0_weights)) if engine.config.pitch else None


def preferred_f0(weights: str | None = None) -> str:
    for method in PREFERRED_F0:
        try:
            f0.require(method, weights)
            return method
        except (ConfigError, MissingPackageError):
            continue
    return LAST_F0


def _of_index(request) -> list[str]:
    asked = {"index_rate": bool(request.index_rate), "index_search": request.index_search is not None}
    asked["protect"] = request.protect is not None and request.protect < UNPROTECTED
    return [name for name, given in asked.items() if given]


def _of_pitch(request) -> list[str]:
    asked = {"protect": request.protect is not None and request.protect < UNPROTECTED, "transpose": request.transpose}
    asked |= {name: getattr(request, name) is not None for name in ("unvoiced", "f0_method", "f0_range")}
    return [name for name, given in asked.items() if given]


def _refuse(engine, names: list[str], why: str, remedy: str = "omit it") -> None:
    if names:
        *first, last = ("--f0" if name == "f0_method" else "--" + name.replace("_", "-") for name in names)
        options = f"{', '.join(first)} and {last} do" if first else f"{last} does"
        remedy = remedy.replace("omit it", "omit them") if first else remedy
        raise EngineError(f"{engine.path} {why}, so {options} not apply to it", remedy)
