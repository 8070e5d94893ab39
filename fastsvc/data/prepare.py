"""`fastsvc prepare`: any tree of singers' recordings → a corpus to train on (docs/architecture.md, "Prepared corpus").

Besides ``corpus.json`` and ``items/`` a corpus keeps ``settings.json`` (what the items were made with) and
``records/``, one small file for each recording that is done, so that a broken run goes on where it was.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from fastsvc import arguments, arrays, files, screen
from fastsvc.config import FeatureConfig, MelConfig, from_dict, to_dict
from fastsvc.data import records
from fastsvc.data.pieces import Settings
from fastsvc.data.scan import Source, scan, split_songs
from fastsvc.data.store import load_json, save_json
from fastsvc.data.units import add_units
from fastsvc.data.workers import processed
from fastsvc.errors import AudioError, ConfigError, FastsvcError, OutputError
from fastsvc.files import InWork

__all__ = ["Report", "add_units", "prepare"]

FORMAT = 1
NAME_BYTES = 240  # of a recording's: what is made of it has some more, of 255 that systems allow
F0_SOURCES = ("auto", "tracker")


@dataclass
class Report:
    """What became of the recordings. ``bad``: (path, why) of those that could not be used."""

    corpus: Path
    recordings: int = 0
    reused: int = 0  # done by an earlier run
    items: int = 0
    seconds: float = 0.0
    bad: list[tuple[str, str]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def prepare(
    dataset,
    out,
    *,
    jobs: int = 2,
    mel: MelConfig | None = None,
    features: FeatureConfig | None = None,
    seed: int = 0,
    valid: float = 0.05,
    test: float = 0.05,
    max_seconds: float = 15.0,
    peak: float | None = 0.95,
    f0_source: str = "auto",
    progress: bool = True,
) -> Report:
    """Make or complete the corpus ``out`` from the recordings below ``dataset``.

    ``valid`` and ``test`` are shares of the songs; ``peak`` is the level to which each recording is normalised (None:
    as it is); ``f0_source`` "auto" takes the exact f0 of a choir's transcripts, "tracker" never does.
    Recordings that cannot be used are skipped and listed in the report. Raises AudioError where nothing can be used,
    ConfigError for bad settings or where ``out`` was made with others, OutputError where it cannot be written.
    """
    dataset, out = arguments.path("dataset", dataset), arguments.path("out", out)
    jobs, seed = arguments.whole("jobs", jobs, *arguments.JOBS), arguments.seed(seed)
    valid, test = (arguments.number(n, v, 0.0, 1.0, below=True) for n, v in (("valid", valid), ("test", test)))
    max_seconds = arguments.number("max_seconds", max_seconds, *arguments.PIECE_S)
    peak = arguments.optional(arguments.number, "peak", peak, 0.0, 1.0, above=True)
    arguments.one_of("f0_source", f0_source, F0_SOURCES)
    arguments.flag("progress", progress)
    if valid + test >= 1:
        raise ConfigError(f"prepare: shares valid={valid} and test={test} leave nothing to train on")
    settings = Settings(mel or MelConfig(), features or FeatureConfig(), max_seconds, peak, f0_source)
    found, outside = scan(dataset)
    sources = list(filter(_short, found))
    phones = _phones(dataset, sources)
    _check_free(out)
    with files.folder_lock(out, "preparing a corpus"):
        files.clear_leftovers(out, deep=True)
        _claim(out, settings, phones)
        report = Report(out, recordings=len(found))
        report.bad = [(str(path), "lies beside the singers' folders, not in one") for path in outside]
        long = [str(source.path) for source in found if not _short(source)]
        report.bad += [(path, f"its name has more than {NAME_BYTES} bytes: shorten it") for path in long]
        kept = dict(records.done(sources, out, settings.mel.bins))
        report.reused = len(kept)
        rest = [source for source in sources if source.name not in kept]
        for source, items in _run(rest, out, settings, phones, jobs, progress, report):
            kept[source.name] = items
            save_json(out / "records" / f"{source.name}.json", records.stamp(source) | {"items": items})
        _finish(sources, kept, settings, phones, (seed, valid, test), report)
        return report


def _short(source: Source) -> bool:
    return len(os.fsencode(source.path.name)) <= NAME_BYTES


def _phones(dataset: Path, sources: list[Source]) -> tuple[str, ...]:
    """The choir's phones where the dataset is a choir or has transcripts like one, else none."""
    if not (dataset / "choir.json").is_file() and not any(s.path.with_suffix(".json").is_file() for s in sources):
        return ()
    from fastsvc.data.choir.phones import PHONES

    return tuple(PHONES)


def _check_free(out: Path) -> None:
    """Raises OutputError where ``out`` is something else: no file of ours is laid there."""
    path = out / "settings.json"
    if path.is_file():
        made = load_json(path)
        ours = isinstance(made.get("format"), int) and isinstance(made.get("settings"), dict) and "phones" in made
    else:
        ours = files.free_or_ours(out)
    if not ours:
        raise OutputError(f"{out}: exists and is not a prepared corpus", "choose a new or empty folder")


def _claim(out: Path, settings: Settings, phones: tuple[str, ...]) -> None:
    """Refuse an ``out`` that was made otherwise; else note how it is made."""
    wanted = {"format": FORMAT, "settings": to_dict(settings), "phones": list(phones)}
    path = out / "settings.json"
    if path.is_file():
        made = _completed(load_json(path))
        if made != wanted and (out / "records").exists():  # without records nothing was made yet
            raise ConfigError(
                f"{out}: was prepared with other settings: {'; '.join(_differences(made, wanted))}",
                "use another folder, or the same settings",
            )
    if not path.is_file() or made != wanted:
        save_json(path, wanted)


def _completed(made: dict) -> dict:
    """What an older version wrote, with the settings that have come since at their defaults, which change nothing."""
    try:
        return made | {"settings": to_dict(from_dict(Settings, made["settings"]))}
    except (ConfigError, KeyError):
        return made


def _differences(made, wanted, where: str = "") -> Iterator[str]:
    for key in sorted(made.keys() | wanted.keys()):
        a, b, name = made.get(key), wanted.get(key), f"{where}{key}"
        if isinstance(a, dict) and isinstance(b, dict):
            yield from _differences(a, b, "" if key == "settings" else f"{name}.")
        elif a != b:
            yield f"{name} {_plain(a)} there, {_plain(b)} now"


def _plain(value) -> str:
    """Of a setting, for people."""
    return "none" if value is None else "some" if isinstance(value, dict) else str(value)


def _run(sources, out, settings, phones, jobs, progress, report: Report) -> Iterator[tuple[Source, list[dict]]]:
    """Process the recordings in ``jobs`` processes; yields each that is done, notes each that is bad."""
    in_work = InWork(out)
    first, last = in_work.ordered(sources, lambda source: source.path)
    for source in last:
        warnings.warn(f"{source.path} {files.SUSPECTED}", stacklevel=2)  # now: this run may be killed, too
    with screen.bar(total=len(sources), desc="prepare", unit="file", disable=not progress or not sources) as bar:
        for source, result in processed(first, last, (out, settings, phones), jobs, in_work):
            if isinstance(result, AudioError):
                report.bad.append((str(source.path), str(result)))
            elif isinstance(result, FastsvcError):
                raise result
            else:
                yield source, result
            bar.update()


def _finish(sources, kept, settings: Settings, phones, split_by, report: Report) -> None:
    """Split by songs, gather the statistics, write corpus.json."""
    songs: dict[str, set[str]] = {}
    for source in sources:
        if kept.get(source.name):
            songs.setdefault(source.singer, set()).add(source.song)
    if not songs:
        first = f"; the first: {report.bad[0][1]}" if report.bad else ""
        raise AudioError(f"none of {report.recordings} recordings could be used{first}", "see the list of bad files")
    split = split_songs(songs, *split_by)
    items, sums = [], np.zeros((2, settings.mel.bins))
    for source in sources:
        for item in kept.get(source.name, []):
            item = dict(item, singer=source.singer, song=source.song, split=split[source.song])
            part = item.pop("mel_sums")
            if item["split"] == "train":
                sums += part
            items.append(item)
    count = sum(item["frames"] for item in items if item["split"] == "train")
    mean = sums[0] / count
    std = np.sqrt(np.maximum(sums[1] / count - mean**2, 0))
    corpus = {
        "format": FORMAT,
        "mel": to_dict(settings.mel),
        "features": to_dict(settings.features),
        "peak": settings.peak,
        "singers": sorted(songs),
        "phones": list(phones) if any(item["phones"] for item in items) else [],
        "singer_f0_hz": _median_f0(items, report.corpus),
        "mel_mean": mean.tolist(),
        "mel_std": std.tolist(),
        "split": dict(zip(("seed", "valid", "test"), split_by)),
        "items": items,
    }
    before = report.corpus / "corpus.json"
    if report.reused == len(kept) and before.is_file() and "encoder" in (old := load_json(before)):
        corpus["encoder"] = old["encoder"]  # no new items, so all have its units
        corpus |= {"pseudo": old["pseudo"]} if "pseudo" in old else {}
    save_json(before, corpus)
    report.items = len(items)
    report.seconds = sum(item["samples"] for item in items) / settings.mel.rate_hz
    for name in ("valid", "test"):
        if dict(zip(("valid", "test"), split_by[1:]))[name] > 0 and name not in split.values():
            report.warnings.append(f"no song could be spared for {name}: every singer needs one to train on")


def _median_f0(items: list[dict], out: Path) -> dict[str, float]:
    """Median over the voiced frames of each singer's training items; 0 where nothing is voiced."""
    tracks: dict[str, list[np.ndarray]] = {}
    for item in items:
        voices = tracks.setdefault(item["singer"], [])
        if item["split"] == "train":
            read = arrays.npz(out / item["file"])
            voices.append(read["f0_hz"][read["voiced"]])
    joined = {singer: np.concatenate(parts) for singer, parts in tracks.items()}
    return {singer: float(np.median(track)) if track.size else 0.0 for singer, track in sorted(joined.items())}
