"""`fastsvc convert - -o -`: a recording from standard input, the result to standard output.

Both pass through files of this user alone, as a header tells the number of samples, which only their end shows.
"""

from __future__ import annotations

import contextlib
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fastsvc import files
from fastsvc.audio.encode import FORMATS
from fastsvc.convert.plan import output_format
from fastsvc.convert.report import ConversionReport, Entry
from fastsvc.errors import AudioError, OutputError

MARK = "-"
NAME = "stdin.wav"  # of the recording, whatever it is, and so of its result in a folder


@dataclass
class NamedStreams:
    """``inputs`` and ``out`` as names of files; ``names``: of these files on the command line."""

    inputs: list[str]
    out: str
    names: dict[str, str] = field(default_factory=dict)

    def entry(self, show: Callable[[ConversionReport, Entry], None]) -> Callable[[ConversionReport, Entry], None]:
        """``show``, with the entries as the command line names their files."""

        def renamed(report: ConversionReport, entry: Entry) -> None:
            for path, name in self.names.items():
                entry.input = name if entry.input == path else entry.input
                entry.output = name if entry.output == path else entry.output
                entry.reason = entry.reason.replace(path, name)
            show(report, entry)

        return renamed


@contextlib.contextmanager
def named(inputs: Sequence[str], out: str, format: str) -> Iterator[NamedStreams]:
    """What stands on the command line, with files in place of standard streams.

    At the end of the block the result, if there is one, is written to standard output; until then all that is printed
    goes to standard error. Raises AudioError, OutputError where a stream is a terminal, missing, or stands for several
    files; ResourceError.
    """
    streams = NamedStreams(list(inputs), out)
    if MARK not in (*inputs, out):
        yield streams
        return
    _check(inputs, out)
    with _folder() as folder:
        if MARK in inputs:
            streams.inputs = [str(_stored(folder / NAME))]
            streams.names[streams.inputs[0]] = MARK
        if out != MARK:
            yield streams
            return
        result = folder / "out" / f"result{FORMATS[output_format(Path(inputs[0]), format)][0]}"
        streams.out = str(result)
        streams.names[streams.out] = MARK
        try:
            with contextlib.redirect_stdout(sys.stderr):
                yield streams
        finally:  # also where the command ends with an exit code
            if result.is_file():
                _send(result)


def _check(inputs: Sequence[str], out: str) -> None:
    if len(inputs) > 1:
        raise AudioError("- stands for one recording, and there are more inputs", "name one input")
    if inputs[0] == MARK and (sys.stdin is None or sys.stdin.isatty()):
        raise AudioError("- is standard input, which has no recording", "add < FILE, or PROGRAM | before the command")
    if out == MARK and Path(inputs[0]).is_dir():
        raise OutputError(f"-o - takes one result, and {inputs[0]} is a folder", "name a folder with -o")
    if out == MARK and sys.stdout.isatty():
        raise OutputError("-o - would write a recording to the terminal", "add > FILE or | PROGRAM after the command")


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    folder = files.private_folder()
    try:
        yield folder
    finally:
        files.remove_private(folder)


def _stored(path: Path) -> Path:
    with files.writing(path) as file:
        shutil.copyfileobj(sys.stdin.buffer, file)
    return path


def _send(result: Path) -> None:
    """Raises OutputError where the result cannot be written; it is no error if its reader has gone."""
    stdout = getattr(sys.stdout, "inner", sys.stdout)  # fastsvc.screen's stream takes text alone
    try:
        with open(result, "rb") as file:
            shutil.copyfileobj(file, stdout.buffer)
        stdout.flush()
    except BrokenPipeError:
        pass
    except (AttributeError, OSError, ValueError) as error:
        why = files.reason(error) if isinstance(error, OSError) else "it is closed"
        raise OutputError(f"standard output cannot be written: {why}", "name a file with -o") from None
