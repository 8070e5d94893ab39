"""What a server's process has around it: a log that strangers cannot colour, enough open files, and files that no
other user of the machine can read: who knows a job's id may see the job."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator

import click

from fastsvc import screen

# Logs, and what is said of them without -v. Of packages errors alone: any client can make them warn without end.
LOGS = {"uvicorn.error": logging.ERROR, "python_multipart": logging.ERROR, "fastsvc.serve": logging.WARNING}
EXPECTED = "Cancel %s running task(s)"  # at the end, of clients that are still connected
PRIVATE = 0o077
FILES = 8192  # open files to ask the system for: a connection takes one


class _Screen(logging.Handler):
    """Lines of a log as ours: on stderr, with control characters of strangers escaped."""

    def emit(self, record: logging.LogRecord) -> None:
        if not str(record.msg).startswith(EXPECTED):
            lines = screen.level() > 0 or record.levelno >= logging.ERROR  # tracebacks
            click.echo(screen.shown(self.format(record), lines), err=True)


@contextlib.contextmanager
def surroundings() -> Iterator[None]:
    """For the time that a server runs. Everything is said with -v, and what is wrong without."""
    _raise_file_limit()
    os.umask(PRIVATE)
    loggers, handler = [logging.getLogger(name) for name in LOGS], _Screen()
    before = [(logger.propagate, logger.level) for logger in loggers]
    for logger in loggers:
        logger.addHandler(handler)
        logger.propagate = False
        logger.setLevel(logging.INFO if screen.level() > 0 else LOGS[logger.name])
    try:
        yield
    finally:
        for logger, (propagates, level) in zip(loggers, before):
            logger.removeHandler(handler)
            logger.propagate = propagates
            logger.setLevel(level)


def _raise_file_limit() -> None:
    with contextlib.suppress(ImportError, OSError, ValueError):  # Windows; a system that refuses
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        most = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
        if soft < most:
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
