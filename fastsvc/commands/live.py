"""`fastsvc live`: live conversion from a microphone to a loudspeaker."""

from __future__ import annotations

import sys

import click

from fastsvc import arguments
from fastsvc.commands.common import examples, option, print_result, say, verbosity_options
from fastsvc.commands.stream_options import opened, stream_options, voice_options

EXAMPLES = examples(
    "fastsvc live --spk slt --input 2 --output 5",
    "fastsvc live --list",
)
DEVICE_HELP = "number (see --list) or a part of its name."
STATUS_S = 1.0


@click.command(short_help="Convert live, from microphone to loudspeaker.", epilog=EXAMPLES)
@option("--list", "list_devices", is_flag=True, help="Print the devices and end.")
@option("--input", "input_device", metavar="DEVICE", show_default="the system's", help=f"Microphone: {DEVICE_HELP}")
@option("--output", "output_device", metavar="DEVICE", show_default="the system's", help=f"Loudspeaker: {DEVICE_HELP}")
@voice_options
@option("--rate", default=48000, type=click.IntRange(*arguments.RATE_HZ), help="Sample rate of the card in Hz.")
@stream_options
@verbosity_options
def live(list_devices, input_device, output_device, spk, model, rate, block, lookahead, **options):
    """Convert what a microphone records to the voice of --spk, until Ctrl-C. Use headphones.

    It needs the extra fastsvc[live]. A line each second shows levels, late calls and the time to compute a block, where
    stderr is a terminal. docs/live.md says what delay and look-ahead cost.

    Exit code 2: the command could not start, or the card has stopped; 70: a fault of fastsvc; 130: interrupted.
    """
    from fastsvc.convert import sound_card

    if list_devices:
        print_result("\n".join(sound_card.listed()) or "no devices")
        return
    sound_card.library()
    from fastsvc.convert.live import Live

    line, stream = opened(model, spk, rate, block, lookahead, options)
    say(line)
    devices = (int(name) if name and name.isdecimal() else name for name in (input_device, output_device))
    conversion = Live(stream, rate)
    with sound_card.SoundCard(conversion, rate, *devices) as card:
        delay_ms = stream.latency.total_ms + card.delay_ms + conversion.headroom_ms
        say(f"live: {delay_ms:.0f} ms from microphone to loudspeaker")
        while True:
            card.wait(STATUS_S)
            if sys.stderr.isatty():
                click.echo(f"\r{status(conversion, stream, card.troubles)}", nl=False, err=True)


def status(conversion, stream, troubles: int) -> str:
    """Levels since the last call, calls whose output was late, and the time that blocks take."""
    counts, compute_ms = conversion.counts, stream.latency.compute_ms
    levels = f"in {_decibels(counts.peak_in)} dB, out {_decibels(counts.peak_out)} dB"
    counts.peak_in = counts.peak_out = 0.0
    times = f"a block takes {compute_ms[0]:.0f} ms, 95 of 100 at most {compute_ms[1]:.0f}"
    return f"{levels}, {counts.late + troubles} late; {times}  "


def _decibels(peak: float) -> str:
    import math

    return f"{20 * math.log10(peak):4.0f}" if peak > 1e-5 else " -∞ "
