"""One request to an engine: the voice, and how to convert to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fastsvc import arguments
from fastsvc.config import F0_METHODS
from fastsvc.engine import checks, extraction, rvc_options
from fastsvc.engine.cpu.sampler import SeededNoise
from fastsvc.errors import ConfigError, EngineError
from fastsvc.features import f0


@dataclass(frozen=True)
class Request:
    """The arguments of :meth:`fastsvc.engine.Engine.convert` besides the recording, which describes them.

    Numbers are stored as Python's own types. Raises ConfigError, before any recording is read, for requests that no
    engine could serve; :meth:`check` raises for those that one engine cannot serve.
    """

    speaker: int | str | Mapping | None
    steps: int | None = None
    transpose: float | str = 0.0  # semitones, "auto" or "octaves"
    formant: float = 0.0  # semitones
    seed: int = 0
    noise_scale: float = arguments.DEFAULT_NOISE_SCALE  # standard deviation of the sampler's draws
    f0_method: str | None = None
    f0_weights: str | None = None  # a path
    f0_range: tuple[float, float] | None = None  # Hz
    rate_out_hz: int | None = None
    normalise: bool | None = None
    high_pass: bool = True
    rms_mix_rate: float = arguments.DEFAULT_RMS_MIX_RATE
    # of RVC's voices, None for the engine's own choice (fastsvc/engine/rvc_options.py)
    index_rate: float | None = None
    protect: float | None = None
    index_search: str | None = None  # of arguments.INDEX_SEARCHES
    unvoiced: str | None = None  # of arguments.UNVOICED_F0
    # what a stream does, for comparisons with it
    f0_fill: str = arguments.F0_FILLS[0]
    resampler: str = arguments.RESAMPLERS[0]

    def __post_init__(self):
        optional, rate_hz = arguments.optional, self.rate_out_hz
        optional(arguments.path, "f0_weights", self.f0_weights)  # stored as it was spelled
        as_python = {
            "steps": optional(arguments.whole_number, "steps", self.steps, *arguments.STEPS),
            "transpose": arguments.transpose(self.transpose),
            "formant": arguments.number("formant", self.formant, *arguments.FORMANT),
            "seed": arguments.seed(self.seed),
            "noise_scale": arguments.number("noise_scale", self.noise_scale, *arguments.NOISE_SCALE),
            "f0_method": optional(arguments.one_of, "f0 method", self.f0_method, F0_METHODS),
            "f0_range": None if self.f0_range is None else arguments.f0_range(self.f0_range),
            "rate_out_hz": None if rate_hz is None else arguments.rate_hz(rate_hz, "the sample rate of the output"),
            "normalise": optional(arguments.flag, "normalise", self.normalise),
            "high_pass": arguments.flag("high_pass", self.high_pass),
            "rms_mix_rate": arguments.number("rms_mix_rate", self.rms_mix_rate, *arguments.RMS_MIX_RATE),
            "index_rate": optional(arguments.number, "index_rate", self.index_rate, *arguments.INDEX_RATE),
            "protect": optional(arguments.number, "protect", self.protect, *arguments.PROTECT),
            "index_search": optional(arguments.one_of, "index search", self.index_search, arguments.INDEX_SEARCHES),
            "unvoiced": optional(arguments.one_of, "unvoiced f0", self.unvoiced, arguments.UNVOICED_F0),
            "f0_fill": arguments.one_of("f0 fill", self.f0_fill, arguments.F0_FILLS),
            "resampler": arguments.one_of("resampler", self.resampler, arguments.RESAMPLERS),
        }
        for name, value in as_python.items():
            object.__setattr__(self, name, value)

    @property
    def resample_quality(self) -> str:
        """As resample.resample takes it."""
        return "short" if self.resampler == "short" else "HQ"

    def check(self, engine) -> None:
        """Raises what converting with ``engine`` would raise: SpeakerError; ConfigError for a range of pitch that it
        cannot track; EngineError for steps that are not built in, a formant shift or "auto" that it cannot do."""
        target_hz = self.target_hz(engine)
        self.steps_of(engine)
        self.formant_of(engine)
        self.range_of(engine)
        rvc_options.of(engine, self)
        if self.transpose in arguments.AUTO_TRANSPOSE:
            extraction.required_pitch(target_hz)

    def target_hz(self, engine) -> float | None:
        """The median pitch of the target voice, None where the engine has none. Raises SpeakerError."""
        return engine.table.median_f0_hz(engine.table.weights(self.speaker))

    def steps_of(self, engine) -> int:
        """The number of sampling steps, by default the engine's. Raises EngineError."""
        return checks.steps(engine, self.steps)

    def formant_of(self, engine) -> float:
        """The formant shift in semitones. Raises EngineError where the model cannot shift formants."""
        if self.formant and not engine.config.shifts_formants:
            raise EngineError(f"{engine.path} has no key-shift embedding, so formants stay", "leave formant at 0")
        return self.formant

    def range_of(self, engine) -> tuple[float, float] | None:
        """The range of pitch. Raises ConfigError where it exceeds what can be tracked at that rate."""
        rate_hz = rvc_options.tracking_rate_hz(engine)
        most = rate_hz / 4
        if self.f0_range is not None and self.f0_range[1] > most:
            raise ConfigError(
                f"f0_range reaches to {self.f0_range[1]:g} Hz, and pitch in audio of {rate_hz} Hz"
                f" is tracked to {most:g} Hz",
                f"use at most {most:g} Hz",
            )
        return self.f0_range

    def tracked_hz(self, engine) -> tuple[float, float]:
        """The lowest and the highest pitch that are tracked."""
        features = engine.config.features
        rate_hz = rvc_options.tracking_rate_hz(engine)
        return f0.ranges(features.f0_low_hz, features.f0_high_hz, rate_hz, self.f0_range)[1]

    def noise(self, engine) -> SeededNoise:
        """What the sampler draws for a recording. The vocoder has noise of its own, which ``noise_scale`` leaves."""
        return SeededNoise(self.seed, engine.config.mel.bins, scale=self.noise_scale)

    def voice(self, engine):
        """The target voice's vector [H], on the CPU. Raises SpeakerError, EngineError."""
        return engine.sampler.condition.speaker(engine.table.weights(self.speaker), self.formant_of(engine))
