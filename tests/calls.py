"""Calls that fail on purpose, and the command line in this process."""

from click.testing import CliRunner

from fastsvc.cli import main


def raising(error):
    def call(*args, **kwargs):
        raise error

    return call


def run(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])
