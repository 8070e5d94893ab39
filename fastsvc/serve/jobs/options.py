"""The options of a request: each checked by itself and against the engine, before any recording is decoded."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from fastsvc import arguments
from fastsvc.audio import encode
from fastsvc.config.shown import shown
from fastsvc.errors import ConfigError, FastsvcError, OutputError
from fastsvc.serve import trackers
from fastsvc.serve.voices import MIXED, Voice

FORMATS = (*encode.FORMATS, "same")
BITS = {format: tuple(subtypes) for format, (_, _, subtypes) in encode.FORMATS.items()}
ALL_BITS = BITS["wav"]
BITS["same"] = ALL_BITS  # the worker sees which format it is
CHANNELS = ("mono", "keep")
OTHERS = ("engine", "speaker", "pictures")

_CHECKS: dict[str, Callable] = {
    "steps": lambda value: arguments.whole_number("steps", value, *arguments.STEPS),
    "transpose": arguments.transpose,
    "formant": lambda value: arguments.number("formant", value, *arguments.FORMANT),
    "seed": arguments.seed,
    "f0": lambda value: arguments.one_of("f0", value, trackers.usable()),
    "f0_range": lambda value: list(arguments.f0_range(value)),
    "index_rate": lambda value: arguments.number("index_rate", value, *arguments.INDEX_RATE),
    "protect": lambda value: arguments.number("protect", value, *arguments.PROTECT),
    "index_search": lambda value: arguments.one_of("index_search", value, arguments.INDEX_SEARCHES),
    "unvoiced": lambda value: arguments.one_of("unvoiced", value, arguments.UNVOICED_F0),
    "normalise": lambda value: arguments.flag("normalise", value),
    "high_pass": lambda value: arguments.flag("high_pass", value),
    "rms_mix_rate": lambda value: arguments.number("rms_mix_rate", value, *arguments.RMS_MIX_RATE),
    "format": lambda value: arguments.one_of("format", value, FORMATS),
    "bits": lambda value: arguments.one_of("bits", str(value), ALL_BITS),
    "rate": lambda value: arguments.whole_number("rate", value, *arguments.RATE_HZ),
    "channels": lambda value: arguments.one_of("channels", value, CHANNELS),
}
DEFAULTS = {"transpose": 0.0, "formant": 0.0, "seed": 0, "format": "wav", "bits": "16", "channels": "mono"}


class OptionError(ConfigError):
    """An option that is wrong; ``field`` is its name."""

    def __init__(self, field: str, message: str, remedy: str = ""):
        super().__init__(message, remedy)
        self.field = field


def checked(options: Mapping, voice: Voice) -> dict:
    """The options with defaults, as they are kept and as workers get them. Raises OptionError.

    None stands for the default, as does an option that is missing. The speaker is one that ``voice`` has.
    """
    unknown = sorted(str(name) for name in options if name not in _CHECKS and name not in OTHERS)
    if unknown:
        names = ", ".join([*OTHERS, *_CHECKS])
        raise OptionError(unknown[0], f"there is no option {shown(unknown[0])}", f"use some of {names}")
    result = dict(DEFAULTS)
    for name, check in _CHECKS.items():
        if options.get(name) is not None:
            result[name] = _field(name, check, options[name])
    result["speaker"] = _field("speaker", lambda value: _speaker(value, voice), options.get("speaker"))
    _against(result, voice)
    return result


def _field(name: str, check: Callable, value):
    try:
        return check(value)
    except FastsvcError as error:
        raise OptionError(name, error.message, error.remedy) from None


def _speaker(value, voice: Voice):
    """A name or an id as it was asked for, or a mixture."""
    table = voice.table
    assert table is not None, "only an engine that can be used gets here"
    if value is None:
        value = voice.default_speaker()
        if value is None:
            raise ConfigError("no speaker is chosen", f"choose one: {', '.join(table.names[:12])}")
    if isinstance(value, Mapping) and len(value) > MIXED:
        raise ConfigError(f"a mixture of {len(value)} speakers", f"use at most {MIXED}")
    table.weights(value)
    return dict(value) if isinstance(value, Mapping) else value


def _against(options: dict, voice: Voice) -> None:
    """What the engine cannot do is refused here, so far as its manifest says."""
    manifest, can = voice.usable, voice.options
    if options.get("steps") is not None and options["steps"] not in manifest.sampling.schedules:
        built = ", ".join(str(count) for count in sorted(manifest.sampling.schedules))
        raise OptionError("steps", f"{options['steps']} steps are not built in, {built} are", "choose one of them")
    if options["formant"] and not can["formant"]:
        raise OptionError("formant", f"{voice.name} cannot shift formants", "leave formant at 0")
    for name in ("index_rate", "protect"):
        if options.get(name) and not can[name] and not (name == "protect" and options[name] == arguments.PROTECT[1]):
            raise OptionError(name, f"{name} does not apply to {voice.name}", "omit it")
    if options["transpose"] and not can["transpose"]:
        raise OptionError("transpose", f"{voice.name} was trained without pitch", "leave transpose at 0")
    table = voice.table
    assert table is not None, "its manifest was read"
    auto = options["transpose"] in arguments.AUTO_TRANSPOSE
    if auto and table.median_f0_hz(table.weights(options["speaker"])) is None:
        name = table.name(options["speaker"])
        raise OptionError("transpose", f"the pitch of {name} is not known", "use a number of semitones")
    _check_format(options)


def _check_format(options: dict) -> None:
    format, bits, rate = options["format"], options["bits"], options.get("rate")
    if bits not in BITS[format]:
        raise OptionError("bits", f"{format} cannot be written with {bits} bits", "use 16, or another format")
    if format != "same" and rate is not None:
        try:
            writable = encode.writable_rate(format, rate)
        except OutputError as error:
            raise OptionError("rate", error.message, error.remedy) from None
        if writable != rate:
            raise OptionError("rate", f"{format} cannot carry {rate} Hz", f"use {writable}")
