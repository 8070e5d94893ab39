"""`fastsvc prepare`: any tree of singers' recordings → a corpus to train on (docs/architecture.md, "Prepared corpus").

Besides ``corpus.json`` and ``items/`` a corpus keeps ``settings.json`` (what the items were made with) and
``records/``, one small file for each recording that is done, so that a broken run goes on where it was.
"""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from fastsvc import arguments, files, screen
from fastsvc.config import FeatureConfig, MelConfig, from_dict, to_dict
from fastsvc.config.plain import differences
from fastsvc.data import account, advice, heard, records
from fastsvc.data.account import Report
from fastsvc.data.pieces import Made, Settings
from fastsvc.data.scan import Source, scan, split_songs
from fastsvc.data.store import load_json, save_json
from fastsvc.data.units import add_units
from fastsvc.data.workers import processed
from fastsvc.errors import AudioError, ConfigError, FastsvcError, OutputError
from fastsvc.files import InWork
from fastsvc.reading import arrays

__all__ = ["Report", "add_units", "prepare"]

FORMAT = 1
NAME_BYTES = 240  # of a recording's: what is made of it has some more, of 255 that systems allow
SPLIT = ("seed", "valid", "test")
F0_SOURCES = ("auto", "tracker")


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
    high_pass: bool | None = None,
    progress: bool = True,
) -> Report:
    """Make or complete the corpus ``out`` from the recordings below ``dataset``.

    ``valid`` and ``test`` are shares of the songs; ``peak`` is the level to which each recording is normalised (None:
    as it is); ``f0_source`` "auto" takes the exact f0 of a choir's transcripts, "tracker" never does; ``high_pass`` as
    in Engine.convert, None: as ``out`` was begun, and on for a new corpus.
    Recordings that cannot be used are skipped and listed in the report, and all files in ``report.json``.
    Raises AudioError where nothing can be used,
    ConfigError for bad settings or where ``out`` was made with others, OutputError where it cannot be written.
    """
    dataset, out = arguments.path("dataset", dataset), arguments.path("out", out)
    jobs, seed = arguments.whole("jobs", jobs, *arguments.JOBS), arguments.seed(seed)
    valid, test = (arguments.number(n, v, 0.0, 1.0, below=True) for n, v in (("valid", valid), ("test", test)))
    max_seconds = arguments.number("max_seconds", max_seconds, *arguments.PIECE_S)
    peak = arguments.optional(arguments.number, "peak", peak, 0.0, 1.0, above=True)
    arguments.one_of("f0_source", f0_source, F0_SOURCES)
    arguments.optional(arguments.flag, "high_pass", high_pass)
    arguments.flag("progress", progress)
    if valid + test >= 1:
        raise ConfigError(f"prepare: shares valid={valid} and test={test} leave nothing to train on")
    mel, features = mel or MelConfig(), features or FeatureConfig()
    found = scan(dataset, out)
    sources = list(filter(_short, found.sources))
    phones = _phones(dataset, sources)
    _check_free(out)
    with files.folder_lock(out, "preparing a corpus"):
        files.clear_leftovers(out, deep=True)
        high_pass = records.begun_with_high_pass(out) if high_pass is None else high_pass
        settings = Settings(mel, features, max_seconds, peak, f0_source, high_pass)
        _claim(out, settings, phones)
        report = Report(out, recordings=len(found.sources), others=found.others, warnings=list(found.notes))
        report.bad = [(str(path), why) for path, why in found.unused]
        long = [str(source.path) for source in found.sources if not _short(source)]
        report.bad += [(path, f"its name has more than {NAME_BYTES} bytes: shorten it") for path in long]
        kept = dict(records.done(sources, out, settings.mel.bins))
        report.reused = len(kept)
        rest = [source for source in sources if source.name not in kept]
        bad = {}
        for source, result in _run(rest, out, settings, phones, jobs, progress):
            if isinstance(result, AudioError):
                bad[source.name] = (str(source.path), str(result))
                continue
            kept[source.name] = result
            record = {"items": result.items, "short_s": result.short_s, "silent_s": result.silent_s}
            save_json(out / "records" / f"{source.name}.json", records.stamp(source) | record)
        report.bad += [bad[source.name] for source in sources if source.name in bad]  # whatever was ready first
        report.warnings += [f"{source.path}: {note}" for source in sources for note in records.notes(kept, source)]
        split = _finish(sources, kept, settings, phones, (seed, valid, test), report)
        account.write(report, dataset, sources, kept, split)
        if not split:
            raise AudioError(
                f"none of {report.recordings} recordings could be used; the first: {report.bad[0][1]}",
                f"see {out / account.FILE}",
            )
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
            told = [
                line for _, line in differences(*(one | one["settings"] | {"settings": 0} for one in (made, wanted)))
            ]
            raise ConfigError(
                f"{out}: was prepared with other settings: {'; '.join(told)}",
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


def _run(sources, out, settings, phones, jobs, progress) -> Iterator[tuple[Source, Made | AudioError]]:
    """Process the recordings in ``jobs`` processes; yields each with what became of it."""
    in_work = InWork(out)
    first, last = in_work.ordered(sources, lambda source: source.path)
    for source in last:
        warnings.warn(f"{source.path} {files.SUSPECTED}", stacklevel=2)  # now: this run may be killed, too
    with screen.bar(total=len(sources), desc="prepare", unit="file", disable=not progress or not sources) as bar:
        for source, result in processed(first, last, (out, settings, phones), jobs, in_work):
            if isinstance(result, FastsvcError) and not isinstance(result, AudioError):
                raise result
            yield source, result
            bar.update()


def _finish(sources, kept: dict[str, Made], settings: Settings, phones, split_by, report: Report) -> dict[str, str]:
    """Split by songs, gather the statistics, write corpus.json; → the split, {} where there is nothing to split."""
    songs: dict[str, set[str]] = {}
    for source in sources:
        if source.name in kept:
            songs.setdefault(source.singer, set()).add(source.song)
    if not songs:
        return {}
    before = report.corpus / "corpus.json"
    old = {}
    with contextlib.suppress(ConfigError):  # none, or damaged: this one takes its place
        old = load_json(before)
    split = split_songs(songs, *split_by, records.splits(old, dict(zip(SPLIT, split_by))))
    items, sums = [], np.zeros((2, settings.mel.bins))
    for source in sources:
        for item in kept[source.name].items if source.name in kept else []:
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
        "split": dict(zip(SPLIT, split_by)),
        "items": items,
    }
    if report.reused == len(kept) and "encoder" in old:
        corpus["encoder"] = old["encoder"]  # no new items, so all have its units
        corpus |= {"pseudo": old["pseudo"]} if "pseudo" in old else {}
    if report.reused == len(kept) and heard.KEY in old:
        corpus |= {"phones": old["phones"], heard.KEY: old[heard.KEY]}
    save_json(before, corpus)
    report.items = len(items)
    report.seconds = sum(item["samples"] for item in items) / settings.mel.rate_hz
    report.short_s, report.silent_s = (
        sum(getattr(made, name) for made in kept.values()) for name in ("short_s", "silent_s")
    )
    for name in ("valid", "test"):
        if dict(zip(("valid", "test"), split_by[1:]))[name] > 0 and name not in split.values():
            report.warnings.append(f"no song could be spared for {name}: every singer needs one to train on")
    report.warnings += advice.cautions(corpus)
    report.refusals = advice.refusals(corpus)
    report.units, report.labels = "encoder" in corpus, bool(corpus["phones"]) or "pseudo" in corpus
    return split


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
