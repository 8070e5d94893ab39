"""`fastsvc train`: a voice from a folder of songs, or one network by its configuration."""

from __future__ import annotations

from pathlib import Path

import click

from fastsvc.commands.common import examples, option, print_result, say, verbosity, verbosity_options

KINDS = ("recogniser", "singer", "pitch", "vocoder", "teacher", "student", "dmo")
CONFIGS = ("prepare", *KINDS, "paired")  # the last: a student without a teacher
TRAIN_EXAMPLES = examples(
    "fastsvc train songs/ -o me.fsvc --budget 2h",
    "fastsvc train teacher -c teacher.yaml --resume",
)
RESUME_HELP = "Continue from the run's last checkpoint, where it has one. A folder of songs always continues."
OUT_DEFAULT = "SINGERS' name with .fsvc; for a KIND as CONFIG says"
BASE_HELP = "Engine whose network, vocoder and content encoder a voice starts from."
BUDGET = "2h"


@click.command(short_help="Make a voice from a folder of songs, or train one network.", epilog=TRAIN_EXAMPLES)
@click.argument("what", metavar="SINGERS|KIND", required=False)
@option("-o", "--out", metavar="NAME.fsvc|DIR", show_default=OUT_DEFAULT, help="Engine, or folder of the checkpoints.")
@option("--budget", metavar="TIME", show_default=BUDGET, help="Time for a voice: 30min, 2h or overnight (8 h).")
@option("--device", metavar="DEVICE", show_default="auto", help="Device for a voice: auto, cpu, cuda or cuda:N.")
@option("--base", metavar="ENGINE", show_default="the demo voices", help=BASE_HELP)
@option("-c", "--config", metavar="CONFIG", help="YAML file of a KIND with data, sizes and times.")
@option("--resume", is_flag=True, help=RESUME_HELP)
@option("--print-config", type=click.Choice(CONFIGS), help="Print a configuration to begin with, and stop.")
@verbosity_options
def train(what, out, budget, device, base, config, resume, print_config):
    """Make an engine from SINGERS, a folder with one folder of songs for each singer (or with one singer's songs).

    The command prepares the songs, trains the demo voices' student on with them, and builds the engine. It leaves
    previews to listen to in NAME.training/previews. Ctrl-C, kill or a power failure lose at most half a
    minute of training: the same command continues.

    With a KIND (recogniser, singer, pitch, vocoder, teacher, student, dmo) and -c it trains that network alone. Ctrl-C
    saves and stops after the current step. --resume continues as if the run had never stopped, also after singers were
    added or removed: rows follow the singers' names (docs/training.md). torchrun trains on several GPUs.
    """
    if print_config:
        from fastsvc.recipe import configs

        return print_result(configs.text(print_config).rstrip())
    if what is None:
        raise click.UsageError("Missing argument 'SINGERS|KIND'.")
    if what in KINDS:
        for name, value in (("--budget", budget), ("--device", device), ("--base", base)):
            if value is not None:
                raise click.UsageError(
                    f"{name} belongs to a folder of songs: {what} has its values in the configuration."
                )
        return _one_network(what, config, out, resume)
    if config is not None:
        raise click.UsageError(f"-c belongs to a KIND, and {what!r} is not one of {', '.join(KINDS)}.")
    return _voice(what, out, BUDGET if budget is None else budget, device or "auto", base)


def _one_network(kind: str, config: str | None, out: str | None, resume: bool) -> None:
    if config is None:
        folder = f" For the folder of that name: fastsvc train ./{kind}" if Path(kind).is_dir() else ""
        raise click.UsageError(
            f"Missing option '-c': {kind} is a kind of training (see fastsvc train --print-config {kind}).{folder}"
        )
    from fastsvc.commands import next_step
    from fastsvc.training import run

    result = run(kind, config, resume=resume, out=out)
    state = "finished" if result["finished"] else "stopped"
    say(f"{state} at step {result['step']}; checkpoints in {result['out']}")
    if result["finished"]:
        say(next_step.after_training(kind, result["out"]))


def _voice(folder: str, out: str | None, budget: str, device: str, base: str | None) -> None:
    from fastsvc import recipe
    from fastsvc.commands import next_step
    from fastsvc.errors import AudioError
    from fastsvc.recipe.budget import minutes_of

    minutes = minutes_of(budget)
    if not Path(folder).is_dir():
        raise AudioError(
            f"{folder}: neither a folder of songs nor a kind of training", f"the kinds are {', '.join(KINDS)}"
        )
    result = recipe.train(folder, out, minutes=minutes, device=device, engine=base, say=say, quiet=verbosity() < 0)
    if result["finished"]:
        say(f"finished: {result['out']}; listen to {result['folder'] / 'previews'}")
        say(next_step.after_building(result["out"], result["singers"][0], True, True))
    else:
        say(f"stopped; the same command continues: {result['hint']}")
