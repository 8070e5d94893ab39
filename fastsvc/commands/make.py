"""`fastsvc build`, `inspect` and `doctor`: engines are built and described."""

from __future__ import annotations

import click

from fastsvc import arguments
from fastsvc.build.options import ERAS, PRECISIONS, SAMPLERS
from fastsvc.commands.common import WholeList, examples, option, print_result, say, verbosity_options
from fastsvc.config import STORES, VOCODER_BACKENDS

CONFIG_HELP = "Configuration file, for formats that keep it outside the checkpoint."
TARGET_HELP = "GPUs to compile kernels for: auto (this machine's), cpu (none), or names such as sm_80,sm_90."

STORE_HELP = "Weights in the engine's files: float, as --precision says, or int8, in half the space of fp16."
BACKEND_HELP = "Program that computes the vocoder; auto: the fastest on each device, as measured there."
INDEX_HELP = "Index of a voice of RVC (added_IVF….index), whose units convert --index-rate mixes in; none: without."
STEPS_DEFAULT = "1,2,4 for students, 10,25,50 for teachers, 5,10,20 for DDPM models, 4,10,20 for DDSP-SVC 6"
DEPTH_HELP = "Shallow diffusion: place of the chain from which the engine refines first mels (DDPM)."
SAMPLER_HELP = "Sampler; auto: consistency for students, euler for teachers and DDSP-SVC 6, dpm++ for DDPM models."
BUILD_EXAMPLES = examples(
    "fastsvc build student.pt --vocoder fastsvc/demo/voices.fsvc --content fastsvc/demo/voices.fsvc -o mine.fsvc",
    "fastsvc build voice.zip --content hubert_base.pt -o voice.fsvc",
)
INSPECT_EXAMPLES = examples("fastsvc inspect alto.fsvc", "fastsvc inspect voice.zip")
DOCTOR_EXAMPLES = examples("fastsvc doctor", "fastsvc doctor > machine.txt")


@click.command(short_help="Compile a checkpoint into an engine folder.", epilog=BUILD_EXAMPLES)
@click.argument("checkpoint", metavar="CKPT")
@option("-o", "--out", metavar="OUT.fsvc", show_default="CKPT's name with .fsvc", help="Engine folder to write.")
@option("--config", metavar="YAML", show_default="the file beside CKPT", help=CONFIG_HELP)
@option("--era", default="auto", type=click.Choice(ERAS), help="Era of CoMoSVC's code; auto: as a probe suggests.")
@option(
    "--speaker-vectors", metavar="NPZ", help="Speaker embeddings, one array per singer, for networks that need them."
)
@option("--speaker-f0", metavar="NAME:HZ,...|FILE|CORPUS", help="Median pitches of the speakers, for --transpose auto.")
@option("--vocoder", metavar="PATH", help="Vocoder: a checkpoint, its folder, or an engine with one.")
@option("--content", metavar="PATH", help="Content encoder: a checkpoint, or an engine with one.")
@option("--index", metavar="FILE|none", show_default="the one found with CKPT", help=INDEX_HELP)
@option("--steps", type=WholeList(), show_default=STEPS_DEFAULT, help="Numbers of sampling steps to build in.")
@option("--sampler", default="auto", type=click.Choice(SAMPLERS), help=SAMPLER_HELP)
@option(
    "--depth",
    type=click.IntRange(*arguments.DEPTH),
    help=DEPTH_HELP,
)
@option("--precision", default="auto", type=click.Choice(PRECISIONS), help="Precision of the weights.")
@option("--store", default="float", type=click.Choice(STORES), help=STORE_HELP)
@option("--target", default="auto", metavar="auto|cpu|sm_80,...", help=TARGET_HELP)
@option("--vocoder-backend", default="auto", type=click.Choice(VOCODER_BACKENDS), help=BACKEND_HELP)
@option("--force", is_flag=True, help="Replace an existing engine.")
@verbosity_options
def build(checkpoint, **options):
    """Compile CKPT, with its vocoder and content encoder, into an engine folder (.fsvc).

    The compiled form is checked against the plain model layer by layer before the command writes anything.
    """
    from fastsvc.build import compile
    from fastsvc.commands.gpu import after_building
    from fastsvc.commands.rvc_content import require_content

    on_read = require_content if options["content"] is None else None
    path = compile(checkpoint, progress=say, on_read=on_read, **options)
    after_building(path, options["target"])
    _say_next(path)


def _say_next(path) -> None:
    from fastsvc.artifact.engine_folder import Artifact
    from fastsvc.commands import next_step

    manifest = Artifact(path).manifest
    complete = bool(manifest.vocoder and manifest.content)
    speaker = manifest.speakers[0] if manifest.default_speaker is None else None
    line = next_step.after_building(path, speaker, bool(manifest.vocoder), bool(manifest.content))
    say(line, error=not complete)


@click.command(short_help="Show what an engine or checkpoint holds.", epilog=INSPECT_EXAMPLES)
@click.argument("path", metavar="MODEL|CKPT")
@verbosity_options
def inspect(path):
    """Show kind, configuration and speakers (with their ids) of an engine folder, of the bundled voices (voices), or
    of a checkpoint.

    For a checkpoint the command also names what is missing to build it.
    """
    from fastsvc.artifact import bundled
    from fastsvc.commands.inspect import describe

    print_result(describe(bundled.engine_path(path)))


@click.command(short_help="Show what runs on this machine, and why the rest does not.", epilog=DOCTOR_EXAMPLES)
@verbosity_options
def doctor():
    """Show what runs on this machine, and why the rest does not: GPU, driver, Triton, TensorRT, optional packages."""
    from fastsvc.commands.doctor import report

    print_result(report())
