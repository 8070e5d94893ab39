"""What `fastsvc stream` and `fastsvc live` share: their options, and the stream that these ask for."""

from __future__ import annotations

import os

import click

from fastsvc import arguments
from fastsvc.commands.common import Number, PitchRange, option
from fastsvc.commands.convert import (
    F0_DEFAULT,
    FORMANT_HELP,
    MODEL_DEFAULT,
    NOISE_HELP,
    RANGE_DEFAULT,
    RANGE_HELP,
    SEED_HELP,
    SPEAKER_DEFAULT,
    SPEAKER_HELP,
    STEPS_HELP,
)
from fastsvc.commands.rvc_options import rvc_options
from fastsvc.config import F0_METHODS

BLOCK_HELP = "Length of a block in ms, rounded to whole frames; one is computed at a time."
LOOKAHEAD_HELP = "How much of the future a block waits for, in ms; below 160 it is audible."
GAIN_HELP = "Factor on the input that the output is divided by, for a soft microphone: peaks of 0.5 to 0.95 are best."


def voice_options(command):
    """Adds --spk and --model to a command."""
    model = option("-m", "--model", metavar="MODEL.fsvc", show_default=MODEL_DEFAULT, help="Engine folder.")
    speaker = option("--spk", metavar="ID|NAME", show_default=SPEAKER_DEFAULT, help=SPEAKER_HELP)
    return speaker(model(command))


def stream_options(command):
    """Adds the grid's sizes and the arguments of :meth:`fastsvc.engine.Engine.stream` to a command."""
    steps, formants = click.IntRange(*arguments.STEPS), Number(*arguments.FORMANT)
    scale, noise_scale = arguments.DEFAULT_NOISE_SCALE, Number(*arguments.NOISE_SCALE)
    decorators = (
        option("--block", default=80.0, type=Number(1.0, 10_000.0), help=BLOCK_HELP),
        option("--lookahead", default=160.0, type=Number(0.0, 10_000.0), help=LOOKAHEAD_HELP),
        option("--steps", type=steps, show_default="the engine's own", help=STEPS_HELP),
        option("--transpose", default=0.0, type=Number(*arguments.SEMITONES), help="Shift of the melody in semitones."),
        option("--formant", default=0.0, type=formants, help=FORMANT_HELP),
        option("--gain", default=1.0, type=Number(1e-3, 1e3), help=GAIN_HELP),
        option("--f0", "f0_method", type=click.Choice(F0_METHODS), show_default=F0_DEFAULT, help="Pitch tracker."),
        option("--f0-weights", metavar="PATH", show_default="$FASTSVC_RMVPE", help="Weights file of rmvpe."),
        option("--f0-range", type=PitchRange(), show_default=RANGE_DEFAULT, help=RANGE_HELP),
        rvc_options,
        option("--seed", default=0, type=click.IntRange(*arguments.SEED), help=SEED_HELP),
        option("--noise-scale", default=scale, type=noise_scale, help=NOISE_HELP),
    )
    for decorate in reversed(decorators):
        command = decorate(command)
    return command


def opened(model, spk, rate: int, block: float, lookahead: float, options: dict):
    """(a line that names engine and speaker, the stream).

    One thread computes, unless $OMP_NUM_THREADS says otherwise: blocks are small, and beside other work threads wait
    for each other (docs/live.md). Raises EngineError, SpeakerError, ConfigError.
    """
    import torch

    from fastsvc.commands.choose import choose_model, choose_speaker
    from fastsvc.engine import Engine

    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(1)
    path, why = choose_model(model)
    engine = Engine.open(path, device="cpu", precision="built")
    speaker = choose_speaker(engine.table, spk)
    stream = engine.stream(speaker, rate, block_ms=block, lookahead_ms=lookahead, **options)
    return f"engine: {path} ({why}); speaker: {engine.table.name(speaker)}", stream
