"""Speakers' names: one for each id, found however their accents are typed, and safe as names of files."""

import json
import unicodedata

import amphion_files
import engines
import formats
import numpy as np
import pytest
import yaml

from fastsvc import file_names
from fastsvc.build.passes import speaker_f0
from fastsvc.checkpoints import read
from fastsvc.commands.choose import choose_speaker
from fastsvc.data import scan
from fastsvc.engine.speakers import Speakers
from fastsvc.errors import CheckpointError, ConfigError, SpeakerError

NFC, NFD = "Zoë: Ægir", unicodedata.normalize("NFD", "Zoë: Ægir")
assert NFC != NFD


def voice(folder, table, make=formats.comosvc):
    path = make(folder)
    values = yaml.safe_load((folder / "config.yaml").read_text())
    (folder / "config.yaml").write_text(yaml.safe_dump(values | {"spk": table}, allow_unicode=True))
    return path


@pytest.mark.parametrize(
    "table, parts",
    [
        ({"Ada": 0, "Bert": 1, "Cleo": 1}, ["'Bert' and 'Cleo'", "two names for the id 1"]),
        ({"Jose\u0301": 0, "Jos\u00e9": 1}, ["(NFD)", "(NFC)", "one name for the ids 0 and 1"]),
        ({"a": 0, "b": 3}, ["spk.b is 3, outside 0 … 2"]),
    ],
)
@pytest.mark.parametrize("make", [formats.comosvc, formats.sovits])
def test_a_table_that_says_two_things(tmp_path, make, table, parts):
    with pytest.raises(CheckpointError) as caught:
        read(voice(tmp_path, table, make))
    assert all(part in str(caught.value) for part in parts) and "\n" not in str(caught.value), caught.value


def test_one_name_for_two_ids(tmp_path):
    path = voice(tmp_path, {"a": 0})
    with open(tmp_path / "config.yaml", "a") as file:
        file.write("spk:\n  Ada: 0\n  Ada: 1\n")
    with pytest.raises(CheckpointError, match="'Ada' twice .line"):
        read(path)


def test_an_id_without_a_name_beside_a_name_that_it_would_get(tmp_path):
    assert read(voice(tmp_path, {"speaker 1": 0})).speakers == ("speaker 1", "speaker 1 (no name)", "speaker 2")


def test_tables_of_other_formats(tmp_path):
    checkpoint = amphion_files.experiment(tmp_path / "a")
    (tmp_path / "a" / "singers.json").write_text(json.dumps({"x": 0, "y": 1, "z": 1}))
    with pytest.raises(CheckpointError, match="singers.json: 'y' and 'z' are two names for the id 1"):
        read(checkpoint)
    names = ["Jose\u0301", "Jos\u00e9", *engines.SPEAKERS[2:]]
    with pytest.raises(CheckpointError, match="one name for the ids 0 and 1"):
        read(engines.native(tmp_path / "n.pt", "student", engines.ACOUSTIC, speakers=names))
    np.savez(tmp_path / "v.npz", **{name: np.zeros(256, np.float32) for name in names[:2]})
    with pytest.raises(CheckpointError, match="one name"):
        read(formats.comosvc_fork(tmp_path / "f"), speaker_vectors=tmp_path / "v.npz")


@pytest.mark.parametrize("stored, typed", [(NFC, NFD), (NFD, NFC), (NFC, NFD.upper()), (NFD, f" {NFC.lower()} ")])
def test_a_name_is_found_however_it_is_typed(stored, typed):
    table = Speakers(("Ada", stored))
    assert table.row(typed) == 1 and table.name(typed) == stored
    assert table.weights({typed: 1, "Ada": 3}) == {1: 0.25, 0: 0.75}
    assert choose_speaker(table, typed) == typed  # a name with a colon in it, not a mixture
    assert table.weights(choose_speaker(table, f"Ada:3,{typed}:1")) == {1: 0.25, 0: 0.75}


def test_a_number_is_an_id_before_it_is_a_name(capsys):
    """A voice of RVC from the file 5.pth: its first speaker is called 5, and another one has the id 5."""
    table = Speakers(("5", *(f"speaker {i}" for i in range(1, 8)), "20"), default=0)
    assert choose_speaker(table, None) == "5" and table.row("5") == 0  # names of the table itself
    assert not capsys.readouterr().err
    for text, weights in (("5", {5: 1.0}), (" 5 ", {5: 1.0}), ("5:3,0:1", {5: 0.75, 0: 0.25})):
        assert table.weights(choose_speaker(table, text)) == weights
        told = capsys.readouterr()
        assert (
            told.err == "note: --spk 5 is the id of 'speaker 5'; the speaker called '5' has the id 0\n" and not told.out
        )
    for text, row in (("0", 0), ("20", 8), ("8", 8), ("speaker 5", 5)):  # one thing alone is meant
        assert table.row(choose_speaker(table, text)) == row
    assert not capsys.readouterr().err
    with pytest.raises(SpeakerError, match="no speaker '9'"):
        choose_speaker(table, "9")


def test_what_was_meant_is_asked():
    table = Speakers(("ALTO ONE", "Straße", "anna", "Anna"))
    for typed, meant in (("alto onee", "'ALTO ONE'"), ("STRASE", "'Straße'"), ("ANNA", "'anna' or 'Anna'")):
        with pytest.raises(SpeakerError, match=f"did you mean {meant}"):
            table.row(typed)
    assert table.row("STRASSE") == 1 and table.row("Anna") == 3


def test_median_pitches_of_names_typed_otherwise(tmp_path):
    acoustic = read(voice(tmp_path / "a", {"Jos\u00e9": 0, "b": 1, "c": 2}))
    assert speaker_f0.medians("Jose\u0301:200", acoustic) == (200.0, 0.0, 0.0)
    with pytest.raises(ConfigError, match="given twice"):
        speaker_f0.medians("Jose\u0301:200,0:180", acoustic)
    (tmp_path / "corpus.json").write_text(json.dumps({"singer_f0_hz": {"Jose\u0301": 150.0, "nobody": 1.0}}))
    assert speaker_f0.medians(str(tmp_path), acoustic) == (150.0, 0.0, 0.0)


TAGS = {
    "..": "",
    "../../etc/passwd": "_.._etc_passwd",
    "a/b\\c:d": "a_b_c_d",
    "CON": "_CON",
    "con.wav": "_con.wav",
    "COM¹": "_COM¹",
    "lpt1 .txt": "_lpt1 .txt",
    "CONIN$": "_CONIN$",
    "dots...": "dots",
    " space ": "space",
    "a\nb\x00c\u202ed\x7f": "a_b_c_d_",
    "-rf": "-rf",
    "\ud800": "_",
    "👩\u200d🎤": "👩_🎤",
    "Jose\u0301": "Jos\u00e9",
}


@pytest.mark.parametrize("name", TAGS)
def test_names_as_parts_of_file_names(tmp_path, name):
    tag = file_names.safe_tag(name)
    assert tag == TAGS[name]
    (tmp_path / f"x_{tag}.wav").write_bytes(b"")
    assert [file.parent for file in tmp_path.rglob("*.wav")] == [tmp_path]


@pytest.mark.parametrize("name", ["x" * 300, "语" * 300, "👩" * 300, "e\u0301\u0323" * 200, "\u0301" * 300])
def test_long_names_fit_and_keep_whole_letters(tmp_path, name):
    tag = file_names.safe_tag(name)
    assert len(tag.encode()) <= 240 and len(tag) <= file_names.TAG_CHARACTERS
    (tmp_path / (tag or "voice")).mkdir()
    tail = spell = unicodedata.normalize("NFC", name)[len(tag) :]
    assert not (tag and spell and unicodedata.combining(tail[0]) and set(name) != {"\u0301"})


def test_tags_of_many_voices_are_apart():
    names = ["a/b", "a:b", "A?B", "", "..", "Jos\u00e9", "Jose\u0301", "CON", "con"]
    tags = file_names.safe_tags(names)
    assert tags == ["a_b", "a_b-2", "A_B-3", "voice", "voice-2", "José", "José-2", "_CON", "_con-2"]
    assert len({tag.casefold() for tag in tags}) == len(names)


def test_prepared_names_leave_room_for_their_endings(tmp_path):
    singer = tmp_path / "Ada"
    singer.mkdir()
    for letter in "ab":
        (singer / ("语" * 83 + letter + ".wav")).write_bytes(b"")  # 254 bytes
    sources = scan.scan(tmp_path).sources
    names = {source.name for source in sources}
    assert len(names) == 2
    for name in names:
        (tmp_path / f"{name}.000.npz").write_bytes(b"")
    assert {source.singer for source in sources} == {"Ada"}
