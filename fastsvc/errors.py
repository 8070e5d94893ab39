"""Errors that a user can act on: what went wrong and where, why, and what to do.

Each carries ``remedy``, the next step. ``str(error)`` is one line with both, ready to be printed;
the command line prints it without a traceback unless ``-v`` is given.
"""


class FastsvcError(Exception):
    """Base of all errors whose text is meant for the user."""

    def __init__(self, message: str, remedy: str = ""):
        self.message = " ".join(message.split())
        self.remedy = " ".join(remedy.split())
        super().__init__(self.message + (f" ({self.remedy})" if self.remedy else ""))

    def __reduce__(self):
        return _unpickled, (type(self), self.message, self.remedy)  # unchanged on its way out of a worker process


def _unpickled(kind: type[FastsvcError], message: str, remedy: str) -> FastsvcError:
    error = kind.__new__(kind)
    FastsvcError.__init__(error, message, remedy)
    return error


class ConfigError(FastsvcError):
    """A configuration value is missing, unknown or out of range."""


class AudioError(FastsvcError):
    """A recording cannot be read, or holds nothing that can be converted."""


class OutputError(FastsvcError):
    """A result cannot be written."""


class CheckpointError(FastsvcError):
    """A checkpoint is damaged, unsafe, of an unknown kind, or lacks something."""


class SpeakerError(FastsvcError):
    """No speaker of that name or id."""


class EngineError(FastsvcError):
    """An engine folder is missing, damaged, or cannot run here."""


class DeviceError(FastsvcError):
    """A sound card is missing, busy, refuses what it is asked for, or has gone."""


class ResourceError(FastsvcError):
    """The machine lacks what the work needs: memory, disk space, a permission."""


class MissingPackageError(FastsvcError):
    """An optional package is not installed. ``command`` installs it where an extra of ours cannot."""

    def __init__(self, package: str, purpose: str, extra: str = "", command: str = ""):
        super().__init__(
            f"{purpose} needs the package {package}, which is not installed",
            f"install it with: {command}" if command else f'install it with: pip install "fastsvc[{extra}]"',
        )
