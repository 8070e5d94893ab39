"""`fastsvc stream`: live conversion between pipes."""

from __future__ import annotations

import click

from fastsvc import arguments
from fastsvc.commands.common import examples, option, say, verbosity, verbosity_options
from fastsvc.commands.stream_options import opened, stream_options, voice_options

EXAMPLES = examples(
    "fastsvc stream --spk slt --rate 48000 < in.raw > out.raw",
    "fastsvc stream --spk slt --rate 44100 --format s16 --lookahead 320 -m alto.fsvc < in.raw > out.raw",
)
RATE_HELP = "Sample rate of input and output in Hz."


@click.command(short_help="Convert live, from stdin to stdout.", epilog=EXAMPLES)
@voice_options
@option("--rate", required=True, type=click.IntRange(*arguments.RATE_HZ), help=RATE_HELP)
@option("--format", default="f32", type=click.Choice(["f32", "s16"]), help="Format of the samples, little-endian.")
@stream_options
@verbosity_options
def stream(spk, model, rate, format, block, lookahead, **options):
    """Convert raw mono samples from stdin to stdout, live, to the voice of --spk.

    A block is written as soon as it is final; sample n of the output belongs to sample n of the input. Messages go to
    stderr. Streams run on the processor; docs/live.md says what delay and look-ahead cost.

    Exit code 0: the input ended, or nobody reads the output any more; 2: the command could not start; 70: a fault of
    fastsvc; 130: interrupted.
    """
    from fastsvc.convert import pipe

    line, live = opened(model, spk, rate, block, lookahead, options)
    tell(line)
    latency = live.latency
    tell(
        f"latency: block {latency.block_ms:.1f} + look-ahead {latency.lookahead_ms:.1f} + filters"
        f" {latency.resampling_ms:.1f} ms + the time to compute a block"
    )
    with open(0, "rb", buffering=0, closefd=False) as source, open(1, "wb", buffering=0, closefd=False) as sink:
        piped = pipe.run(live, source, sink, format)
    if piped.replaced:
        tell(f"note: {piped.replaced} samples were not finite or beyond all scale, and were taken as silence")
    if piped.cut:
        tell("note: the input ended within a sample")
    if live.seconds:
        median_ms, late_ms = live.latency.compute_ms
        tell(f"computed: a block in {median_ms:.1f} ms, 95 of 100 within {late_ms:.1f} ms", level=1)


def tell(text: str, level: int = 0) -> None:
    """A message on stderr, as stdout carries samples."""
    if verbosity() >= level:
        say(text, error=True)
