"""Where results of `fastsvc convert` go and how they are named: -o and --name-by."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from fastsvc.commands.common import option

if TYPE_CHECKING:
    from fastsvc.convert.plan import ConversionPlan
    from fastsvc.convert.standard_streams import NamedStreams

OUT_HELP = "Folder of the results, created if missing; or the file of one result, such as song.flac; -: stdout."
NAME_BY_HELP = "Name of a result: the source's, or with the voice's name behind it (song_slt.wav)."


def output_options(command):
    """Adds -o and --name-by to a command."""
    names = option("--name-by", default="source", type=click.Choice(["source", "voice"]), help=NAME_BY_HELP)
    return option("-o", "--out", default="converted", metavar="OUT", help=OUT_HELP)(names(command))


def arranged(inputs, out: str, format: str) -> tuple[NamedStreams, str]:
    """(files in place of standard streams until the command ends, the format of the results). Raises FastsvcError."""
    from fastsvc.convert import single, standard_streams

    context = click.get_current_context()
    chosen = context.get_parameter_source("format") == ParameterSource.COMMANDLINE
    format = single.format_for(out, format, chosen)
    streams = context.with_resource(standard_streams.named(inputs, out, format))
    return streams, single.format_for(streams.out, format, chosen=False)


def planned(streams: NamedStreams, format: str, name_by: str, model: Path, spk: str | None) -> ConversionPlan:
    """The plan of the run, for the voice ``spk`` of the engine ``model``. Raises FastsvcError."""
    from fastsvc.commands.choose import voice_name
    from fastsvc.convert import single
    from fastsvc.convert.plan import plan

    if single.is_file(streams.out):
        return single.plan_file(streams.inputs, streams.out, format)
    if name_by == "voice":
        return plan(streams.inputs, streams.out, format, voice_name(model, spk), tag_all=True)
    return plan(streams.inputs, streams.out, format, tag=spk or "")


def check_spread(inputs, out: str, name_by: str) -> None:
    """Raises UsageError for what one process alone can do: standard streams, results named by voice."""
    from fastsvc.convert.standard_streams import MARK

    if MARK in (*inputs, out):
        raise click.UsageError("- is a stream of one process; name files, or omit --ray, --manifest and the like")
    if name_by == "voice":
        raise click.UsageError("--name-by voice is for files of this machine; name results with targets in --manifest")


def check_format(format: str, bits: str, rate) -> None:
    """Raises UsageError, OutputError for what the format cannot carry."""
    from fastsvc.audio import encode

    if format != "same":
        encode.check_format(format, None if format in ("mp3", "ogg") and bits == "16" else bits)
        if rate != "same" and encode.writable_rate(format, rate) != rate:
            raise click.UsageError(f"{format} cannot carry {rate} Hz; use --rate {encode.writable_rate(format, rate)}")
