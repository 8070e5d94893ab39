"""The variables of the environment that fastsvc reads, which docs/environment.md describes, and how words are read.

An empty variable is as one that is not set. Values that nobody knows are errors, as they would choose nothing.
"""

from __future__ import annotations

import os

from fastsvc import arguments

SWITCH = ("0", "1")  # off, on
# The words of each variable that chooses; the first is the default.
WORDS = {
    "FASTSVC_PDL": SWITCH,
    "FASTSVC_PERSISTENT": SWITCH,
    "FASTSVC_PRECISION": arguments.PRECISIONS,
    "FASTSVC_RESAMPLE": ("device", "soxr"),
}
# Paths, names and secrets: who reads one checks it.
TEXTS = (
    "FASTSVC_CACHE",
    "FASTSVC_KEY",
    "FASTSVC_MODEL",
    "FASTSVC_RMVPE",
    "FASTSVC_SERVE",
    "FASTSVC_SERVE_TOKEN",
)


def word(variable: str) -> str:
    """The word that a variable of :data:`WORDS`, or a switch of the tests, chooses. Raises ConfigError for another."""
    words = WORDS.get(variable, SWITCH)
    return arguments.one_of(f"${variable}", os.environ.get(variable) or words[0], words)


def switch(variable: str) -> bool:
    """Whether a variable is 1 and not 0, as unless it is set. Raises ConfigError for another value."""
    return word(variable) == SWITCH[1]


def check() -> None:
    """Raises ConfigError for a value that some part would refuse later, in the midst of its work."""
    for variable in WORDS:
        word(variable)
