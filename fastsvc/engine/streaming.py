"""What an engine offers for live conversion: :class:`Streaming`, from which the engine inherits it."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import Any

from fastsvc import arguments
from fastsvc.artifact.manifest import Manifest
from fastsvc.engine import checks
from fastsvc.engine.cpu.precision import as_built
from fastsvc.engine.request import Request
from fastsvc.engine.stream import Stream, reach


class Streaming:
    """Methods of :class:`fastsvc.engine.Engine`, and what they need of it."""

    manifest: Manifest
    rounded: tuple[str, ...]
    lock: threading.RLock
    _reopened: Callable[[], Any]

    def stream(
        self,
        speaker,
        rate_hz: int,
        *,
        block_ms: float = 40.0,
        lookahead_ms: float = 160.0,
        steps: int | None = None,
        transpose: float = 0.0,
        formant: float = 0.0,
        gain: float = 1.0,
        seed: int = 0,
        noise_scale: float = arguments.DEFAULT_NOISE_SCALE,
        f0_method: str | None = None,
        f0_weights=None,
        f0_range: tuple[float, float] | None = None,
        index_rate: float | None = None,
        protect: float | None = None,
        index_search: str | None = None,
        unvoiced: str | None = None,
    ) -> Stream:
        """Convert live: a stream takes mono samples at ``rate_hz`` piece by piece and returns them in another voice.

        It computes in blocks of ``block_ms``, each from the input up to ``lookahead_ms`` after its end; both are
        rounded to whole frames, as Stream.latency says. ``gain``: the input is multiplied by it and the output
        divided, to bring a soft microphone to the level of the training data. transpose: a number of semitones. The
        other options are those of :meth:`convert`, whose high-pass, level and loudness over time a stream lacks.
        Raises SpeakerError, ConfigError, EngineError.
        """
        request = Request(
            speaker,
            steps=steps,
            transpose=transpose,
            formant=formant,
            seed=seed,
            noise_scale=noise_scale,
            f0_method=f0_method,
            f0_weights=f0_weights,
            f0_range=f0_range,
            high_pass=False,
            index_rate=index_rate,
            protect=protect,
            index_search=index_search,
            unvoiced=unvoiced,
        )
        return Stream.open(self._for_streams, rate_hz, block_ms, lookahead_ms, gain, request)

    @functools.cached_property
    def _for_streams(self):
        """This engine, or where parts of it compute in bfloat16, which is slower for the few frames of a block, the
        same one as it was built."""
        if not self.rounded or self.rounded == as_built(self.manifest):
            return self
        engine = self._reopened()
        engine.lock = self.lock
        return engine

    def exact_lookahead_ms(self, steps: int | None = None) -> float | None:
        """The least look-ahead with which a stream gives what :meth:`convert` gives, with the same resampler and the
        same filling of f0; None where the content encoder sees the whole recording. Raises EngineError."""
        checks.streams(self)
        checks.convertible(self)
        return reach.exact_lookahead_ms(self, checks.steps(self, steps))
