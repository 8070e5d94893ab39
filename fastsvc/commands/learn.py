"""`fastsvc choir`, `prepare` and `evaluate`: from recordings to a corpus, and the quality of an engine."""

from __future__ import annotations

import click

from fastsvc import arguments
from fastsvc.commands.common import (
    SOME_FAILED,
    Number,
    examples,
    option,
    say,
    verbosity,
    verbosity_options,
    with_name,
)

SINGERS_HELP = "Number of source-filter singers, high and low in turn."
HIGH_PASS_HELP = "Filter against rumble and offset below every voice."
HIGH_PASS_DEFAULT = "as the corpus was begun; on for a new one"
PHONES_HELP = "Phone recogniser that labels recordings without transcripts (extra phones)."
HEARERS = ("hama",)
CLUSTERS_HELP = "Number of clusters of units that label the frames, for songs without transcripts."
EVALUATE_EXAMPLES = examples(
    "fastsvc evaluate -m alto.fsvc --recordings songs/ --clips 0 -o evaluation",
    "fastsvc evaluate -c configs/demo/evaluate.yaml -o demo_voices",
)
CHOIR_EXAMPLES = examples(
    "fastsvc choir work/choir --minutes 30", "fastsvc choir work/choir --singers 20 --minutes 225"
)
PREPARE_EXAMPLES = examples(
    "fastsvc prepare songs -o corpus --encoder fastsvc/demo/voices.fsvc --pseudo-labels 100",
    "fastsvc prepare work/choir -o corpus --config configs/demo/prepare.yaml",
)


def _cores() -> int:
    from fastsvc.children import cores

    return cores()


@click.command(short_help="Make a synthetic corpus of singers.", epilog=CHOIR_EXAMPLES)
@click.argument("out", metavar="OUT")
@option(
    "--singers",
    default=10,
    type=click.IntRange(*arguments.SINGERS),
    help=SINGERS_HELP,
)
@option("--voices/--no-voices", default=True, help="Additional voices of flite and espeak-ng, where installed.")
@option("--dry", is_flag=True, help="Singers without reverberation and noise.")
@option("--minutes", default=60.0, type=Number(*arguments.MINUTES, min_open=True), help="Minutes of audio in all.")
@option(
    "--seed",
    default=0,
    type=click.IntRange(*arguments.SEED),
    help="Seed of the songs: the same seed gives the same songs.",
)
@option(
    "--jobs",
    default=_cores,
    show_default="all cores",
    type=click.IntRange(*arguments.JOBS),
    help="Number of processes.",
)
@verbosity_options
def choir(out, singers, voices, dry, minutes, seed, jobs):
    """Render songs by synthetic singers, with exact pitch and phones beside each recording.

    A run that was interrupted continues where it stopped.
    """
    import logging

    from fastsvc.data.choir import fill, roster

    logging.basicConfig(format="note: %(message)s", level=logging.ERROR if verbosity() < 0 else logging.INFO)
    choir_info = fill(out, roster(singers, seed, voices, dry), minutes, seed, jobs=jobs, progress=verbosity() >= 0)
    say(f"{out}: {len(choir_info['singers'])} singers, {len(choir_info['songs'])} songs each")
    from fastsvc.commands import next_step

    say(next_step.after_choir(out))


@click.command(short_help="Turn recordings into a corpus for training.", epilog=PREPARE_EXAMPLES)
@click.argument("dataset", metavar="DATASET")
@option("-o", "--out", required=True, metavar="CORPUS", help="Folder of the corpus; created if missing.")
@option("--encoder", metavar="CKPT|ENGINE", help="Content encoder whose units the corpus gets (now or in a later run).")
@option("--config", metavar="YAML", help="YAML file with the keys mel and features.")
@option("--like", metavar="CKPT|ENGINE", help="Voice whose mel and features the corpus gets, to train on from it.")
@option(
    "--jobs",
    default=_cores,
    show_default="all cores",
    type=click.IntRange(*arguments.JOBS),
    help="Number of processes.",
)
@option("--seed", default=0, type=click.IntRange(*arguments.SEED), help="Seed of the split of songs.")
@option("--valid", default=0.05, type=Number(0, 1, max_open=True), help="Share of songs for validation.")
@option("--test", default=0.05, type=Number(0, 1, max_open=True), help="Share of songs for tests.")
@option(
    "--max-seconds",
    default=15.0,
    type=Number(*arguments.PIECE_S),
    help="Length in seconds of the longest piece of a recording.",
)
@option(
    "--pseudo-labels",
    metavar="K",
    type=click.IntRange(*arguments.CLUSTERS),
    help=CLUSTERS_HELP,
)
@option("--phones", type=click.Choice(HEARERS), help=PHONES_HELP)
@option("--peak", default=0.95, type=Number(0, 1), help="Peak level of each recording; 0: unchanged.")
@option("--high-pass/--no-high-pass", default=None, show_default=HIGH_PASS_DEFAULT, help=HIGH_PASS_HELP)
@verbosity_options
def prepare(dataset, out, encoder, config, like, peak, pseudo_labels, phones, **options):
    """Prepare DATASET, a folder with one folder for each singer, for training.

    The command reads wav, flac, mp3 and ogg at any rate and follows linked folders. A run that was interrupted
    continues where it stopped. Exit code 1: some recordings could not be used. Each is named with its reason;
    CORPUS/report.json lists all files.
    """
    from fastsvc.commands import corpus_recipe
    from fastsvc.data.prepare import add_units
    from fastsvc.data.prepare import prepare as prepare_corpus

    bar = verbosity() >= 0
    _check_labels(out, encoder, pseudo_labels, phones)
    chosen = corpus_recipe.of(config, like)
    content_encoder = chosen.encoder(encoder) if encoder else chosen.check_units(out)  # before hours of work
    recogniser = _phone_recogniser() if phones else None
    report = prepare_corpus(dataset, out, peak=peak or None, progress=bar, **chosen.parts, **options)
    unused = f"; {len(report.bad)} not used, see below" if report.bad else ""
    say(f"{out}: {report.items} items, {report.seconds / 60:.1f} min of {report.recordings} recordings{unused}")
    if recogniser:
        from fastsvc.data.phone_labels import add_phones

        say(f"phones by {recogniser.name}: {add_phones(out, recogniser, progress=bar)} items labelled")
        report.labels = True
    if content_encoder:
        say(f"units of {encoder}: {add_units(out, content_encoder, progress=bar)} items encoded")
        report.units = True
    if pseudo_labels:
        from fastsvc.data.pseudo import add_pseudo_labels

        share = add_pseudo_labels(out, pseudo_labels, options["seed"], progress=bar)
        say(f"{pseudo_labels} clusters in place of phones; they explain {share:.0%} of the units' variance")
        report.labels = True
    from fastsvc.commands.prepared import print_summary

    print_summary(report, dataset, config, like)
    click.get_current_context().exit(SOME_FAILED if report.bad else 0)


def _phone_recogniser():
    """The phone recogniser. Raises MissingPackageError without its package."""
    from fastsvc.data.hama_phones import HamaPhones

    return HamaPhones()


def _check_labels(out: str, encoder: str | None, clusters: int | None, phones: str | None) -> None:
    """Raises ConfigError for labels of two kinds, and where there will certainly be no units to make them from."""
    from pathlib import Path

    from fastsvc.errors import ConfigError

    if clusters and phones:
        raise ConfigError("--pseudo-labels and --phones are two kinds of labels", "choose one of them")
    if clusters and not encoder and not Path(out, "corpus.json").exists():
        raise ConfigError("--pseudo-labels needs units", "name the encoder that makes them with --encoder")


@click.command(short_help="Measure how good an engine is.", epilog=EVALUATE_EXAMPLES)
@option("-c", "--config", metavar="YAML", help="YAML file with all settings, in place of the options below.")
@option("-m", "--model", metavar="MODEL.fsvc", show_default="as for convert", help="Engine folder.")
@option("-o", "--out", default="evaluation", metavar="DIR", help="Folder of the tables (markdown, JSON) and pictures.")
@option("--teacher", metavar="CKPT", help="Teacher checkpoint, for the teacher's rows.")
@option("--recogniser", metavar="CKPT", help="Recogniser held out from training, for the phone error rate.")
@option("--verifier", metavar="CKPT", help="Verifier held out from training, for the singers.")
@option(
    "--clips",
    default=40,
    type=click.IntRange(*arguments.CLIPS),
    help="Number of unseen choir clips; 0: no choir table.",
)
@option("--recordings", metavar="DIR", help="Folder of real recordings.")
@option("--seed", default=0, type=click.IntRange(*arguments.SEED), help="Seed of clips and noise.")
@verbosity_options
def evaluate(config, model, out, **options):
    """Write tables and plots of melody, spectrum, phones, singers and speed.

    Public judges listen too where the extra `ears` is installed. Exit code 1: some recordings could not be used. Each
    is named with its reason.
    """
    from fastsvc.evaluation import run

    bar = verbosity() >= 0
    if config:
        result = run.evaluate_config(config, out, progress=bar)
    else:
        from fastsvc.commands.choose import choose_model

        path, why = choose_model(model)
        say(f"engine: {path} ({why})")
        result = run.evaluate(path, out, progress=bar, **options)
    say(f"tables and pictures: {out}")
    failed = result.get("recordings", {}).get("failed", {})
    for path, why in failed.items():
        say(f"not evaluated: {with_name(path, why)}", error=True)
    click.get_current_context().exit(SOME_FAILED if failed else 0)
