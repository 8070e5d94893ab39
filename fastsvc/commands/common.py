"""Code that all commands share: -q and -v, printing, and errors as one line and an exit code."""

from __future__ import annotations

import functools
import math
import re
import traceback
from typing import ClassVar

import click

from fastsvc import arguments, environment, screen
from fastsvc.errors import ConfigError

SOME_FAILED, UNUSABLE, INTERRUPTED = 1, 2, 130
NOTES = 20
_VERBOSITY = "fastsvc.verbosity"


def verbosity() -> int:
    """-1 with -q, 1 with -v, else 0."""
    context = click.get_current_context(silent=True)
    return context.meta.get(_VERBOSITY, 0) if context else 0


option = functools.partial(click.option, show_default=True)  # every default is shown by --help


class Device(click.ParamType):
    """auto, cpu, cuda, or cuda:1 for the second GPU, as fastsvc/engine/devices.py reads it."""

    name = "auto|cpu|cuda[:N]"

    def convert(self, value, param, ctx):
        if not re.fullmatch(r"auto|cpu|cuda(:\d{1,3})?", value):
            self.fail(f"{value!r} is not one of auto, cpu, cuda, cuda:1", param, ctx)
        return value

    def get_metavar(self, param, ctx=None):
        return f"[{self.name}]"


def examples(*commands: str) -> str:
    """The end of a command's --help: example commands, one a line, which click does not wrap (``\\b``)."""
    return "\b\n" + "\n".join(["Examples:", *(f"  {command}" for command in commands)])


def verbosity_options(command):
    """Adds -q and -v to a command; :func:`verbosity` returns the choice. The environment is checked before the work."""

    @functools.wraps(command)
    def checked(*positional, **options):
        environment.check()
        return command(*positional, **options)

    def keep(level):
        def callback(context, parameter, value):
            if value:
                context.meta[_VERBOSITY] = level
                screen.set_level(level)

        return callback

    for names, level, text in (
        (("-v", "--verbose"), 1, "More messages, and tracebacks of errors."),
        (("-q", "--quiet"), -1, "Errors only."),
    ):
        flag = click.option(*names, is_flag=True, expose_value=False, callback=keep(level), help=text)
        checked = flag(checked)
    return checked


def say(text: str, level: int = 0, error: bool = False, lines: bool = False) -> None:
    """Print a line if the verbosity is at least ``level``; errors are always printed, and to stderr.

    Control characters are escaped, since they could play tricks on the terminal; so are newlines, unless ``lines``.
    """
    if error or verbosity() >= level:
        click.echo(screen.shown(text, lines), err=error)


def say_notes(notes: list[str]) -> None:
    """Print lines about names and links before the work: the first ones, all with -v."""
    for number, note in enumerate(notes):
        say(f"note: {note}", level=0 if number < NOTES else 1)
    if len(notes) > NOTES and verbosity() <= 0:
        say(f"note: {len(notes) - NOTES} more notes like these (-v shows all)")


def with_name(path: str, reason: str) -> str:
    """A path and the reason of its failure; most reasons begin with the path already."""
    return reason if reason.startswith(path) else f"{path}: {reason}"


def print_result(text: str) -> None:
    """Print a command's result. If it cannot be printed, the command has failed (fastsvc.screen reports it)."""
    click.echo(screen.shown(text, lines=True))
    if not screen.delivered():
        click.get_current_context().exit(SOME_FAILED)


class Commands(click.Group):
    """A group whose commands may raise: a user's error gives one line and exit 2, Ctrl-C gives exit 130.

    An unforeseen error is a fault of fastsvc: one line that says so, and exit 70 (fastsvc/faults.py).
    """

    def main(self, *arguments, **options):
        with screen.steady():
            return super().main(*arguments, **options)

    def invoke(self, context):
        try:
            return super().invoke(context)
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise
        except KeyboardInterrupt:
            say("interrupted", error=True)
            context.exit(INTERRUPTED)
        except Exception as error:
            context.exit(_report_error(error))


def _report_error(error: Exception) -> int:
    """Print the error; returns the exit code."""
    from fastsvc import faults

    usual = faults.user_error(error)
    if verbosity() > 0:
        text = faults.details(error) if usual is None else "".join(traceback.format_exception(error))
        say(text.rstrip(), error=True, lines=True)
    say(f"error: {usual}" if usual is not None else faults.line_with_report(error), error=True)
    return UNUSABLE if usual is not None else faults.EXIT


class Number(click.FloatRange):
    """A finite number in a range; click's own class accepts NaN, which is in no range."""

    def convert(self, value, param, ctx):
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number", param, ctx)
        return number


class WholeNumber(click.ParamType):
    """A whole number, or one of a few words."""

    def __init__(self, name: str, words: tuple[str, ...], low: int, high: int):
        self.name, self.words, self.low, self.high = name, words, low, high

    def get_metavar(self, param, ctx=None):
        return "|".join((self.name.upper(), *self.words))

    def convert(self, value, param, ctx):
        if value in self.words or isinstance(value, int):
            return value
        try:
            number = int(value)
        except ValueError:
            self.fail(f"{value!r} is neither a whole number nor {' or '.join(self.words)}", param, ctx)
        if not self.low <= number <= self.high:
            self.fail(f"{number} is not within {self.low} and {self.high}", param, ctx)
        return number


class Semitones(click.ParamType):
    """A number of semitones, auto or octaves."""

    name = "semitones"

    def get_metavar(self, param, ctx=None):
        return "SEMITONES|auto|octaves"

    def convert(self, value, param, ctx):
        if value in arguments.AUTO_TRANSPOSE or isinstance(value, (int, float)):
            return value
        try:
            number = float(value)
        except ValueError:
            self.fail(f"{value!r} is neither a number nor auto nor octaves", param, ctx)
        low, high = arguments.SEMITONES
        if not low <= number <= high:
            self.fail(f"{value} is not within {low:g} and {high:g}", param, ctx)
        return number


class PitchRange(click.ParamType):
    """Two pitches, in Hz or as notes, with a colon between them -> (low, high) in Hz."""

    name = "low:high"
    KEYS: ClassVar[dict[str, int]] = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11, "#": 1, "b": -1, "": 0}

    def convert(self, value, param, ctx):
        if isinstance(value, tuple):
            return value
        ends = tuple(map(self._hz, value.split(":")))
        try:
            return arguments.f0_range(ends)
        except ConfigError:
            low, high = arguments.F0_HZ
            hint = f"LOW:HIGH in Hz with LOW below HIGH, both from {low:g} to {high:g}, or two notes such as C2:F6"
            self.fail(f"{value!r} is not {hint}", param, ctx)

    def _hz(self, text: str) -> float:
        note = re.fullmatch(r"([A-G])([#b]?)(-?\d)", text.strip())
        if note:
            key = self.KEYS[note[1]] + self.KEYS[note[2]] + 12 * int(note[3])
            return 440 * 2 ** ((key - 57) / 12)  # A4 is 440 Hz
        try:
            return float(text)
        except ValueError:
            return math.nan


class WholeList(click.ParamType):
    """Whole numbers with commas between them."""

    name = "1,2,4"

    def convert(self, value, param, ctx):
        if isinstance(value, tuple):
            return value
        try:
            numbers = tuple(sorted({int(piece) for piece in value.split(",")}))
        except ValueError:
            numbers = ()
        low, high = arguments.STEPS
        if not numbers or numbers[0] < low or numbers[-1] > high:
            self.fail(f"{value!r} is not a list like 1,2,4 of numbers from {low} to {high}", param, ctx)
        return numbers
