"""The options of `fastsvc convert` for RVC's voices, and the pitch tracker that they get."""

from __future__ import annotations

import dataclasses

import click

from fastsvc import arguments
from fastsvc.commands.common import Number, option, say

WITH_INDEX = "where the engine has an index"
RATE_HELP = "RVC's voices: share of the index's units in the content; 0: no index."
PROTECT_HELP = "RVC's voices: the same where there is no pitch, to keep consonants; 0.5: no protection."
SEARCH_HELP = "RVC's voices: search of all vectors, or of the nearest list alone as RVC searches."
UNVOICED_HELP = "RVC's voices: pitch where there is none; zero: as most voices were trained, interpolated: since 2026."


def rvc_options(command):
    """Adds --index-rate, --protect, --index-search and --unvoiced to a command."""
    rate, protect = f"{arguments.DEFAULT_INDEX_RATE:g} {WITH_INDEX}", f"{arguments.DEFAULT_PROTECT:g} {WITH_INDEX}"
    unvoiced = click.Choice(arguments.UNVOICED_F0)
    for decorate in (
        option("--unvoiced", type=unvoiced, show_default="the engine's own: zero", help=UNVOICED_HELP),
        option("--index-search", type=click.Choice(arguments.INDEX_SEARCHES), show_default="exact", help=SEARCH_HELP),
        option("--protect", type=Number(*arguments.PROTECT), show_default=protect, help=PROTECT_HELP),
        option("--index-rate", type=Number(*arguments.INDEX_RATE), show_default=rate, help=RATE_HELP),
    ):
        command = decorate(command)
    return command


def with_tracker(engine, request):
    """The request; for a voice of RVC with the name of its pitch tracker, which is printed.

    Raises ConfigError, CheckpointError or MissingPackageError where the tracker cannot work.
    """
    from fastsvc.config import RvcConfig
    from fastsvc.engine import rvc_options as resolved
    from fastsvc.features import f0

    method = resolved.f0_method(engine, request)
    if method is not None:
        f0.require(method, request.f0_weights)
    if not isinstance(engine.config, RvcConfig):
        return request
    say(f"pitch: {'none, as this voice was trained without' if method is None else method}")
    if method == resolved.LAST_F0 and request.f0_method is None:
        say(
            "note: RVC's voices were trained with the pitch of rmvpe: name its weights with --f0-weights or"
            " $FASTSVC_RMVPE, or install fcpe, the second best, with pip install --no-deps torchfcpe"
        )
    return dataclasses.replace(request, f0_method=method)
