"""`fastsvc live`: live conversion from a microphone to a loudspeaker."""

from __future__ import annotations

import contextlib
import shutil
import sys
from pathlib import Path

import click

from fastsvc import arguments
from fastsvc.commands.common import SOME_FAILED, Number, examples, option, print_result, say, verbosity_options
from fastsvc.commands.live_keys import Keys, Terminated
from fastsvc.commands.live_settings import HELP, Settings
from fastsvc.commands.stream_options import opened, stream_options, voice_options

EXAMPLES = examples(
    'fastsvc live --spk slt --input 2 --output "USB headset"',
    "fastsvc live --list",
)
DEVICE_HELP = "number (see --list), name or a part of it."
RATE_HELP = "Sample rate of both devices in Hz."
GATE_HELP = "Level in dB of full scale below which the input is silence, or off."
HEADROOM_HELP = "Delay in ms for blocks that take longer than usual."
RECORD_HELP = "Record input and output as WAV files, which must not exist."
WAIT_HELP = "How long a device that has gone may stay away, in seconds."
CHANNEL_HELP = "Channel of the input, from 1 on."
TICK_S = 0.1


class GateLevel(Number):
    """A level in dB, or off."""

    def convert(self, value, param, ctx):
        return None if value in ("off", None) else super().convert(value, param, ctx)


@click.command(short_help="Convert live, from microphone to loudspeaker.", epilog=EXAMPLES)
@option("--list", "list_devices", is_flag=True, help="Print the devices and end.")
@option("--input", "input_device", metavar="DEVICE", show_default="the system's", help=f"Microphone: {DEVICE_HELP}")
@option("--output", "output_device", metavar="DEVICE", show_default="the system's", help=f"Loudspeaker: {DEVICE_HELP}")
@option("--channel", type=click.IntRange(1, 256), show_default="the mean of the first two", help=CHANNEL_HELP)
@voice_options
@option("--rate", type=click.IntRange(*arguments.RATE_HZ), show_default="each device's own", help=RATE_HELP)
@option("--mix", default=1.0, type=Number(0.0, 1.0), help="Share of the converted voice; the rest is the input.")
@option("--gate", default="-60", type=GateLevel(-120.0, 0.0), metavar="DB|off", help=GATE_HELP)
@option("--headroom", default=20.0, type=Number(0.0, 1000.0), help=HEADROOM_HELP)
@option("--record", nargs=2, type=click.Path(path_type=Path), metavar="IN.wav OUT.wav", help=RECORD_HELP)
@option("--wait", default=30.0, type=Number(0.0, 1e6), help=WAIT_HELP)
@stream_options
@verbosity_options
def live(
    list_devices,
    input_device,
    output_device,
    channel,
    spk,
    model,
    rate,
    mix,
    gate,
    headroom,
    record,
    wait,
    block,
    lookahead,
    **options,
):
    """Convert what a microphone records to the voice of --spk, until Ctrl-C or the key q. Use headphones.

    It needs the extra fastsvc[live]. In a terminal keys change voice, transpose, mix and gain while it runs, and a line
    shows levels and late calls. The two devices may have different rates. docs/live.md says what the delay consists of.

    Exit code 0: ended by the key q; 1: a device has gone; 2: the command could not start; 70: a fault of fastsvc; 130:
    interrupted.
    """
    from fastsvc.convert import sound_devices
    from fastsvc.convert.sound_devices import INPUT, OUTPUT

    if list_devices:
        print_result("\n".join(sound_devices.listed()) or "no devices")
        return
    sound_devices.library()
    from fastsvc.convert import live_record, live_session
    from fastsvc.convert.live_chain import Chain
    from fastsvc.convert.live_session import GoneError

    if record:
        live_record.check(record)
    devices = sound_devices.chosen(INPUT, input_device, channel), sound_devices.chosen(OUTPUT, output_device)
    rates = rate or devices[0].rate_hz, rate or devices[1].rate_hz
    line, stream = opened(model, spk, rates[0], block, lookahead, options)
    say(line)
    say(f"input: {devices[0].name}, {rates[0]} Hz; output: {devices[1].name}, {rates[1]} Hz")
    compute_s = live_session.warmed_up(stream, rates[0])
    if 1000 * compute_s > stream.latency.block_ms:
        times = f"a block takes {1000 * compute_s:.0f} ms and lasts {stream.latency.block_ms:.0f} ms"
        say(f"warning: {times}, so it comes late: choose a larger --block", error=True)
    chain, settings = Chain(stream, rates[0], mix, gate), Settings.of(stream, mix)
    more = {"channel": channel, "wait_s": wait, "headroom_s": headroom / 1000, "record": record}
    session = live_session.Session(chain, devices, rates, compute_s, **more)
    try:
        with Keys() as keys, contextlib.closing(session):
            session.open()
            say(f"live: {session.delay_ms:.0f} ms from microphone to loudspeaker")
            run(session, settings, keys)
    except Terminated as ended:
        click.get_current_context().exit(ended.code)
    except GoneError as error:
        say(f"error: {error}", error=True)
        click.get_current_context().exit(SOME_FAILED)


def run(session, settings: Settings, keys: Keys) -> None:
    """Until a key asks for the end, or something else ends it."""
    shown = sys.stderr.isatty()
    if keys.terminal:
        say(HELP)
    try:
        while True:
            for key in keys.wait(TICK_S):
                changes = settings.press(key)
                if changes is None:
                    return
                session.set(**changes)
            width = shutil.get_terminal_size().columns - 1
            for note in session.tick():
                if shown:
                    click.echo(f"\r{'':{width}}\r", nl=False, err=True)
                say(note, error=True)
            if shown:
                click.echo(f"\r{settings.line(session, width)}", nl=False, err=True)
    finally:
        if shown:
            click.echo(err=True)
        say(f"{session.counts.late} late calls, {session.xruns} xruns", level=0)
