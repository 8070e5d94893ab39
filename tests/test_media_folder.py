"""What people bring besides wav and mp3, in a folder, where PyAV is installed and where it is not."""

import sys
from pathlib import Path

import pytest
from fake_engine import FakeEngine
from media_cases import EXACT, LOOSE, name_of, put, reason
from media_files import chirp, encode

from fastsvc.commands import doctor
from fastsvc.convert import batch
from fastsvc.convert.plan import plan
from fastsvc.engine.request import Request

av = pytest.importorskip("av")


class Without:
    """A finder that knows no av."""

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "av":
            raise ModuleNotFoundError("No module named 'av'", name="av")


@pytest.fixture
def without(monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "av"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [Without(), *sys.meta_path])


@pytest.mark.parametrize(
    "case, what",
    [
        (EXACT[0], "an MP4, M4A or QuickTime file"),
        (EXACT[7], "a CAF file"),
        (EXACT[10], "a Matroska or WebM file"),
        (LOOSE[0], "an AAC (ADTS) file"),
        (LOOSE[6], "a WMA (ASF) file"),
    ],
    ids=lambda case: name_of(case) if isinstance(case, tuple) else "",
)
def test_without_the_package_one_line_says_what_reads_it(tmp_path, case, what, request):
    path = put(tmp_path, case)[0]
    request.getfixturevalue("without")
    said = reason(path)
    assert said.startswith(f"{path}: {what}, ") and "av, which is not installed" in said
    assert 'pip install "fastsvc[media]"' in said and "pip install av" in said


def test_without_the_package_the_others_of_a_batch_are_converted(tmp_path, request):
    (tmp_path / "in").mkdir()
    put(tmp_path / "in", EXACT[0])
    encode(tmp_path / "in" / "b.wav", chirp(), 44100, "pcm_s16le", "wav")
    request.getfixturevalue("without")
    report = batch.run(
        FakeEngine(), plan([tmp_path / "in"], tmp_path / "out"), batch.ConversionSettings(Request("anna"))
    )
    assert [entry.status for entry in report.entries] == [batch.FAILED, batch.DONE]
    assert "pip install av" in report.entries[0].reason and not report.entries[0].traceback


BROUGHT = {  # what owners of voices bring besides wav and mp3; films too
    "m4a": ("ipod", "aac"),
    "aac": ("adts", "aac"),
    "mp4": ("mp4", "aac"),
    "webm": ("webm", "libopus"),
    "wma": ("asf", "wmav2"),
    "opus": ("ogg", "libopus"),
    "mov": ("mov", "aac"),
    "mkv": ("matroska", "aac"),
}


@pytest.mark.parametrize("has_package", [True, False], ids=["with av", "without av"])
def test_of_a_folder_nothing_is_left_out(tmp_path, has_package, request):
    (tmp_path / "in").mkdir()
    for suffix, (container, codec) in BROUGHT.items():
        options = {"b": 128000} if container == "asf" else {}
        encode(tmp_path / "in" / f"{suffix}.{suffix}", chirp(9600, 48000, 1), 48000, codec, container, **options)
    if not has_package:
        request.getfixturevalue("without")
    report = batch.run(
        FakeEngine(), plan([tmp_path / "in"], tmp_path / "out"), batch.ConversionSettings(Request("anna"))
    )
    status = {Path(entry.input).stem: entry.status for entry in report.entries}
    expected = {suffix: batch.DONE if has_package or suffix == "opus" else batch.FAILED for suffix in BROUGHT}
    assert status == expected  # opus is libsndfile's
    reasons = [entry.reason for entry in report.entries if entry.status == batch.FAILED]
    assert all('pip install "fastsvc[media]"' in reason and "\n" not in reason for reason in reasons)


def test_doctor_says_whether_the_package_is_there(monkeypatch):
    find = doctor.importlib.util.find_spec

    def row():
        return next(line for line in doctor.report().splitlines() if line.startswith("av "))

    assert "found: recordings in m4a, mp4" in row()
    monkeypatch.setattr(doctor.importlib.util, "find_spec", lambda name: None if name == "av" else find(name))
    assert "not installed, so no recordings in m4a, mp4" in row()
