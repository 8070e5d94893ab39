"""`fastsvc build`, `inspect` and `doctor`: making engines and looking at them."""

from __future__ import annotations

import click

from fastsvc import arguments
from fastsvc.build.options import ERAS, PRECISIONS, SAMPLERS
from fastsvc.commands.common import WholeList, option, present, say, verbosity_options
from fastsvc.config import VOCODER_BACKENDS

TARGET_HELP = "GPUs to compile kernels for: auto (this machine's), cpu (none), or names such as sm_80,sm_90."

BACKEND_HELP = "What computes the vocoder; auto: each device takes the fastest, as measured there."
STEPS_HELP = "Sampling steps to build in. Without: 1,2,4 (students), 10,25,50 (teachers), 5,10,20 (DDPM models)."
DEPTH_HELP = "Shallow diffusion: refine given mels from this place on (DDPM)."
SAMPLER_HELP = "auto: consistency for students, euler for teachers, dpm++ for DDPM models."


@click.command(short_help="Compile a checkpoint into an engine folder.")
@click.argument("checkpoint", metavar="CKPT")
@option("-o", "--out", metavar="OUT.fsvc", help="Engine folder to make. Without: the checkpoint's name with .fsvc.")
@option("--config", metavar="YAML", help="Configuration of formats that keep it outside the checkpoint.")
@option("--era", default="auto", type=click.Choice(ERAS), help="Of CoMoSVC's code; auto: as a probe suggests.")
@option("--speaker-vectors", metavar="NPZ", help="Speaker embeddings, one array a singer, for networks that take them.")
@option("--speaker-f0", metavar="NAME:HZ,...|FILE|CORPUS", help="Median pitches, for --transpose auto.")
@option("--vocoder", metavar="PATH", help="Vocoder checkpoint, its folder, or an engine that has it.")
@option("--content", metavar="PATH", help="Content encoder: checkpoint, or an engine that has it.")
@option("--steps", type=WholeList(), help=STEPS_HELP)
@option("--sampler", default="auto", type=click.Choice(SAMPLERS), help=SAMPLER_HELP)
@option(
    "--depth",
    type=click.IntRange(*arguments.DEPTH),
    help=DEPTH_HELP,
)
@option("--precision", default="auto", type=click.Choice(PRECISIONS), help="Of the weights.")
@option("--target", default="auto", metavar="auto|cpu|sm_80,...", help=TARGET_HELP)
@option("--vocoder-backend", default="auto", type=click.Choice(VOCODER_BACKENDS), help=BACKEND_HELP)
@option("--force", is_flag=True, help="Replace an engine that exists.")
@verbosity_options
def build(checkpoint, **options):
    """Compile CKPT, with its vocoder and content encoder, into an engine folder (.fsvc).

    The compiled form is checked against the plain model layer by layer before anything is written.
    """
    from fastsvc.build import compile
    from fastsvc.commands.gpu import after_building

    path = compile(checkpoint, progress=say, **options)
    after_building(path, options["target"])


@click.command(short_help="Say what an engine or checkpoint holds.")
@click.argument("path", metavar="MODEL|CKPT")
@verbosity_options
def inspect(path):
    """Kind, configuration and speakers (with their ids) of an engine folder or a checkpoint."""
    from fastsvc.commands.inspect import describe

    present(describe(path))


@click.command(short_help="Say what can run on this machine, and why not.")
@verbosity_options
def doctor():
    """GPU, driver, Triton, TensorRT, optional packages: what will run where, and why not."""
    from fastsvc.commands.doctor import report

    present(report())
