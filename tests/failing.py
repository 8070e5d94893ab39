"""Files that cannot be written to the end."""

import os


class Failing:
    """An open file that fails after so many bytes."""

    def __init__(self, raw, after, error):
        self.raw, self.after, self.error = raw, after, error

    def write(self, data):
        self.after -= len(data)
        if self.after < 0:
            raise self.error
        return self.raw.write(data)

    def __getattr__(self, name):
        return getattr(self.raw, name)


def fail_after(monkeypatch, after: int, error: BaseException) -> None:
    """Every whole file fails with ``error`` after so many bytes."""
    opened = os.fdopen
    monkeypatch.setattr(os, "fdopen", lambda *arguments: Failing(opened(*arguments), after, error))
