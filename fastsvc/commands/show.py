"""The display of a running batch: a bar on a terminal, a line per file elsewhere; a summary at the end."""

from __future__ import annotations

import contextlib
import sys

from fastsvc import screen, screen_log
from fastsvc.commands.common import say, with_name
from fastsvc.convert.report import DONE, FAILED, SKIPPED, ConversionReport, Entry

_PREPARING = "{desc} {percentage:3.0f}%|{bar}| {elapsed}"
_BAR = "{percentage:3.0f}%|{bar}| {elapsed}<{remaining}{postfix}"  # tqdm puts ", " before it


@contextlib.contextmanager
def bar(title: str, verbosity: int):
    """A bar, or in a log a line now and then; yields a callback for the finished fraction."""
    style = {"bar_format": _PREPARING, "desc": title, "leave": False, "delay": _delay()}
    with screen.bar(total=1, disable=verbosity < 0, **style) as progress_bar:

        def show(fraction: float) -> None:
            progress_bar.n = fraction
            progress_bar.refresh()

        yield show


def _delay() -> float:
    """Seconds before the bar: a log omits work shorter than its interval, a terminal shows it at once."""
    return 0.0 if sys.stderr.isatty() else screen_log.INTERVAL_S


class Show:
    """A context manager; :meth:`entry` and :meth:`fraction` are the callbacks of fastsvc.convert.batch.run."""

    def __init__(self, files: int, verbosity: int):
        self.files, self.done, self.verbosity = files, 0, verbosity
        self.failed = self.buried = False  # buried: other lines followed that of a failure
        self.live = sys.stderr.isatty() and verbosity >= 0  # else each file has a line
        style = {"bar_format": _BAR, "leave": False, "delay": _delay()}
        self.bar = screen.bar(total=files, disable=verbosity < 0, **style)
        self._postfix(ConversionReport())

    def __enter__(self) -> Show:
        return self

    def __exit__(self, *details) -> None:
        self.bar.close()

    def fraction(self, files: float) -> None:
        """Show how many of the files being converted are done, with fractions."""
        self.bar.n = min(self.files, self.done + files)
        self.bar.refresh(nolock=True)

    def entry(self, report: ConversionReport, entry: Entry) -> None:
        self.done += 1
        self._postfix(report)
        self.fraction(max(0.0, self.bar.n - self.done))  # other files may be in work
        for text, error in self._lines(entry):
            # One thread does all of this; tqdm's own write takes locks, which Ctrl-C at a bad moment leaves untaken.
            self.bar.clear(nolock=True)
            say(text, error=error)
            self.buried = self.buried or (self.failed and not error and self.verbosity >= 0)
            self.failed = self.failed or error
            self.bar.refresh(nolock=True)

    def _postfix(self, report: ConversionReport) -> None:
        speed = f", {_speed(report.speed)}" if report.speed else ""
        text = f"{self.done}/{self.files} files, {_duration(report.seconds)} of audio{speed}"
        self.bar.set_postfix_str(text, refresh=False)

    def _lines(self, entry: Entry):
        position = f"[{self.done}/{self.files}]"
        if entry.status == FAILED:
            yield f"{position} failed: {with_name(entry.input, entry.reason)}", True
            if entry.traceback and self.verbosity > 0:
                for line in entry.traceback.splitlines():
                    yield line, True
        elif entry.status == SKIPPED and self.verbosity > 0:
            yield f"{position} {entry.input}: skipped, {entry.output} exists", False
        elif entry.status == DONE and (not self.live or self.verbosity > 0):
            convert_s = entry.timings_s["convert"]
            shift = f", {entry.transpose:+g} semitones" if entry.transpose else ""
            yield (
                f"{position} {entry.input} -> {entry.output}: {entry.seconds:.2f} s in {convert_s:.2f} s "
                f"({_speed(entry.seconds / max(convert_s, 1e-9))}{shift})",
                False,
            )
        for note in entry.notes:
            yield f"note: {entry.input}: {note}", False

    def summary(self, report: ConversionReport) -> None:
        """Print totals, and every failure again if other lines followed it."""
        done, skipped, failed = (report.count(status) for status in (DONE, SKIPPED, FAILED))
        text = f"converted {done} of {report.planned} files"
        if done:
            text += f", {_duration(report.seconds)} of audio at {_speed(report.speed)}"
        if skipped:
            text += f"; skipped {skipped} whose results exist (--overwrite converts them again)"
        if failed:
            text += f"; {failed} failed"
        say(text)
        if report.interrupted:
            say("interrupted: finished results stay; run the command again to go on", error=True)
        if failed and self.buried:
            say("failed:", error=True)
            for entry in report.failures:
                say(f"  {with_name(entry.input, entry.reason)}", error=True)
        faulty = [entry for entry in report.failures if entry.traceback]
        if faulty:
            from fastsvc import faults

            text = f"{len(faulty)} of them by {faults.TITLE}, not by the recording"
            say(f"{text}: {faults.save_report(faulty[0].traceback)}", error=True)


def _speed(times: float) -> str:
    """As ffmpeg's "speed=5x": seconds of audio that one second converts."""
    return f"{times:.{0 if times >= 100 else 1 if times >= 1 else 2}f} × real time"


def _duration(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 120 else f"{seconds / 60:.1f} min"
