"""Checks of the compiler's arguments, before any file is read."""

from __future__ import annotations

from pathlib import Path

from fastsvc import arguments
from fastsvc.config import STORES, VOCODER_BACKENDS
from fastsvc.config.vocoder import TENSORRT
from fastsvc.errors import ConfigError

PRECISIONS = ("auto", "fp32", "fp16", "bf16")
ERAS = ("auto", "plain", "raw", "normalised")
SAMPLERS = ("auto", "consistency", "euler", "heun", "dpm++", "unipc", "ddim", "rk4")
WORDS = {
    "precision": PRECISIONS,
    "store": STORES,
    "sampler": SAMPLERS,
    "vocoder backend": VOCODER_BACKENDS,
    "era": ERAS,
}


def check(paths: dict, words: dict, steps, depth, speaker_f0, force, progress, on_read) -> None:
    """Raises ConfigError for a wrong type or a value out of range; later passes check that the parts fit each other."""
    for name, value in paths.items():
        if name == "checkpoint" or value is not None:
            arguments.path(name, value)
    for name, choices in WORDS.items():
        if name != "era" or words[name] is not None:
            arguments.one_of(name, words[name], choices)
    if words["store"] != "float" and words["precision"] == "bf16":
        raise ConfigError(f"precision bf16 stores its own weights, not {words['store']}", "use precision auto or fp16")
    if words["store"] != "float" and words["vocoder backend"] in TENSORRT:
        why = f"{words['vocoder backend']} reads stored weights, and cannot read {words['store']}"
        raise ConfigError(why, "omit --store, or use another vocoder backend")
    from fastsvc.build.passes.target import architectures  # needs PyTorch, which the command line's help does not load

    architectures(arguments.text("target", words["target"]))
    if steps is not None:
        arguments.several(arguments.whole_number, "steps", steps, *arguments.STEPS)
    arguments.optional(arguments.whole_number, "depth", depth, *arguments.DEPTH)
    if not isinstance(speaker_f0, Path):
        arguments.optional(arguments.text, "speaker_f0", speaker_f0)
    arguments.flag("force", force)
    arguments.optional(arguments.callback, "progress", progress)
    arguments.optional(arguments.callback, "on_read", on_read)
