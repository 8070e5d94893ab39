"""Manifests: each row's own target, speaker and options; results appended; mistakes named before anything is done."""

import json

import pytest
from command_line import run
from recordings import put, tone
from remote_folders import fake, lines, names, put_remote, store  # noqa: F401 - fixtures

from fastsvc.audio import io
from fastsvc.convert import manifest
from fastsvc.convert.manifest import Row
from fastsvc.errors import ConfigError
from fastsvc.remote import Folder


def write(path, *rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_rows(tmp_path):
    path = write(
        tmp_path / "list.jsonl",
        {"source": "a.wav"},
        {"source": "/b.wav", "target": "x/b.flac", "speaker": 3, "transpose": "auto", "seed": 5},
        {"source": "s3://c/d.wav", "speaker": "a:0.5,b:0.5", "high_pass": False},
    )
    path.write_text(path.read_text().replace("\n", "\n\n"))
    assert manifest.read(str(path)) == [
        Row(1, str(tmp_path / "a.wav")),
        Row(3, "/b.wav", "x/b.flac", "3", {"transpose": "auto", "seed": 5}),
        Row(5, "s3://c/d.wav", "", "a:0.5,b:0.5", {"high_pass": False}),
    ]


@pytest.mark.parametrize(
    "row, why",
    [
        ("{", "not JSON"),
        ("[" * 100000, "not JSON"),
        ("[]", "not an object with a source"),
        ('{"target": "a"}', "not an object with a source"),
        ('{"source": ""}', "not an object with a source"),
        ('{"source": "a", "spekaer": "x"}', "'spekaer' is not known"),
        ('{"source": "a", "seed": "x"}', "seed is 'x'"),
        ('{"source": "a", "seed": true}', "seed is True"),
        ('{"source": "a", "target": "../b.wav"}', "does not lie below"),
        ('{"source": "a", "target": "/b.wav"}', "does not lie below"),
        ('{"source": "a", "target": "C:/b.wav"}', "does not lie below"),
        ('{"source": "a", "target": "b\\\\..\\\\..\\\\c.wav"}', "does not lie below"),
    ],
)
def test_rows_that_make_no_sense(tmp_path, row, why):
    (tmp_path / "m.jsonl").write_text('{"source": "z"}\n' + row)
    with pytest.raises(ConfigError, match="m.jsonl, line 2: ") as error:
        manifest.read(str(tmp_path / "m.jsonl"))
    assert why in str(error.value)


def test_files_that_are_no_manifests(tmp_path):
    for name, why in (("none.jsonl", "none.jsonl"), ("empty.jsonl", "no rows are in it")):
        (tmp_path / "empty.jsonl").write_text("\n")
        with pytest.raises(ConfigError, match=why):
            manifest.read(str(tmp_path / name))
    write(tmp_path / "two.jsonl", {"source": "a", "target": "x.wav"}, {"source": "b", "target": "x.wav"})
    with pytest.raises(ConfigError, match="line 2: line 1 has the same target"):
        manifest.read(str(tmp_path / "two.jsonl"))


def test_each_row_has_its_own_settings(fake, tmp_path):  # noqa: F811
    for name in "abc":
        put(tmp_path / "songs" / f"{name}.wav", tone(0.05))
    write(
        tmp_path / "songs" / "list.jsonl",
        {"source": "a.wav", "target": "one/x.flac", "speaker": "bert", "transpose": 3, "seed": 7, "formant": 1.5},
        {"source": "missing.wav"},
        {"source": "b.wav", "target": "two", "rate": 12000},
        {"source": str(tmp_path / "songs" / "c.wav"), "steps": 2, "f0": "pyin"},
        {"source": "b.wav", "target": "one/again.wav", "speaker": 0},
    )
    asked = ["convert", "--manifest", "songs/list.jsonl", "--spk", "carla", "-o", "out", "--report", "r.json"]
    text = run(*asked, code=1)
    assert sorted(fake.asked, key=str) == sorted(
        [("bert", 1, 1.5, 7, 1.0), ("carla", 1, 0.0, 0, 1.0), ("carla", 2, 0.0, 0, 1.0), ("0", 1, 0.0, 0, 1.0)], key=str
    )
    assert {call[3]["f0_method"] for call in fake.calls} == {None, "pyin"}
    found = sorted(path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("[!.]*.*"))
    assert found == ["c.wav", "one/again.wav", "one/x.flac", "two.wav"]
    assert io.probe(tmp_path / "out" / "two.wav").rate_hz == 12000
    results = lines(tmp_path / "songs" / "list.results.jsonl")
    assert sorted(row["line"] for row in results) == [1, 2, 3, 4, 5] and "list.results.jsonl" in text.stdout
    assert {row["line"]: row["status"] for row in results} == {
        n: "failed" if n == 2 else "converted" for n in range(1, 6)
    }
    report = json.loads((tmp_path / "r.json").read_text())
    assert [entry["speaker"] for entry in report["files"]] == ["bert", "carla", "carla", "carla", "anna"]
    # again: what is done is skipped, and the new lines come after the old ones
    assert "skipped 4" in run(*asked, code=1).stdout
    assert [row["status"] for row in lines(tmp_path / "songs" / "list.results.jsonl")].count("skipped") == 4


@pytest.mark.parametrize(
    "rows, why",
    [
        ([{"source": "a.wav", "speaker": "nobody"}], "line 1 of the manifest: "),
        ([{"source": "a.wav", "transpose": 1000}], "line 1 of the manifest: "),
        ([{"source": "a.wav", "channels": "all"}], "line 1 of the manifest: "),
        ([{"source": "a.wav"}, {"source": "x/a.flac"}], "line 2: line 1 has the same target a.wav"),
        ([{"source": "a.wav", "target": "a.m4a"}], "a.m4a has no format of results"),
        ([{"source": "out/a.wav"}], "would replace a source"),
    ],
)
def test_a_mistake_is_named_before_anything_is_converted(fake, tmp_path, rows, why):  # noqa: F811
    put(tmp_path / "a.wav", tone(0.02))
    put(tmp_path / "out" / "a.wav", tone(0.02))
    write(tmp_path / "m.jsonl", *rows)
    assert why in run("convert", "--manifest", "m.jsonl", "--spk", "anna", "-o", "out", code=2).stderr
    assert not fake.calls


def test_inputs_and_manifests_exclude_each_other(fake, tmp_path):  # noqa: F811
    assert "omit INPUT" in run("convert", "a.wav", "--manifest", "m.jsonl", code=2).stderr
    assert "Missing argument 'INPUT...'" in run("convert", "--spk", "anna", code=2).stderr
    assert "are for --ray" in run("convert", "a.wav", "--workers", 3, code=2).stderr
    assert "is not a device" in run("convert", "a.wav", "--device", "cuda:x", code=2).stderr
    assert "is a stream of one process" in run("convert", "-", "--spk", "anna", "--device", "cpu,cpu", code=2).stderr
    assert "--name-by voice is for" in run("convert", "a", "--name-by", "voice", "--device", "cpu,cpu", code=2).stderr
    assert "write i/n" in run("convert", "a.wav", "--shard", "3/2", code=2).stderr


def test_a_manifest_by_url(fake, store, tmp_path):  # noqa: F811
    many = [f"{number:02}.wav" for number in range(25)]
    put_remote(f"{store}/in", tmp_path, *many[:3])
    for name in many[3:]:
        Folder(f"{store}/in").write(name, Folder(f"{store}/in").read(["00.wav"])["00.wav"])
    rows = [json.dumps({"source": name, "target": f"x/{name}"}) for name in many]
    Folder(f"{store}/in").write("list.jsonl", "\n".join(rows).encode())
    asked = ["convert", "--manifest", f"{store}/in/list.jsonl", "--spk", "anna", "-o", f"{store}/out"]
    run(*asked, "--shard", "1/2")
    run(*asked, "--shard", "2/2")
    assert names(f"{store}/out") == [f"x/{name}" for name in many]
    assert "skipped 25" in run(*asked).stdout
    parts = [lines(tmp_path / f"list.results-{number}-of-2.jsonl") for number in (1, 2)]
    assert sorted(row["line"] for part in parts for row in part) == list(range(1, 26))
