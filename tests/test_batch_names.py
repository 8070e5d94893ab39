"""Names of results: never an input's, never twice, never too long, the same every time."""

import os
import unicodedata
from pathlib import Path

import pytest
from test_batch_plan import touch

from fastsvc.convert.names import fitted, longest_name, natural_key, safe_tag
from fastsvc.convert.plan import plan
from fastsvc.convert.sources import Sources


def names(inputs, out=".", **options) -> list[str]:
    return [str(job.target) for job in plan(inputs, out, **options).jobs]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_names_that_are_told_apart_are_no_inputs_either(tmp_path):
    touch(tmp_path, "x/a.wav", "y/a.wav", "a.wav", "a_slt.wav")
    assert names(["x/a.wav", "y/a.wav"], tag="slt") == ["x/a_slt.wav", "y/a_slt.wav"]
    assert names(["y/a.wav", "x/a.wav"], tag="slt") == ["y/a_slt.wav", "x/a_slt.wav"]
    assert names(["a.wav", "a_slt.wav"], tag="slt") == ["a_slt-2.wav", "a_slt_slt.wav"]
    touch(tmp_path, "a_slt-2.wav")
    assert names(["a.wav", "a_slt.wav", "a_slt-2.wav"], tag="slt") == [
        "a_slt-3.wav",
        "a_slt_slt.wav",
        "a_slt-2_slt.wav",
    ]


def test_what_differs_is_noted_with_its_reason(tmp_path):
    touch(tmp_path, "x/a.wav", "y/a.wav", "b.wav", "l" * 251 + ".wav")
    notes = plan(["x/a.wav", "y/a.wav", "b.wav"], ".", tag="slt").notes
    assert notes[0] == (
        "x/a.wav is written as x/a_slt.wav: another input has the same name, and it would replace an input"
    )
    assert notes[2] == "b.wav is written as b_slt.wav: it would replace an input"
    assert plan(["b.wav", "x/a.wav"], "out").notes == []
    assert "its name would be too long" in plan(["l" * 251 + ".wav"], "out", format="flac").notes[0]


def test_inputs_are_known_by_other_names_too(tmp_path):
    touch(tmp_path, "x/a.wav", "x/B.wav", "x/" + unicodedata.normalize("NFC", "é.wav"), "y/a.wav")
    touch(tmp_path, "z/b.flac", "z/" + unicodedata.normalize("NFD", "é.flac"))
    made = names(["x", "z"], "x/../y")
    assert made == ["y/a.wav", "y/B.wav", "y/é.wav", "y/b.flac.wav", "y/" + unicodedata.normalize("NFD", "é.flac.wav")]
    os.link("x/a.wav", "y/hard.wav")
    os.symlink("../x/a.wav", "y/soft.wav")
    os.symlink("x", "way")
    sources = Sources(["x/a.wav", "way/B.wav", "x/é.wav"])
    held = ["x/a.wav", "way/a.wav", "y/../x/a.wav", "y/hard.wav", "y/soft.wav", "x/A.WAV", "x/b.wav", "way/b.WAV"]
    held += ["x/" + unicodedata.normalize("NFD", "é.wav"), "x/É.wav", str(tmp_path / "x/a.wav")]
    assert [path for path in held if not sources.hold(path)] == []
    free = [
        "y/a.wav",
        "x/c.wav",
        "x/a.flac",
        "x/a.wav/b.wav",
        "X/a.wav" if not os.path.isdir("X") else "none",
        "gone/x/a.wav",
    ]
    assert [path for path in free if sources.hold(path)] == []


def test_results_that_a_link_would_put_over_an_input(tmp_path):
    touch(tmp_path, "in/a.wav", "in/b.wav", "out/other.txt")
    os.symlink("../in/a.wav", "out/a.wav")
    os.link("in/b.wav", "out/b.wav")
    assert names(["in"], "out", tag="v") == ["out/a_v.wav", "out/b_v.wav"]
    os.symlink("in", "same")
    assert names(["in/a.wav"], "same", tag="v") == ["same/a_v.wav"]


def test_a_link_to_nowhere_is_not_where_its_input_is_made(tmp_path):
    os.symlink("out/a.wav", "a.wav")
    assert names(["a.wav"], "out") == ["out/a_converted.wav"]


def test_a_link_to_a_missing_input_is_not_replaced(tmp_path):
    touch(tmp_path, "x.wav", "out/other.txt")
    os.symlink("../gone.wav", "out/x.wav")
    assert names(["x.wav", "gone.wav"], "out") == ["out/x_converted.wav", "out/gone.wav"]


def test_an_output_folder_by_a_way_that_is_not_there_yet(tmp_path):
    touch(tmp_path, "a.wav", "x/a.wav")
    assert names(["a.wav"], "new/../out") == ["out/a.wav"] and names(["a.wav"], "new/..") == ["a_converted.wav"]
    assert names(["a.wav"], tmp_path / "new/../out") == [str(tmp_path / "out/a.wav")]
    os.symlink("x", "link")
    assert names(["x/a.wav"], "link/../x") == ["x/a_converted.wav"]


def test_a_result_is_not_named_as_a_folder_of_results(tmp_path):
    touch(tmp_path, "in/x.wav/a.wav", "in/x.flac")
    first = names(["in"], "out")
    assert first == ["out/x-2.wav", "out/x.wav/a.wav"]
    Path("out/x.wav").mkdir(parents=True)
    assert names(["in"], "out") == first


@pytest.mark.parametrize("name", ["①/a.wav", "1²2.wav", "٣/x٤.wav", "½.wav", "𝟙.wav"])
def test_numbers_that_are_no_digits(tmp_path, name):
    touch(tmp_path, f"in/{name}", "in/1/2.wav", "in/b.wav")
    assert f"out/{name}" in names(["in"], "out") and natural_key(name) == natural_key(name)


@pytest.mark.parametrize(
    "tag, expected",
    [
        ("a/b", "a_b"),
        ("../../etc/x", "_.._etc_x"),
        ("..", ""),
        ("", ""),
        ("...", ""),
        (".hidden", "hidden"),
        ("a\0b\nc\x1b[31m", "a_b_c_[31m"),
        ("A:0.7,B:0.3", "A_0.7,B_0.3"),
        ('<>"|?*\\', "_______"),
        ("con", "_con"),
        ("NUL.txt", "_NUL.txt"),
        ("COM1", "_COM1"),
        ("name. ", "name"),
        ("\u202egnp.exe", "_gnp.exe"),
        ("\ud800", "_"),
        ("x" * 300, "x" * 60),
        ("Ada", "Ada"),
        ("歌手", "歌手"),
    ],
)
def test_tags_are_safe(tmp_path, tag, expected):
    assert safe_tag(tag) == expected
    touch(tmp_path, "a.wav")
    assert names(["a.wav"], tag=tag) == [f"a_{expected or 'converted'}.wav"]


@pytest.mark.parametrize("letter", ["l", "é", "歌", "\U0001f3b5", "e\u0301"])
@pytest.mark.parametrize("length", range(240, 256))
def test_long_names_fit_whole_letters_and_stay_apart(tmp_path, letter, length):
    stem = letter * ((length - 4) // len(letter.encode())) + "x" * ((length - 4) % len(letter.encode()))
    assert len(f"{stem}.wav".encode()) == length
    touch(tmp_path, f"{stem}.wav")
    (first,) = names([f"{stem}.wav"], "out", format="flac")
    assert len(os.fsencode(Path(first).name)) <= 255 and first.endswith(".flac")
    assert (Path(first).stem == stem) == (length < 255)
    kept = Path(first).stem.partition("~")[0]
    assert stem.startswith(kept) and not unicodedata.combining((stem + "x")[len(kept)])
    long = [f"{stem[:-1]}{end}" + "y" * 60 + ".wav" for end in "ab"]
    assert len({fitted(name) for name in long}) == 2 and fitted(long[0]) == fitted(long[0])


def test_long_names_and_tags_and_folders(tmp_path):
    long = "l" * 251
    touch(tmp_path, f"{long}.wav", f"x/{long}.wav", f"in/{'d' * 255}/a.wav")
    got = names([f"{long}.wav", f"x/{long}.wav"], tag="slt")
    assert len(set(got)) == 2 and all(len(Path(name).name) == 255 for name in got)
    assert got == names([f"{long}.wav", f"x/{long}.wav"], tag="slt")
    assert names(["in"], "out") == [f"out/{'d' * 255}/a.wav"]
    assert longest_name(tmp_path / "gone" / "deeper") == longest_name(tmp_path) <= 255
    assert len(fitted("ü" * 100, 143).encode()) <= 143


def test_names_of_invalid_text(tmp_path):
    name = os.fsdecode(b"caf\xe9" * 50 + b".wav")
    touch(tmp_path, name)
    assert names([name], "out") == [f"out/{name}"]
    assert len(os.fsencode(Path(names([name], tag="t" * 60)[0]).name)) == 255
