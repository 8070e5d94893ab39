"""Faults that the interpreter notices, each once for the instruction at which it was seen."""

from __future__ import annotations


class Unsupported(NotImplementedError):
    """An instruction that the interpreter does not know: never skipped in silence."""


class Faults:
    """{(kind, instruction): detail}; a kernel runs on after a fault, so that one run shows all."""

    def __init__(self):
        self.found: dict[tuple[str, str], str] = {}

    def report(self, kind: str, instruction, detail: object = "") -> None:
        self.found.setdefault((kind, str(instruction)), str(detail))

    @property
    def kinds(self) -> set[str]:
        return {kind for kind, _ in self.found}

    def check(self) -> None:
        """Raises AssertionError that lists the faults, if there are any."""
        assert not self.found, "\n".join(f"{kind}: {where} {detail}" for (kind, where), detail in self.found.items())
