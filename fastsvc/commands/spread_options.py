"""The options of `fastsvc convert` for many recordings: shards, manifests, several devices, a Ray cluster."""

from __future__ import annotations

import re
from dataclasses import dataclass

import click

from fastsvc import arguments
from fastsvc.commands.common import Number, option
from fastsvc.errors import ConfigError
from fastsvc.remote import is_url

SHARD_HELP = "Convert this part of the recordings alone, such as 3/16; other machines convert the other parts."
MANIFEST_HELP = "List of recordings instead of INPUTs, as JSON lines with source, target, speaker and options."
RAY_HELP = "Convert on a Ray cluster: its address; auto: the running one, else one here; local: one here."
WORKERS_HELP = "With --ray: number of engines."
GPUS_HELP = "With --ray: GPUs of each engine, or the share of one that it may use."
DEVICE_HELP = "Processor that computes; cuda:0,cuda:1: one process for each."
_DEVICES = re.compile(r"auto|(?:cpu|cuda(?::\d{1,3})?)(?:,(?:cpu|cuda(?::\d{1,3})?))*")


class ShardType(click.ParamType):
    name = "i/n"

    def convert(self, value, param, ctx):
        from fastsvc.convert import shard

        try:
            return value if isinstance(value, shard.Shard) else shard.parsed(value)
        except ConfigError as error:
            self.fail(str(error), param, ctx)


class Devices(click.ParamType):
    """auto, cpu, cuda, cuda:N, or several of them with commas."""

    name = "devices"

    def get_metavar(self, param, ctx=None):
        return "auto|cpu|cuda[:N][,…]"

    def convert(self, value, param, ctx):
        text = str(value).replace(" ", "")
        if not _DEVICES.fullmatch(text):
            self.fail(f"{value!r} is not a device: write auto, cpu, cuda, cuda:1, or several as cuda:0,cuda:1")
        return text


@dataclass(frozen=True)
class SpreadOptions:
    """The values of these options."""

    shard: object = None  # fastsvc.convert.shard.Shard
    manifest: str | None = None
    ray: str | None = None
    workers: int | None = None
    gpus_per_worker: float | None = None

    @classmethod
    def taken(cls, options: dict) -> SpreadOptions:
        """Take these options out of the others. Raises UsageError where they do not fit each other."""
        result = cls(**{name: options.pop(name) for name in cls.__dataclass_fields__})
        if result.ray is None and (result.workers or result.gpus_per_worker is not None):
            raise click.UsageError("--workers and --gpus-per-worker are for --ray; name devices with --device")
        return result

    def spreads(self, inputs, out: str, report: str | None, device: str) -> bool:
        """Whether workers, URLs or a manifest are asked for; a shard alone is an ordinary run of fewer recordings."""
        if not inputs and self.manifest is None:
            raise click.UsageError("Missing argument 'INPUT...'.")
        if inputs and self.manifest is not None:
            raise click.UsageError("--manifest names the recordings; omit INPUT...")
        asked = self.manifest is not None or self.ray is not None or "," in device
        return asked or any(map(is_url, (*inputs, out, report)))


def spread_options(command):
    """Adds --shard, --manifest, --ray, --workers and --gpus-per-worker to a command."""
    gpus = Number(0, 1024)
    for decorate in (
        option("--gpus-per-worker", type=gpus, show_default="1 where the cluster has GPUs, else 0", help=GPUS_HELP),
        option("--workers", type=click.IntRange(*arguments.WORKERS), show_default="as many as fit", help=WORKERS_HELP),
        option("--ray", metavar="ADDRESS|auto|local", help=RAY_HELP),
        option("--manifest", metavar="FILE.jsonl", help=MANIFEST_HELP),
        option("--shard", type=ShardType(), help=SHARD_HELP),
    ):
        command = decorate(command)
    return command
