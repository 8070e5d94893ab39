"""`fastsvc choir`, `prepare`, `train` and `evaluate`: from recordings to a model, and how good it is."""

from __future__ import annotations

import click

from fastsvc import arguments
from fastsvc.commands.common import SOME_FAILED, Number, option, say, verbosity, verbosity_options

KINDS = ("recogniser", "singer", "pitch", "vocoder", "teacher", "student", "dmo")
SINGERS_HELP = "Source-filter singers, high and low in turn."
HIGH_PASS_HELP = "Take away rumble and offset below every voice. Without: as the corpus was begun, on for a new one."
CLUSTERS_HELP = "Label frames by K clusters of units."


def _cores() -> int:
    from fastsvc.children import cores

    return cores()


@click.command(short_help="Make a synthetic corpus of singers.")
@click.argument("out", metavar="OUT")
@option(
    "--singers",
    default=10,
    type=click.IntRange(*arguments.SINGERS),
    help=SINGERS_HELP,
)
@option("--voices/--no-voices", default=True, help="Also the voices of flite and espeak-ng, where installed.")
@option("--minutes", default=60.0, type=Number(*arguments.MINUTES, min_open=True), help="Of audio in all.")
@option("--seed", default=0, type=click.IntRange(*arguments.SEED), help="The same seed sings the same songs.")
@option("--jobs", default=_cores, show_default="all cores", type=click.IntRange(*arguments.JOBS), help="Processes.")
@verbosity_options
def choir(out, singers, voices, minutes, seed, jobs):
    """Let singers without bodies sing the same songs, with exact pitch and phones beside each recording.

    A broken run goes on where it was.
    """
    import logging

    from fastsvc.data.choir import fill, roster

    logging.basicConfig(format="note: %(message)s", level=logging.ERROR if verbosity() < 0 else logging.INFO)
    about = fill(out, roster(singers, seed, voices), minutes, seed, jobs=jobs, progress=verbosity() >= 0)
    say(f"{out}: {len(about['singers'])} singers, {len(about['songs'])} songs each")


@click.command(short_help="Turn recordings into a corpus to train on.")
@click.argument("dataset", metavar="DATASET")
@option("-o", "--out", required=True, metavar="CORPUS", help="Folder of the corpus; made if missing.")
@option("--encoder", metavar="CKPT|ENGINE", help="Recogniser whose units are added; or later.")
@option("--config", metavar="YAML", help="Mel and features, under the keys mel and features.")
@option("--jobs", default=_cores, show_default="all cores", type=click.IntRange(*arguments.JOBS), help="Processes.")
@option("--seed", default=0, type=click.IntRange(*arguments.SEED), help="Of the split of songs.")
@option("--valid", default=0.05, type=Number(0, 1, max_open=True), help="Share of songs for validation.")
@option("--test", default=0.05, type=Number(0, 1, max_open=True), help="Share of songs for tests.")
@option("--max-seconds", default=15.0, type=Number(*arguments.PIECE_S), help="Longest piece of a recording.")
@option(
    "--pseudo-labels",
    metavar="K",
    type=click.IntRange(*arguments.CLUSTERS),
    help=CLUSTERS_HELP,
)
@option("--peak", default=0.95, type=Number(0, 1), help="Level of each recording; 0: as it is.")
@option("--high-pass/--no-high-pass", default=None, help=HIGH_PASS_HELP)
@verbosity_options
def prepare(dataset, out, encoder, config, peak, pseudo_labels, **options):
    """Prepare DATASET, a folder with one folder for each singer, for training.

    Reads wav, flac, mp3, ogg at any rate; linked folders are followed. A broken run goes on where it was. Exit code 1
    when some recordings could not be used; each is named with its reason, and all files in CORPUS/report.json.
    """
    from fastsvc.data.prepare import add_units
    from fastsvc.data.prepare import prepare as run

    bar = verbosity() >= 0
    _check_labels(out, encoder, pseudo_labels)
    hears = _encoder(encoder) if encoder else None  # before hours of work
    report = run(dataset, out, peak=peak or None, progress=bar, **(_features(config) if config else {}), **options)
    unused = f"; {len(report.bad)} not used, see below" if report.bad else ""
    say(f"{out}: {report.items} items, {report.seconds / 60:.1f} min of {report.recordings} recordings{unused}")
    if hears:
        say(f"units of {encoder}: {add_units(out, hears, progress=bar)} items encoded")
        report.units = True
    if pseudo_labels:
        from fastsvc.data.pseudo import add_pseudo_labels

        explained = add_pseudo_labels(out, pseudo_labels, options["seed"], progress=bar)
        say(f"{pseudo_labels} clusters in place of phones; they explain {explained:.0%} of the units' variance")
        report.labels = True
    from fastsvc.commands.prepared import tell

    tell(report, dataset, config)
    click.get_current_context().exit(SOME_FAILED if report.bad else 0)


def _check_labels(out: str, encoder: str | None, clusters: int | None) -> None:
    """Raises ConfigError where there will certainly be no units to make pseudo-labels from."""
    from pathlib import Path

    from fastsvc.errors import ConfigError

    if clusters and not encoder and not Path(out, "corpus.json").exists():
        raise ConfigError("--pseudo-labels needs units", "name the encoder that makes them with --encoder")


def _encoder(path: str):
    """The content encoder of a recogniser's checkpoint or of an engine folder."""
    from pathlib import Path

    from fastsvc.engine import Engine, artifact
    from fastsvc.errors import EngineError
    from fastsvc.features.content import RecogniserEncoder

    if not artifact.is_engine(Path(path)):
        return RecogniserEncoder.open(path)
    encoder = Engine.open(path, "cpu").encoder  # a GPU's own form rounds: a corpus has units of one encoder alone
    if encoder is None:
        raise EngineError(f"{path} has no content encoder", "give another engine, or a recogniser's checkpoint")
    return encoder


def _features(path: str) -> dict:
    """``mel`` and ``features`` of a YAML file, as configurations."""
    from fastsvc import reading
    from fastsvc.config import FeatureConfig, MelConfig, from_dict
    from fastsvc.errors import ConfigError

    data = reading.yaml_file(path) or {}
    kinds = {"mel": MelConfig, "features": FeatureConfig}
    if not isinstance(data, dict) or set(data) - set(kinds):
        raise ConfigError(f"{path}: only the keys mel and features are known", "remove the others")
    return {key: from_dict(kinds[key], value, f"{path}: {key}") for key, value in data.items()}


@click.command(short_help="Train a network.")
@click.argument("kind", type=click.Choice(KINDS))
@option("-c", "--config", required=True, metavar="CONFIG", help="YAML with data, sizes and times.")
@option("-o", "--out", metavar="DIR", help="Where checkpoints go. Without: what CONFIG says.")
@option("--resume", is_flag=True, help="Go on from the run's last checkpoint, where it has one.")
@verbosity_options
def train(kind, config, out, resume):
    """Train a network of the given KIND.

    Ctrl-C stops after the current step and saves; --resume goes on as if nothing had happened, also after singers came
    or went: rows follow their names (docs/training.md). Under torchrun it trains on several GPUs.
    """
    from fastsvc.training import run

    result = run(kind, config, resume=resume, out=out)
    state = "finished" if result["finished"] else "stopped"
    say(f"{state} at step {result['step']}; checkpoints in {result['out']}")


@click.command(short_help="Measure how good an engine is.")
@option("-c", "--config", metavar="YAML", help="All settings in a file; then the options below are not used.")
@option("-m", "--model", metavar="MODEL.fsvc", help="Engine folder. Without: as for convert.")
@option("-o", "--out", default="evaluation", metavar="DIR", help="Where tables (markdown, JSON) and pictures go.")
@option("--teacher", metavar="CKPT", help="Its rows are left out without.")
@option("--recogniser", metavar="CKPT", help="Held out from training, for the phone error rate.")
@option("--verifier", metavar="CKPT", help="Held out from training, for the singers.")
@option("--clips", default=40, type=click.IntRange(*arguments.CLIPS), help="Unseen choir clips; 0: no choir table.")
@option("--recordings", metavar="DIR", help="Real recordings.")
@option("--seed", default=0, type=click.IntRange(*arguments.SEED), help="Of clips and noise.")
@verbosity_options
def evaluate(config, model, out, **options):
    """Tables and plots of melody, spectrum, phones, singers and speed."""
    from fastsvc.evaluation import run as evaluation

    bar = verbosity() >= 0
    if config:
        evaluation.evaluate_config(config, out, progress=bar)
    else:
        from fastsvc.commands.choose import choose_model

        path, why = choose_model(model)
        say(f"engine: {path} ({why})")
        evaluation.evaluate(path, out, progress=bar, **options)
    say(f"tables and pictures: {out}")
