"""`fastsvc stream`: live conversion between pipes."""

from __future__ import annotations

import click

from fastsvc import arguments
from fastsvc.commands.common import Number, PitchRange, examples, option, say, verbosity, verbosity_options
from fastsvc.commands.convert import (
    F0_DEFAULT,
    FORMANT_HELP,
    MODEL_DEFAULT,
    RANGE_DEFAULT,
    RANGE_HELP,
    SEED_HELP,
    SPEAKER_DEFAULT,
    SPEAKER_HELP,
    STEPS_HELP,
)
from fastsvc.commands.rvc_options import rvc_options
from fastsvc.config import F0_METHODS

EXAMPLES = examples(
    "fastsvc stream --spk slt --rate 48000 < in.raw > out.raw",
    "fastsvc stream --spk slt --rate 44100 --format s16 --lookahead 320 -m alto.fsvc < in.raw > out.raw",
)
BLOCK_HELP = "Length of a block in ms, rounded to whole frames; one is computed at a time."
LOOKAHEAD_HELP = "How much of the future a block waits for, in ms; below 160 it is audible."
GAIN_HELP = "Factor on the input that the output is divided by, for a soft microphone: peaks of 0.5 to 0.95 are best."
RATE_HELP = "Sample rate of input and output in Hz."


@click.command(short_help="Convert live, from stdin to stdout.", epilog=EXAMPLES)
@option("--spk", metavar="ID|NAME", show_default=SPEAKER_DEFAULT, help=SPEAKER_HELP)
@option("-m", "--model", metavar="MODEL.fsvc", show_default=MODEL_DEFAULT, help="Engine folder.")
@option("--rate", required=True, type=click.IntRange(*arguments.RATE_HZ), help=RATE_HELP)
@option("--format", default="f32", type=click.Choice(["f32", "s16"]), help="Format of the samples, little-endian.")
@option("--block", default=80.0, type=Number(1.0, 10_000.0), help=BLOCK_HELP)
@option("--lookahead", default=160.0, type=Number(0.0, 10_000.0), help=LOOKAHEAD_HELP)
@option("--steps", type=click.IntRange(*arguments.STEPS), show_default="the engine's own", help=STEPS_HELP)
@option("--transpose", default=0.0, type=Number(*arguments.SEMITONES), help="Shift of the melody in semitones.")
@option("--formant", default=0.0, type=Number(*arguments.FORMANT), help=FORMANT_HELP)
@option("--gain", default=1.0, type=Number(1e-3, 1e3), help=GAIN_HELP)
@option("--f0", "f0_method", type=click.Choice(F0_METHODS), show_default=F0_DEFAULT, help="Pitch tracker.")
@option("--f0-weights", metavar="PATH", show_default="$FASTSVC_RMVPE", help="Weights file of rmvpe.")
@option("--f0-range", type=PitchRange(), show_default=RANGE_DEFAULT, help=RANGE_HELP)
@rvc_options
@option("--seed", default=0, type=click.IntRange(*arguments.SEED), help=SEED_HELP)
@verbosity_options
def stream(spk, model, rate, format, block, lookahead, **options):
    """Convert raw mono samples from stdin to stdout, live, to the voice of --spk.

    A block is written as soon as it is final; sample n of the output belongs to sample n of the input. Messages go to
    stderr. Streams run on the processor; docs/live.md says what delay and look-ahead cost.

    Exit code 0: the input ended, or nobody reads the output any more; 2: the command could not start; 70: a fault of
    fastsvc; 130: interrupted.
    """
    from fastsvc.commands.choose import choose_model, choose_speaker
    from fastsvc.convert import pipe
    from fastsvc.engine import Engine

    path, why = choose_model(model)
    engine = Engine.open(path, device="cpu")
    speaker = choose_speaker(engine.table, spk)
    live = engine.stream(speaker, rate, block_ms=block, lookahead_ms=lookahead, **options)
    tell(f"engine: {path} ({why}); speaker: {engine.table.name(speaker)}")
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
