"""The command line `fastsvc`. Commands hold no logic: they parse, call and print."""

from __future__ import annotations

import click

from fastsvc.commands.common import Commands
from fastsvc.commands.convert import convert
from fastsvc.commands.learn import choir, evaluate, prepare
from fastsvc.commands.live import live
from fastsvc.commands.make import build, doctor, inspect
from fastsvc.commands.serve import serve
from fastsvc.commands.stream import stream
from fastsvc.commands.train import train
from fastsvc.version import VERSION


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(VERSION, prog_name="fastsvc")
def main():
    """Compile singing voice conversion models and run them fast.

    fastsvc convert songs/ --spk NAME converts a folder of recordings to another voice (default: the bundled demo
    voices). fastsvc build CKPT compiles a checkpoint of your own into an engine for convert -m.
    """


for _command in (convert, serve, stream, live, build, inspect, doctor, choir, prepare, train, evaluate):
    main.add_command(_command)
