"""`fastsvc prepare`: any tree of singers' recordings → a corpus to train on (docs/architecture.md, "Prepared corpus").

Besides ``corpus.json`` and ``items/`` a corpus keeps ``settings.json``, the settings of its items, and ``records/``,
one small file for each finished recording, so that an interrupted run continues.
"""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from fastsvc import arguments, files, screen
from fastsvc.config import FeatureConfig, MelConfig, to_dict
from fastsvc.data import account, advice, claim, phone_labels, records
from fastsvc.data.account import CorpusReport
from fastsvc.data.pieces import PrepareSettings, RecordingItems
from fastsvc.data.scan import ENOUGH, Recording, scan, split_songs
from fastsvc.data.store import load_json, save_json
from fastsvc.data.units import add_units
from fastsvc.data.workers import process_all
from fastsvc.errors import AudioError, ConfigError, FastsvcError
from fastsvc.files import InWork
from fastsvc.reading import arrays

__all__ = ["CorpusReport", "add_units", "prepare"]

NAME_BYTES = 240  # of a recording's name: its items' names are longer, and systems allow 255
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
    singer: str | None = None,
    split_pieces: bool = False,
) -> CorpusReport:
    """Make or complete the corpus ``out`` from the recordings below ``dataset``.

    ``valid`` and ``test`` are shares of the songs; ``peak`` is the level to which each recording is normalised (None:
    as it is); ``f0_source`` "auto" takes the exact f0 of a choir's transcripts, "tracker" never does. ``high_pass`` as
    in Engine.convert; None: as ``out`` was begun, and on for a new corpus. ``singer``: whose recordings all are, for a
    folder without singers' folders. ``split_pieces``: a singer of fewer than ENOUGH songs is split by pieces of songs.
    Unusable recordings are skipped and listed in the report; ``report.json`` lists every file.
    Raises AudioError where no recording is usable, ConfigError for bad settings or an ``out`` of other settings,
    OutputError where ``out`` cannot be written.
    """
    dataset, out = arguments.path("dataset", dataset), arguments.path("out", out)
    jobs, seed = arguments.whole_number("jobs", jobs, *arguments.JOBS), arguments.seed(seed)
    valid, test = (arguments.number(n, v, 0.0, 1.0, below=True) for n, v in (("valid", valid), ("test", test)))
    max_seconds = arguments.number("max_seconds", max_seconds, *arguments.PIECE_S)
    peak = arguments.optional(arguments.number, "peak", peak, 0.0, 1.0, above=True)
    arguments.one_of("f0_source", f0_source, F0_SOURCES)
    arguments.optional(arguments.flag, "high_pass", high_pass)
    arguments.flag("progress", progress)
    if valid + test >= 1:
        raise ConfigError(f"prepare: shares valid={valid} and test={test} leave nothing to train on")
    mel, features = mel or MelConfig(), records.begun_features(out, features or FeatureConfig())
    dataset_scan = scan(dataset, out, singer)
    sources = list(filter(_short, dataset_scan.sources))
    phones = _phones(dataset, sources)
    claim.check_free(out)
    with files.folder_lock(out, "preparing a corpus"):
        files.clear_leftovers(out, deep=True)
        high_pass = records.begun_with_high_pass(out) if high_pass is None else high_pass
        settings = PrepareSettings(mel, features, max_seconds, peak, f0_source, high_pass)
        claim.claim(out, settings, phones)
        report = CorpusReport(
            out, recordings=len(dataset_scan.sources), others=dataset_scan.others, warnings=list(dataset_scan.notes)
        )
        report.bad = [(str(path), why) for path, why in dataset_scan.unused]
        long = [str(source.path) for source in dataset_scan.sources if not _short(source)]
        report.bad += [(path, f"its name has more than {NAME_BYTES} bytes: shorten it") for path in long]
        finished = dict(records.finished(sources, out, settings.mel.bins))
        report.reused = len(finished)
        remaining = [source for source in sources if source.name not in finished]
        failures = {}
        for source, result in _run(remaining, out, settings, phones, jobs, progress):
            if isinstance(result, AudioError):
                failures[source.name] = (str(source.path), str(result))
                continue
            finished[source.name] = result
            record = {"items": result.items, "short_s": result.short_s, "silent_s": result.silent_s}
            save_json(out / "records" / f"{source.name}.json", records.stamp(source) | record)
        # In the order of the dataset, whichever process was ready first.
        report.bad += [failures[source.name] for source in sources if source.name in failures]
        report.warnings += [f"{source.path}: {note}" for source in sources for note in records.notes(finished, source)]
        split = _finish(sources, finished, settings, phones, (seed, valid, test), report, split_pieces)
        account.write(report, dataset, sources, finished, split)
        if not split:
            raise AudioError(
                f"none of {report.recordings} recordings could be used; the first: {report.bad[0][1]}",
                f"see {out / account.FILE}",
            )
        return report


def _short(source: Recording) -> bool:
    return len(os.fsencode(source.path.name)) <= NAME_BYTES


def _phones(dataset: Path, sources: list[Recording]) -> tuple[str, ...]:
    """The choir's phones if the dataset is a choir or has such transcripts, else ()."""
    if not (dataset / "choir.json").is_file() and not any(s.path.with_suffix(".json").is_file() for s in sources):
        return ()
    from fastsvc.data.choir.phones import PHONES

    return tuple(PHONES)


def _run(sources, out, settings, phones, jobs, progress) -> Iterator[tuple[Recording, RecordingItems | AudioError]]:
    """Process the recordings in ``jobs`` processes; yields each with its items or the error."""
    in_work = InWork(out)
    first, last = in_work.ordered(sources, lambda source: source.path)
    for source in last:
        warnings.warn(f"{source.path} {files.SUSPECTED}", stacklevel=2)  # now: this run may be killed, too
    with screen.bar(total=len(sources), desc="prepare", unit="file", disable=not progress or not sources) as bar:
        for source, result in process_all(first, last, (out, settings, phones), jobs, in_work):
            if isinstance(result, FastsvcError) and not isinstance(result, AudioError):
                raise result
            yield source, result
            bar.update()


def _finish(
    sources, finished: dict[str, RecordingItems], settings: PrepareSettings, phones, split_by, report, split_pieces
) -> dict[str, str]:
    """Split by songs, sum the statistics, write corpus.json; → the split, {} without any song."""
    songs: dict[str, set[str]] = {}
    for source in sources:
        if source.name in finished:
            songs.setdefault(source.singer, set()).add(source.song)
    few = {singer for singer, names in songs.items() if len(names) < ENOUGH} if split_pieces else set()
    for singer in few:
        items = [finished[one.name].items for one in sources if one.name in finished and one.singer == singer]
        songs[singer] = {item["id"] for some in items for item in some}
    if not songs:
        return {}
    path = report.corpus / "corpus.json"
    old = {}
    with contextlib.suppress(ConfigError):  # missing or damaged: it is replaced
        old = load_json(path)
    split = split_songs(songs, *split_by, records.splits(old, dict(zip(SPLIT, split_by))))
    items, sums = [], np.zeros((2, settings.mel.bins))
    for source in sources:
        for item in finished[source.name].items if source.name in finished else []:
            song = item["id"] if source.singer in few else source.song
            item = dict(item, singer=source.singer, song=song, split=split[song])
            part = item.pop("mel_sums")
            if item["split"] == "train":
                sums += part
            items.append(item)
    count = sum(item["frames"] for item in items if item["split"] == "train")
    mean = sums[0] / count
    std = np.sqrt(np.maximum(sums[1] / count - mean**2, 0))
    corpus = {
        "format": claim.FORMAT,
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
    if report.reused == len(finished) and "encoder" in old:
        corpus["encoder"] = old["encoder"]  # no new items, so all have units
        corpus |= {"pseudo": old["pseudo"]} if "pseudo" in old else {}
    if report.reused == len(finished) and phone_labels.KEY in old:
        corpus |= {"phones": old["phones"], phone_labels.KEY: old[phone_labels.KEY]}
    save_json(path, corpus)
    report.items = len(items)
    report.seconds = sum(item["samples"] for item in items) / settings.mel.rate_hz
    report.short_s, report.silent_s = (
        sum(getattr(result, name) for result in finished.values()) for name in ("short_s", "silent_s")
    )
    for name in ("valid", "test"):
        if dict(zip(("valid", "test"), split_by[1:]))[name] > 0 and name not in split.values():
            report.warnings.append(f"no song could be spared for {name}: every singer needs one to train on")
    report.warnings += advice.cautions(corpus)
    report.refusals = advice.refusals(corpus)
    report.units, report.labels = "encoder" in corpus, bool(corpus["phones"]) or "pseudo" in corpus
    return split


def _median_f0(items: list[dict], out: Path) -> dict[str, float]:
    """Median f0 over the voiced frames of each singer's training items; 0 where no frame is voiced."""
    tracks: dict[str, list[np.ndarray]] = {}
    for item in items:
        voices = tracks.setdefault(item["singer"], [])
        if item["split"] == "train":
            stored = arrays.npz(out / item["file"])
            voices.append(stored["f0_hz"][stored["voiced"]])
    joined = {singer: np.concatenate(parts) for singer, parts in tracks.items()}
    return {singer: float(np.median(track)) if track.size else 0.0 for singer, track in sorted(joined.items())}
