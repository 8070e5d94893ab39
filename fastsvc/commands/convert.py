"""`fastsvc convert`: the options of the command, and its run."""

from __future__ import annotations

import click

from fastsvc import arguments
from fastsvc.commands.common import (
    INTERRUPTED,
    SOME_FAILED,
    Number,
    PitchRange,
    Semitones,
    WholeNumber,
    examples,
    option,
    say,
    say_notes,
    verbosity,
    verbosity_options,
)
from fastsvc.commands.engine_opening import open_engine, report_head, request_for
from fastsvc.commands.outputs import output_options
from fastsvc.commands.rvc_options import rvc_options
from fastsvc.commands.spread_options import DEVICE_HELP, Devices, SpreadOptions, spread_options
from fastsvc.config import F0_METHODS, VOCODER_BACKENDS

FORMATS = ("wav", "flac", "mp3", "ogg", "same")
SPEAKER_HELP = "Target voice: its id in the model's own table (see fastsvc inspect), its name, or a mix A:0.7,B:0.3."
SPEAKER_DEFAULT = "the only voice; in engines of RVC's voices the first one, which was trained"
MODEL_DEFAULT = "$FASTSVC_MODEL, else the only .fsvc in this folder, else the bundled demo voices"
TRANSPOSE_HELP = (
    "Shift of the melody in semitones; auto: from the singer's median pitch to the target's; "
    "octaves: the same in whole octaves, which keeps the key."
)
PRECISION_HELP = (
    "Precision of the arithmetic; auto: on a GPU as built; on a CPU bf16 for each part that is much faster in it, as "
    "measured once; built: as the engine was built."
)
BACKEND_HELP = "Program that computes the vocoder; auto: the fastest that was measured."
LEVEL_HELP = "One level for all inputs, which is undone afterwards."
HIGH_PASS_HELP = "Filter against rumble and offset below every voice; also keeps mains hum in rests unvoiced."
MIX_HELP = "Loudness over time: 0, the recording's; 1, the model's own, untouched; between, a mix (as RVC's)."
STEPS_HELP = "Number of sampling steps."
FORMANT_HELP = "Shift of the voice's resonances in semitones, where the model can."
SEED_HELP = "Seed of the noise: the same seed gives the same result."
NOISE_HELP = "Factor on the sampler's noise, of RVC's voices on RVC's own 0.66666; 0: none, whatever the seed."
F0_DEFAULT = "the model's own; RVC's voices: rmvpe where its weights are named, else fcpe where installed, else yin"
RANGE_HELP = "Lowest and highest pitch that are heard, in Hz or as notes: 60:1400, C2:F6."
RANGE_DEFAULT = "40:2100, and all that the model was trained on"
EXAMPLES = examples(
    "fastsvc convert songs/ --spk slt --transpose auto -o converted",
    'fastsvc convert song.m4a -m alto.fsvc --spk "5:0.7,alto:0.3" --format flac --bits 24',
)
BATCH_HELP = "Largest number of recordings in a GPU's batch; 1: one after another, as always on a CPU."


@click.command(short_help="Convert recordings to another voice.", epilog=EXAMPLES)
@click.argument("inputs", nargs=-1, metavar="INPUT...")
@option(
    "--spk",
    metavar="ID|NAME",
    show_default=SPEAKER_DEFAULT,
    help=SPEAKER_HELP,
)
@option(
    "-m",
    "--model",
    metavar="MODEL.fsvc",
    show_default=MODEL_DEFAULT,
    help="Engine folder.",
)
@output_options
@option(
    "--steps",
    type=click.IntRange(*arguments.STEPS),
    show_default="the engine's own: one for students",
    help=STEPS_HELP,
)
@option(
    "--transpose",
    default=0,
    type=Semitones(),
    help=TRANSPOSE_HELP,
)
@option("--formant", default=0.0, type=Number(*arguments.FORMANT), help=FORMANT_HELP)
@option("--f0", "f0_method", type=click.Choice(F0_METHODS), show_default=F0_DEFAULT, help="Pitch tracker.")
@option("--f0-weights", metavar="PATH", show_default="$FASTSVC_RMVPE", help="Weights file of rmvpe.")
@option("--f0-range", type=PitchRange(), show_default=RANGE_DEFAULT, help=RANGE_HELP)
@option(
    "--format",
    "format",
    default="wav",
    type=click.Choice(FORMATS),
    help="Output format; same: each input's.",
)
@option(
    "--bits",
    type=click.Choice(["16", "24", "float"]),
    default="16",
    help="Sample format: wav has all three, flac 16 and 24.",
)
@option(
    "--rate",
    default="same",
    type=WholeNumber("hz", ("same",), *arguments.RATE_HZ),
    help="Output sample rate in Hz; same: each input's.",
)
@option(
    "--channels",
    default="mono",
    type=click.Choice(["mono", "keep"]),
    help="Channels of the results: one mix, or each channel converted.",
)
@option(
    "--normalise/--no-normalise",
    default=None,
    show_default="as the model was trained",
    help=LEVEL_HELP,
)
@option("--high-pass/--no-high-pass", default=True, help=HIGH_PASS_HELP)
@option("--rms-mix-rate", default=arguments.DEFAULT_RMS_MIX_RATE, type=Number(*arguments.RMS_MIX_RATE), help=MIX_HELP)
@rvc_options
@option("--batch", default=16, type=click.IntRange(*arguments.BATCH), help=BATCH_HELP)
@option("--vocoder-backend", default="auto", type=click.Choice(VOCODER_BACKENDS), help=BACKEND_HELP)
@option("--device", default="auto", type=Devices(), help=DEVICE_HELP)
@option("--precision", default="auto", type=click.Choice(arguments.PRECISIONS), help=PRECISION_HELP)
@option("--seed", default=0, type=click.IntRange(*arguments.SEED), help=SEED_HELP)
@option("--noise-scale", default=arguments.DEFAULT_NOISE_SCALE, type=Number(*arguments.NOISE_SCALE), help=NOISE_HELP)
@option("--overwrite", is_flag=True, help="Replace existing results; inputs are never replaced.")
@option("--report", metavar="FILE.json", help="Report of each file's outcome, with times and versions.")
@spread_options
@verbosity_options
def convert(
    inputs,
    spk,
    model,
    out,
    format,
    bits,
    rate,
    report,
    device,
    precision,
    vocoder_backend,
    channels,
    overwrite,
    batch,
    **options,
):
    """Convert INPUTs (files, folders, URLs such as s3://…; - for stdin) to the voice of --spk.

    Folders are searched recursively, and OUT keeps their tree. The command reads wav, flac, mp3, ogg, aiff and
    more, at any rate; with the extra fastsvc[media] also m4a, mp4, aac, webm, wma and similar formats. Each result
    is exactly as long as its input.

    Exit code 0: all inputs are converted; 1: some inputs failed (each is named with its reason); 2: the command could
    not start; 70: a fault of fastsvc.
    """
    from fastsvc.commands import gpu, outputs, spread
    from fastsvc.commands.choose import choose_model
    from fastsvc.convert import shard
    from fastsvc.convert.batch import check_output_folder, run, waiting
    from fastsvc.convert.check import check_report
    from fastsvc.convert.settings import ConversionSettings
    from fastsvc.files import InWork

    name_by, asked = options.pop("name_by"), SpreadOptions.taken(options)
    if asked.spreads(inputs, out, report, device):
        outputs.check_format(format, bits, rate)
        outputs.check_spread(inputs, out, name_by)
        context = click.get_current_context()
        context.exit(spread.convert(asked, spread.Values.of(context.params, options)))
    streams, format = outputs.arranged(inputs, out, format)
    outputs.check_format(format, bits, rate)
    path, why = choose_model(model)
    planned = outputs.planned(streams, format, name_by, path, spk)
    if asked.shard is not None:
        planned = shard.of_plan(planned, asked.shard)
    report_path = None if report is None else check_report(report, planned)
    check_output_folder(planned.folder)
    say(f"engine: {path} ({why})")
    jobs = waiting(planned, overwrite)
    in_work = InWork(planned.folder, shard.in_work_name(asked.shard))
    planned.notes[:0] = _suspected(in_work, jobs)
    for_kernels = options["steps"], vocoder_backend, precision, batch, channels == "keep"
    device, groups = gpu.before_opening(path, device, jobs, *for_kernels)
    engine = open_engine(path, device, options["steps"], vocoder_backend, precision)
    request, name = request_for(engine, spk, options)
    settings = ConversionSettings(
        request,
        name=name,
        rate_hz=None if rate == "same" else rate,
        subtype=bits,
        keep_channels=channels == "keep",
        overwrite=overwrite,
        batch=batch,
        precision=precision,
    )
    say_notes(planned.notes)
    if groups:
        gpu.before_converting(engine, groups, request.steps)
    from fastsvc.commands.show import Show

    with Show(len(planned.jobs) + len(planned.problems), verbosity()) as show:
        results = shard.results(asked.shard, engine, planned, settings)
        result = run(engine, planned, settings, streams.entry(show.entry), show.fraction, in_work, results)
    show.summary(result)
    if report_path is not None:
        from fastsvc.convert.report import save

        save(report_path, result.to_dict(**report_head(engine, settings, inputs, out, format)))
        say(f"report: {report}")
    code = INTERRUPTED if result.interrupted else SOME_FAILED if result.failures else 0
    click.get_current_context().exit(code)


def _suspected(in_work, jobs) -> list[str]:
    """A line for each recording that was in work when an earlier run was killed."""
    from fastsvc.files import SUSPECTED

    sources = [job.source for job in jobs if in_work.kills(job.source)]
    return [f"{source} {SUSPECTED}" for source in sources]
