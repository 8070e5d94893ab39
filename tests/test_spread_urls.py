"""`fastsvc convert` from and to folders by URL: the same files, the same rules for results that exist."""

import json

import pytest
from command_line import run
from recordings import put, tone
from remote_folders import fake, names, put_remote, store  # noqa: F401 - two are fixtures

from fastsvc.convert.index import LISTS, Index
from fastsvc.convert.spread import remote_results
from fastsvc.remote import Folder

pytestmark = pytest.mark.usefixtures("fake", "store")
SONGS = "a.wav", "deep/b.flac", "deep/take 10.wav"


@pytest.fixture
def url(store, tmp_path):  # noqa: F811
    put_remote(f"{store}/in", tmp_path, *SONGS, "notes.txt.wav/.hidden.wav", ".x/c.wav")
    Folder(f"{store}/in").write("text.txt", b"")
    return store


def convert(*arguments, code=0, spk="anna"):
    return run("convert", *arguments, "--spk", spk, code=code)


def test_the_same_files_as_from_a_folder(url, tmp_path):
    source = Folder(f"{url}/in")
    for name in SONGS:
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        source.fetch(name, tmp_path / "in" / name)
    convert("in", "-o", "local", "--report", "local.json")
    convert(f"{url}/in", "-o", f"{url}/out", "--report", f"{url}/reports/r.json")
    convert(f"{url}/in", "-o", "mixed")
    convert("in", "-o", f"{url}/up")
    found = (tmp_path / "local").rglob("*.wav")
    whole = {path.relative_to(tmp_path / "local").as_posix(): path.read_bytes() for path in found}
    assert sorted(whole) == ["a.wav", "deep/b.wav", "deep/take 10.wav"] == names(f"{url}/out") == names(f"{url}/up")
    assert Folder(f"{url}/out").read(whole) == Folder(f"{url}/up").read(whole) == whole
    assert all((tmp_path / "mixed" / name).read_bytes() == content for name, content in whole.items())
    local = json.loads((tmp_path / "local.json").read_text())
    there = json.loads(Folder(f"{url}/reports").read(["r.json"])["r.json"])
    assert there["totals"] | {"convert_s": 0, "real_time_factor": 0} == local["totals"] | {
        "convert_s": 0, "real_time_factor": 0
    }  # fmt: skip
    assert [entry["input"] for entry in there["files"]] == [f"{url}/in/{name}" for name in SONGS]
    assert there["files"][0]["output"] == f"{url}/out/a.wav"
    assert not list((tmp_path / "cache").rglob("*.wav"))  # nothing fetched is left


def test_a_second_run_skips_and_another_request_is_refused(url, tmp_path, fake):  # noqa: F811
    out = f"{url}/out"
    convert(f"{url}/in", "-o", out)
    calls = len(fake.calls)
    assert "skipped 3" in convert(f"{url}/in", "-o", out).stdout and len(fake.calls) == calls
    text = convert(f"{url}/in", "-o", out, spk="bert", code=1).stderr
    assert "memory://bucket/out/a.wav exists, made with another voice: 'anna'" in text and len(fake.calls) == calls
    assert "made with other options" in convert(f"{url}/in", "-o", out, "--seed", 3, code=1).stderr
    before = Folder(out).read(["a.wav"])
    put_remote(f"{url}/in", tmp_path, "a.wav", hz=500.0)
    text = convert(f"{url}/in", "-o", out, code=1).stderr
    assert "made of memory://bucket/in/a.wav when its content or date was another" in text
    assert Folder(out).read(["a.wav"]) == before
    convert(f"{url}/in", "-o", out, "--overwrite")
    assert Folder(out).read(["a.wav"]) != before
    assert "skipped 3" in convert(f"{url}/in", "-o", out).stdout
    # and into a folder of this machine
    convert(f"{url}/in", "-o", "mixed")
    assert "skipped 3" in convert(f"{url}/in", "-o", "mixed").stdout
    assert {result.source for results in Index(tmp_path / "mixed").read().values() for result in results} == {
        f"{url}/in/{name}" for name in SONGS
    }


def test_what_somebody_else_has_put_there_stays(url):
    out = Folder(f"{url}/out")
    out.write("a.wav", b"somebody's")
    text = convert(f"{url}/in", "-o", out.url, code=1).stderr
    assert "out/a.wav exists, and was not made by this command" in text
    assert out.read(["a.wav"]) == {"a.wav": b"somebody's"} and "deep/b.wav" in names(out.url)
    out.write("a.wav", b"")  # nothing is lost
    assert "skipped 2" in convert(f"{url}/in", "-o", out.url).stdout
    assert len(out.read(["a.wav"])["a.wav"]) > 1000


def test_an_object_that_appears_while_it_is_converted_stays(url, monkeypatch):
    add = remote_results.RemoteLists.add

    def also(self, result):
        add(self, result)
        self.folder.write(result.name, b"somebody's")

    monkeypatch.setattr(remote_results.RemoteLists, "add", also)
    text = convert(f"{url}/in/a.wav", "-o", f"{url}/out", code=1).stderr
    assert "out/a.wav appeared meanwhile" in text
    assert Folder(f"{url}/out").read(["a.wav"]) == {"a.wav": b"somebody's"}


def test_a_result_that_cannot_be_put_is_a_failure_and_is_made_again(url, monkeypatch):
    write = Folder.write

    def fail(self, name, content, new=False):
        if name == "a.wav":
            raise OSError("the network is away")
        write(self, name, content, new)

    monkeypatch.setattr(Folder, "write", fail)
    convert(f"{url}/in", "-o", f"{url}/out", code=1)
    assert "a.wav" not in names(f"{url}/out")
    monkeypatch.setattr(Folder, "write", write)
    assert "converted 1 of 3 files" in convert(f"{url}/in", "-o", f"{url}/out").stdout


def test_inputs_are_never_replaced(url, tmp_path):
    text = convert(f"{url}/in", "-o", f"{url}/in/", code=2).stderr
    assert "is both input and output folder" in text
    before = Folder(f"{url}/in").read(["a.wav"])
    assert "it would replace an input" in convert(f"{url}/in/a.wav", "-o", f"{url}/in").stdout
    assert Folder(f"{url}/in").read(["a.wav"]) == before and "a_anna.wav" in names(f"{url}/in")
    # an output folder within the input is no input
    convert(f"{url}/in", "-o", f"{url}/in/out", "--overwrite")
    assert not [name for name in names(f"{url}/in/out") if name.startswith("out/")]


def test_results_of_an_earlier_run_are_no_recordings(url):
    convert(f"{url}/in", "-o", f"{url}/both/first")
    put_name = Folder(f"{url}/in").read(["a.wav"])["a.wav"]
    Folder(f"{url}/both").write("new.wav", put_name)
    text = convert(f"{url}/both", "-o", f"{url}/second").stdout
    assert "3 results of an earlier run left out" in text and names(f"{url}/second") == ["new.wav"]


def test_names_that_clash_and_bad_files(url, tmp_path):
    put_remote(f"{url}/in", tmp_path, "a.flac")
    Folder(f"{url}/in").write("deep/bad.wav", b"no audio")
    result = convert(f"{url}/in", "-o", f"{url}/out", code=1)
    assert "memory://bucket/in/a.flac is written as a.flac.wav: another input has the same name" in result.stdout
    assert "failed: memory://bucket/in/deep/bad.wav: " in result.stderr and "cache" not in result.stderr
    assert names(f"{url}/out") == ["a.flac.wav", "a.wav", "deep/b.wav", "deep/take 10.wav"]


@pytest.mark.parametrize("place", ["nothing", "nothing.wav"])
def test_a_url_that_leads_nowhere(url, place):
    assert f"{url}/{place}: no such file or folder" in convert(f"{url}/{place}", code=2).stderr


def test_a_report_replaces_only_a_report(url):
    Folder(url).write("r.json", b"{}")
    text = convert(f"{url}/in", "--report", f"{url}/r.json", code=2).stderr
    assert "is not a report of fastsvc, so it is not replaced" in text
    text = convert(f"{url}/in", "-o", f"{url}/out", "--report", f"{url}/out/a.wav", code=2).stderr
    assert "is an input or a result" in text


def test_lists_hold_some_lines_each(url, monkeypatch):
    monkeypatch.setattr(remote_results, "LINES", 2)
    convert(f"{url}/in", "-o", f"{url}/out")
    lists = [item.name for item in Folder(f"{url}/out").items() if item.name.startswith(LISTS)]
    assert len(lists) == 2
    assert "skipped 3" in convert(f"{url}/in", "-o", f"{url}/out").stdout


def test_ctrl_c_keeps_what_is_done(url, fake):  # noqa: F811
    fake.fail = {2: KeyboardInterrupt()}
    assert "interrupted" in convert(f"{url}/in", "-o", f"{url}/out", code=130).stderr
    assert len(names(f"{url}/out")) == 1
    fake.fail = {}
    assert "skipped 1" in convert(f"{url}/in", "-o", f"{url}/out").stdout


def test_shards_of_urls(url):
    for number in (1, 2):
        convert(f"{url}/in", "-o", f"{url}/out", "--shard", f"{number}/2")
    assert "skipped 3" in convert(f"{url}/in", "-o", f"{url}/out").stdout


def test_a_single_local_file_is_put(url, tmp_path):
    put(tmp_path / "x.wav", tone(0.02))
    convert("x.wav", "-o", f"file://{tmp_path}/by%20url")
    assert (tmp_path / "by url" / "x.wav").is_file()
