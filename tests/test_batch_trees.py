"""Random trees: whatever lies where, and whatever is asked for, no input is changed and no result replaces another."""

import itertools
import os
import tempfile
import unicodedata
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import soundfile
from fake_engine import FakeEngine
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from fastsvc.audio.io import EXTENSIONS
from fastsvc.convert import batch
from fastsvc.convert.plan import plan
from fastsvc.convert.report import DONE, SKIPPED
from fastsvc.engine.request import Request
from fastsvc.errors import AudioError, OutputError

NAMES = ["a.wav", "A.wav", "a.flac", "a_slt.wav", "a_slt-2.wav", "a.flac.wav", "1²2.wav", ".a.wav"]
NAMES += [unicodedata.normalize(form, "é.wav") for form in ("NFC", "NFD")] + ["l" * 250 + ".flac", "l" * 251 + ".wav"]
FOLDERS = ["", "x", "y", "x/x", "X", "①", "x/a.wav", "out", "out/x"]
KINDS = ["symlink", "hardlink", "folder link", "nowhere", "loop", "up"]
OUT = [".", "x", "out", "x/out", "y/../out", ".hidden", "x/.hidden", "to-x", "to-x/out", "X"]

places = st.tuples(st.sampled_from(FOLDERS), st.sampled_from(NAMES))
links = st.tuples(st.sampled_from(KINDS), st.sampled_from(FOLDERS), st.sampled_from(NAMES), st.integers(0, 99))
requests = st.tuples(
    st.lists(st.one_of(st.integers(0, 99), st.sampled_from([*FOLDERS[1:], "to-x", "."])), min_size=1, max_size=3),
    st.sampled_from(OUT),
    st.sampled_from(["wav", "flac", "same"]),
    st.sampled_from(["slt", "", "../b", "a:0.7,b:0.3"]),
    st.booleans(),
)
counter = itertools.count()


def recording(path: Path) -> None:
    """20 samples like no other's."""
    path.parent.mkdir(parents=True, exist_ok=True)
    audio = np.full(20, next(counter) % 30000, np.int16)
    soundfile.write(str(path), audio, 24000, format="FLAC" if path.suffix == ".flac" else "WAV")


def grow(root: Path, files, more) -> list[Path]:
    """The tree; the paths of its files and links to files."""
    made = []
    for folder, name in files:
        path = root / folder / name
        if not (path.exists() or any(parent.is_file() for parent in path.parents)):
            recording(path)
            made.append(path)
    (root / "x").mkdir(exist_ok=True)
    (root / "to-x").symlink_to("x")
    for kind, folder, name, which in more:
        path = root / folder / name
        if os.path.lexists(path) or any(os.path.lexists(parent) and not parent.is_dir() for parent in path.parents):
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        other = made[which % len(made)]
        if kind == "hardlink" and not other.is_symlink():
            path.hardlink_to(other)
        elif kind == "folder link":
            path.with_suffix("").exists() or path.with_suffix("").symlink_to(other.parent)
            continue
        elif kind == "up":
            path.with_suffix("").exists() or path.with_suffix("").symlink_to("..")
            continue
        else:
            path.symlink_to({"symlink": other, "nowhere": root / folder / "gone.wav"}.get(kind, path.name))
        made.append(path)
    return made


def real(path) -> Path:
    return Path(os.path.realpath(path))


def content(paths) -> dict:
    """What is read through each path."""
    return {path: path.read_bytes() for path in paths if path.is_file()}


def below(folder: Path):
    for parent, _, names in os.walk(folder):
        yield from (Path(parent, name) for name in names)


def inputs_of(given, out: Path) -> list[Path]:
    """What is named, and recordings below what is named, seen simply: without links, and not in ``out``."""
    found = []
    for one in given:
        if not one.is_dir():
            found.append(one)
            continue
        apart = not real(one).is_relative_to(real(out))
        audio = (path for path in below(real(one)) if path.suffix in EXTENSIONS)
        found += [path for path in audio if not (apart and path.is_relative_to(real(out)))]
    return found


def run(given, out: Path, format: str, tag: str, overwrite: bool):
    planned = plan(given, out, format, tag)
    report = batch.run(FakeEngine(), planned, batch.ConversionSettings(Request("anna"), overwrite=overwrite))
    assert len(report.entries) == report.planned == len(planned.jobs) + len(planned.problems)
    return planned, {Path(entry.output): entry for entry in report.entries}


@pytest.mark.slow
@settings(max_examples=40, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(places, min_size=1, max_size=7), st.lists(links, max_size=4), requests)
@example([("x", "a.wav"), ("y", "a.wav")], [], ([0, 1], ".", "wav", "slt", True))
@example([("x", "a.wav"), ("y", "a.wav")], [], (["x", "y"], ".", "wav", "slt", False))
@example([("out/x", "a.wav")], [], (["x", "out"], ".", "wav", "slt", False))
@example([("", "a.wav"), ("", "a_slt.wav")], [], ([0, 1], ".", "wav", "slt", True))
@example([("x", "a.wav")], [("hardlink", "out", "a.wav", 0)], (["x"], "out", "wav", "", True))
@example([("x", "a.wav")], [("symlink", "out", "a.wav", 0)], (["x"], "out", "wav", "", True))
def test_no_input_is_changed_and_no_two_results_share_a_name(files, more, request):
    which, out, format, tag, overwrite = request
    with tempfile.TemporaryDirectory() as folder, mock.patch("os.fsync"):  # which takes most of the time
        root = real(folder)
        made = grow(root, files, more)
        given = [made[one % len(made)] if isinstance(one, int) else root / one for one in which]
        inputs, everything = content(inputs_of(given, root / out)), content(below(root))
        try:
            planned, entries = run(given, root / out, format, tag, overwrite)
        except (AudioError, OutputError):
            assert content(below(root)) == everything
            return
        assert content(inputs) == inputs, "an input was changed"
        sources = {real(job.source) for job in planned.jobs}
        assert len(sources) == len(planned.jobs), "an input is converted twice"
        wanted = {real(path) for path in inputs if not path.name.startswith(".") or path in given}
        assert wanted <= sources, "an input is left out"
        targets = [
            unicodedata.normalize("NFC", str(real(job.target.parent) / job.target.name)).casefold()
            for job in planned.jobs
        ]
        assert len(set(targets)) == len(targets), "two results share a name"
        assert all(len(os.fsencode(job.target.name)) <= 255 for job in planned.jobs)
        for job in planned.jobs:
            entry = entries[job.target]
            assert entry.status == DONE or "exists" in entry.reason or not job.source.is_file(), entry.reason
        if not overwrite:
            after = content(everything)
            assert after == everything, "something was replaced without --overwrite"
        again, entries_again = run(given, root / out, format, tag, False)
        assert [job.target for job in again.jobs] == [job.target for job in planned.jobs], "names are not stable"
        for path, entry in entries.items():
            if entry.status in (DONE, SKIPPED):
                assert entries_again[path].status == SKIPPED, entries_again[path].reason
        assert content(inputs) == inputs
