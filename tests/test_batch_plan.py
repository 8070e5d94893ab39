"""Which recordings are taken and where results go."""

import os
from pathlib import Path

import pytest

from fastsvc.convert.plan import natural_key, plan
from fastsvc.errors import AudioError, OutputError


def touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")


def targets(result, root):
    return {str(job.source.relative_to(root)): str(job.target.relative_to(root / "out")) for job in result.jobs}


def test_a_folder_keeps_its_tree_in_natural_order(tmp_path):
    touch(tmp_path, *(f"in/{name}" for name in ("take 10.wav", "take 2.WAV", "b/x.flac", "notes.txt", "b/cover.jpg")))
    touch(tmp_path, "in/.hidden.wav", "in/.git/a.wav", "in/b/.x.wav")
    result = plan([tmp_path / "in"], tmp_path / "out", "wav")
    assert list(targets(result, tmp_path).items()) == [
        ("in/b/x.flac", "b/x.wav"),
        ("in/take 2.WAV", "take 2.wav"),
        ("in/take 10.wav", "take 10.wav"),
    ]
    assert result.notes == [] and result.problems == []


def test_formats(tmp_path):
    touch(tmp_path, "in/a.flac", "in/b.mp3", "in/c.opus", "in/d.aiff", "in/e.wav")
    same = plan([tmp_path / "in"], tmp_path / "out", "same")
    assert [(job.target.name, job.format) for job in same.jobs] == [
        ("a.flac", "flac"),
        ("b.mp3", "mp3"),
        ("c.ogg", "ogg"),
        ("d.wav", "wav"),
        ("e.wav", "wav"),
    ]
    assert {job.target.suffix for job in plan([tmp_path / "in"], tmp_path / "out", "mp3").jobs} == {".mp3"}


def test_results_of_the_same_name_are_told_apart(tmp_path):
    touch(tmp_path, "in/a.wav", "in/a.flac", "in/b.mp3", "in/b.ogg", "other/a.wav", "third/a.wav")
    result = plan([tmp_path / "in", tmp_path / "other", tmp_path / "third"], tmp_path / "out")
    got = targets(result, tmp_path)
    assert len(set(got.values())) == 6
    assert got["in/b.mp3"] == "b.mp3.wav" and got["in/b.ogg"] == "b.ogg.wav"
    assert got["in/a.flac"] == "a.flac.wav"
    assert got["other/a.wav"] == "other/a.wav" and got["third/a.wav"] == "third/a.wav" and got["in/a.wav"] == "in/a.wav"
    assert len(result.notes) == 6 and all("same name" in note for note in result.notes)


def test_names_do_not_depend_on_the_order_of_inputs(tmp_path):
    touch(tmp_path, "x/a.wav", "y/a.flac", "y/a.wav")
    folders = [tmp_path / "x", tmp_path / "y"]
    assert targets(plan(folders, tmp_path / "out"), tmp_path) == targets(
        plan(folders[::-1], tmp_path / "out"), tmp_path
    )


def test_the_same_folder_name_twice_is_numbered(tmp_path):
    touch(tmp_path, "one/voice/a.wav", "two/voice/a.wav")
    got = targets(plan([tmp_path / "one/voice", tmp_path / "two/voice"], tmp_path / "out"), tmp_path)
    assert got == {"one/voice/a.wav": "voice/a.wav", "two/voice/a.wav": "voice/a-2.wav"}


def test_names_that_differ_in_case_only_are_told_apart(tmp_path):
    touch(tmp_path, "in/a.wav", "in/A.flac")
    got = targets(plan([tmp_path / "in"], tmp_path / "out"), tmp_path)
    assert len({name.casefold() for name in got.values()}) == 2


def test_an_input_given_twice_is_converted_once(tmp_path):
    touch(tmp_path, "in/a.wav")
    assert len(plan([tmp_path / "in", tmp_path / "in" / "a.wav", tmp_path / "in/../in"], tmp_path / "out").jobs) == 1


def test_a_result_never_replaces_a_recording(tmp_path, monkeypatch):
    touch(tmp_path, "a.wav", "b.flac")
    monkeypatch.chdir(tmp_path)
    result = plan(["a.wav", "b.flac"], ".", tag="anna")
    assert [str(job.target) for job in result.jobs] == ["a_anna.wav", "b.wav"]
    os.symlink("a.wav", "link.wav")
    assert plan(["link.wav"], ".", tag="anna").jobs[0].target == Path("link_anna.wav")
    with pytest.raises(OutputError, match="both input and output"):
        plan([tmp_path], ".")


def test_the_output_folder_inside_the_input_is_left_out(tmp_path):
    touch(tmp_path, "a.wav", "out/a.wav", "b/c.wav")
    assert set(targets(plan([tmp_path], tmp_path / "out"), tmp_path)) == {"a.wav", "b/c.wav"}


def test_missing_inputs(tmp_path):
    with pytest.raises(AudioError, match="no such file or folder"):
        plan([tmp_path / "nowhere"], tmp_path / "out")
    assert len(plan([tmp_path / "nowhere.wav"], tmp_path / "out").jobs) == 1  # its failure, when it is its turn
    touch(tmp_path, "in/notes.txt")
    with pytest.raises(AudioError, match="no recordings in"):
        plan([tmp_path / "in"], tmp_path / "out")


def test_a_named_file_is_taken_whatever_its_name(tmp_path):
    touch(tmp_path, "notes.txt", ".hidden.wav")
    assert len(plan([tmp_path / "notes.txt", tmp_path / ".hidden.wav"], tmp_path / "out").jobs) == 2


def test_recordings_that_cannot_be_decoded_are_mentioned(tmp_path):
    touch(tmp_path, "in/a.wav", "in/b.RM", "in/x/c.rm", "in/d.mid", "in/cover.jpg")
    result = plan([tmp_path / "in"], tmp_path / "out")
    assert len(result.jobs) == 1 and "in: 2 .rm, 1 .mid left out" in result.notes[0]
    assert not [note for note in result.notes if ".jpg" in note]


def test_where_nothing_else_is_there_what_was_left_out_is_counted(tmp_path):
    touch(tmp_path, "in/b.rm", "in/c.rm", "in/cover.jpg", "in/README", "in/.hidden.rm")
    with pytest.raises(AudioError) as caught:
        plan([tmp_path / "in"], tmp_path / "out")
    assert "no recordings in" in caught.value.message
    assert "in (there are 2 .rm, 1 without a suffix, 1 .jpg)" in caught.value.message
    assert "2 .rm left out" in caught.value.remedy
    touch(tmp_path, "good/a.wav")
    notes = plan([tmp_path / "good", tmp_path / "in"], tmp_path / "out").notes
    assert any(note.endswith("in: no recordings in it, there are 2 .rm, 1 without a suffix, 1 .jpg") for note in notes)


def test_recordings_of_all_kinds_are_chosen_and_keep_their_names_apart(tmp_path):
    touch(tmp_path, "in/song.m4a", "in/song.wav", "in/song.webm", "in/b.MP4", "in/c.wma")
    result = plan([tmp_path / "in"], tmp_path / "out")
    got = targets(result, tmp_path)
    assert len(got) == 5 and len(set(got.values())) == 5
    assert got["in/song.m4a"] == "song.m4a.wav" and got["in/song.webm"] == "song.webm.wav"


def test_the_same_format_of_what_is_not_written_is_wav_and_said(tmp_path):
    touch(tmp_path, "in/a.m4a", "in/b.m4a", "in/c.flac", "in/d.wma", "in/e.wav")
    result = plan([tmp_path / "in"], tmp_path / "out", "same")
    assert [job.format for job in result.jobs] == ["wav", "wav", "flac", "wav", "wav"]
    assert result.notes == ["2 .m4a, 1 .wma: not a format of results, so these become wav"]
    assert not plan([tmp_path / "in"], tmp_path / "out", "mp3").notes


def test_a_folder_that_cannot_be_listed_is_a_problem_not_the_end(tmp_path, monkeypatch):
    touch(tmp_path, "in/a.wav", "in/b/c.wav")
    scan = os.scandir

    def refuse(path):
        if str(path).endswith("b"):
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    result = plan([tmp_path / "in"], tmp_path / "out")
    assert len(result.jobs) == 1 and result.problems == [
        (tmp_path / "in/b", "the folder cannot be listed: Permission denied")
    ]


def test_natural_order():
    names = ["b", "a10", "a9", "a", "A1", "1", "02"]
    assert sorted(names, key=natural_key) == ["1", "02", "a", "A1", "a9", "a10", "b"]
