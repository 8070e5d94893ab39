"""What to do about an error, in the words of the page and the API: these have no options of the command line."""

from __future__ import annotations

import re

# What is said at the command line → what it is for a client of the server.
_WORDS = (
    (r"download rmvpe\.zip .*", "choose another f0; who runs the server can add rmvpe's weights by $FASTSVC_RMVPE"),
    (r"all in fastsvc inspect", "all in /api/v1/voices"),
    (r"name the voice's \.pth instead: .*", "send the voice's .pth, and the index with it"),
    (r"name (.+) with --(?:index|config)\b.*", r"send \1 with the voice"),
    (r"name (.+) with --(content|vocoder)", r"send \1 with the voice, as the form's part \2"),
    (r"beside the checkpoint or with --config", "sent with the voice"),
    (r"omit --config", "send the voice without a configuration"),
    (r"build the engine again with(out)? --([a-z0-9-]+)", r"use `fastsvc build` with\1 its option \2"),
    (r"use --device cpu", "ask who runs the server to use the CPU"),
    # Options that requests have too, in their spelling there.
    (r"--(index|high|f0)-(rate|search|pass|range)\b", r"\1_\2"),
    (r"--(format|channels|bits|rate|steps|transpose|formant|seed|f0|unvoiced|normalise|protect)\b(?!-)", r"\1"),
)
_RULES = [(re.compile(pattern), words) for pattern, words in _WORDS]


def for_clients(text: str) -> str:
    """A message or a remedy without options that only the command line has."""
    if "--" not in text and "fastsvc inspect" not in text:
        return text
    for pattern, words in _RULES:
        text = pattern.sub(words, text)
    return text
