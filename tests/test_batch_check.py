"""Where a report and results may go: known before the first conversion."""

import json
import os
from pathlib import Path

import pytest
from fake_engine import FakeEngine
from recordings import put

from fastsvc.convert import batch
from fastsvc.convert.check import check_report
from fastsvc.convert.index import INDEX
from fastsvc.convert.plan import plan
from fastsvc.convert.report import save
from fastsvc.engine.request import Request
from fastsvc.errors import OutputError
from fastsvc.files import IN_WORK


@pytest.fixture(autouse=True)
def planned(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    put(Path("in/a.wav"))
    put(Path("in/deep/b.wav"))
    os.symlink("in", "way")
    return plan(["in"], "out")


def report(planned) -> dict:
    return batch.run(FakeEngine(), planned, batch.ConversionSettings(Request("anna"))).to_dict(date="today")


def test_a_new_file_or_an_older_report(planned, tmp_path):
    assert check_report("r.json", planned) == Path(os.path.realpath("r.json"))
    save(check_report("new/folder/r.json", planned), report(planned))
    assert os.listdir("new/folder") == ["r.json"]
    assert check_report("new/folder/r.json", planned) == tmp_path / "new/folder/r.json"
    Path("empty").touch()  # as mktemp leaves it
    assert check_report("empty", planned) == tmp_path / "empty"
    os.symlink("new/folder/r.json", "link.json")
    assert check_report("link.json", planned) == tmp_path / "new/folder/r.json"
    assert check_report("out/r.json", planned) == tmp_path / "out/r.json"
    data = {**report(planned), "inputs": ["caf\udce9.wav"]}
    save("odd.json", data)
    assert check_report("odd.json", planned)


def test_the_home_folder(planned, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))
    put(tmp_path / "home/songs/a.wav")
    assert check_report("~/r.json", planned) == tmp_path / "home/r.json"
    result = plan(["~/songs"], "~/x")
    assert [job.target for job in result.jobs] == [tmp_path / "home/x/a.wav"]
    put(Path("~/songs/c.wav"))  # a folder that is called so
    assert [job.source.name for job in plan(["~/songs"], "~/x").jobs] == ["c.wav"]


@pytest.mark.parametrize(
    "content",
    [
        b"my only copy",
        b"{}",
        b"[]",
        b'{"format": 1}',
        b'{"format": 1, "files": [], "totals": {}}',
        b'{"format": 1, "files": {}, "totals": {"planned": 1, "real_time_factor": 1, "interrupted": false}}',
        b"[" * 200000,
        b"\xff\xfe",
        b"9" * 10000,
    ],
)
def test_what_is_no_report_is_not_replaced(planned, content):
    Path("r.json").write_bytes(content)
    os.symlink("r.json", "link.json")
    for path in ("r.json", "link.json"):
        with pytest.raises(OutputError, match=f"{path} exists and is not a report of fastsvc.*choose another file"):
            check_report(path, planned)
    assert Path("r.json").read_bytes() == content


@pytest.mark.parametrize("path", ["in/a.wav", "way/a.wav", "hard", "soft", "in/A.WAV", "way/deep/../a.wav"])
def test_inputs_are_not_replaced(planned, path):
    os.link("in/a.wav", "hard")
    os.symlink("way/a.wav", "soft")
    with pytest.raises(OutputError, match="is an input"):
        check_report(path, planned)


@pytest.mark.parametrize(
    "path", ["out/a.wav", "out/A.wav", "out/a.wav/r.json", f"out/{INDEX}", f"out/{IN_WORK}", "out/deep", "out"]
)
def test_places_of_results_are_not_taken(planned, path):
    with pytest.raises(OutputError, match="is where a"):
        check_report(path, planned)
    assert not Path("out").exists()


def test_what_is_no_file(planned):
    os.symlink("loop", "loop")
    os.mkfifo("pipe")
    for path, why in [
        ("", "has no name"),
        (".", "is where a folder of results goes"),
        ("in", "is a folder"),
        ("way", "is a folder"),
        ("/dev/null", "is not a regular file"),
        ("pipe", "is not a regular file"),
        ("loop", "cannot be written"),
        ("in/a.wav/r.json", "(cannot be written|no files can be written)"),
        ("x" * 256, "cannot be written"),
    ]:
        with pytest.raises(OutputError, match=why):
            check_report(path, planned)


def test_a_folder_that_cannot_be_written(planned, monkeypatch):
    def refuse(*arguments, **options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(batch.tempfile, "TemporaryFile", refuse)
    with pytest.raises(OutputError, match="no files can be written there: no permission"):
        check_report("new/r.json", planned)


def test_a_report_says_of_itself_what_is_checked(planned):
    save("r.json", report(planned))
    data = json.loads(Path("r.json").read_text())
    for key in ("format", "files", "totals"):
        Path("r.json").write_text(json.dumps({name: value for name, value in data.items() if name != key}))
        with pytest.raises(OutputError, match="not a report"):
            check_report("r.json", planned)


def test_the_output_folder_is_not_made_yet_or_refused(tmp_path, monkeypatch):
    batch.check_output_folder(tmp_path / "x" / "y")
    assert not (tmp_path / "x").exists()
    put(tmp_path / "a.wav")
    (tmp_path / "nowhere").symlink_to(tmp_path / "gone")
    for place in ("a.wav", "a.wav/x", "nowhere", "x" * 300, f"{'x' * 300}/y"):
        with pytest.raises(OutputError, match=place.partition("/")[0]):
            batch.check_output_folder(tmp_path / place)

    def refuse(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(batch.tempfile, "TemporaryFile", refuse)
    with pytest.raises(OutputError, match="no permission"):
        batch.check_output_folder(tmp_path)
