"""Configurations as other systems save them, and under other names: read as they are meant, or refused in one line."""

import json
import shutil

import amphion_files
import formats
import golden
import pytest
import yaml

from fastsvc import reading
from fastsvc.checkpoints import read
from fastsvc.commands.inspect import describe
from fastsvc.errors import CheckpointError
from fastsvc.reading.encoding import decode

NAMES = {"chinese": ("洛天依", "言和", "周杰伦"), "japanese": ("さくら", "初音ミク", "ゆかり")}


def voice(folder, names):
    """(a voice whose configuration has these names, its text)."""
    path = formats.comosvc(folder)
    values = yaml.safe_load((folder / "config.yaml").read_text())
    values["spk"] = {name: i for i, name in enumerate(names)}
    return path, yaml.safe_dump(values, allow_unicode=True)


@pytest.mark.parametrize(
    "names, encoding, told",
    [
        ("chinese", "utf-8", ""),
        ("chinese", "utf-8-sig", ""),
        ("chinese", "utf-16", "UTF-16"),
        ("japanese", "utf-16-le", "UTF-16"),
        ("chinese", "utf-16-be", "UTF-16"),
        ("chinese", "utf-32", "UTF-32"),
        ("chinese", "gbk", "GB18030"),
        ("chinese", "gb18030", "GB18030"),
        ("japanese", "cp932", "Shift-JIS"),
        ("japanese", "gb18030", "GB18030"),
    ],
)
def test_names_in_every_encoding(tmp_path, names, encoding, told):
    path, text = voice(tmp_path, NAMES[names])
    (tmp_path / "config.yaml").write_bytes(text.replace("\n", "\r\n").encode(encoding))
    checkpoint = read(path)
    assert checkpoint.speakers == NAMES[names]
    notes = [note for note in checkpoint.notes if "is read as" in note]
    assert len(notes) == bool(told) and all(told in note for note in notes)
    assert all(note in describe(path) for note in notes)


@pytest.mark.parametrize(
    "name, encoding",
    [
        ("José", "cp1252"),
        ("Müller", "cp1252"),
        ("Ångström", "cp1252"),
        ("Анна", "cp1251"),
        ("Мария Каллас", "cp1251"),
        ("張學友", "big5"),
        ("陶喆", "gbk"),
    ],
)
def test_a_code_page_that_cannot_be_told_is_refused(tmp_path, name, encoding):
    path, text = voice(tmp_path, (name, "b", "c"))
    (tmp_path / "config.yaml").write_bytes(text.encode(encoding))
    with pytest.raises(CheckpointError, match="config.yaml.*not UTF-8.*save it as UTF-8") as caught:
        read(path)
    assert "\n" not in str(caught.value)


def test_damaged_texts_name_their_encoding():
    for data in (b"\xff\xfea", b"\xef\xbb\xbf\xff", b"\xfe\xff\xd8\x00"):
        with pytest.raises(ValueError, match="damaged UTF"):
            decode(data)
    assert decode(b"") == ("", "") and decode(b"\xef\xbb\xbfa: 1") == ("a: 1", "")


PLACES = {
    "a: 1\nb:\n\tc: 2\n": "a tab.*line 3, column 1",
    "a: 1\n\tb: 2\n": "line 2",
    'a: "C:\\kings"\n': "line 1, column",
    "a: [1, 2\nb: 3\n": "line 2",
    "a: 1\na: 2\n": "line 2, column 1",
    "a: 1\nb: x\x07y\n": "U.0007.*line 2, column 5",
    "a: b: c\n": "line 1, column 5",
}


@pytest.mark.parametrize("text", PLACES)
def test_faults_of_yaml_have_a_place_in_every_reader(tmp_path, text):
    path = formats.comosvc(tmp_path / "a")
    (tmp_path / "a" / "config.yaml").write_text(text)
    shutil.copytree(golden.FOLDER / "m4gan_small", tmp_path / "b")
    (tmp_path / "b" / "config.yaml").write_text(text)
    for file in (path, tmp_path / "b"):
        with pytest.raises(CheckpointError, match=f"config.yaml.*{PLACES[text]}"):
            read(file)
    from fastsvc.training import settings

    (tmp_path / "train.yaml").write_text(text)
    with pytest.raises(Exception, match=f"train.yaml.*{PLACES[text]}"):
        settings.read_settings(tmp_path / "train.yaml")


def test_faults_of_json_have_a_place(tmp_path):
    shutil.copytree(golden.FOLDER / "nsf_hifigan_small", tmp_path / "v")
    (tmp_path / "v" / "config.json").write_text('{\n "a": 1,\n "b": x\n}')
    with pytest.raises(CheckpointError, match="config.json.*line 3 column 7"):
        read(tmp_path / "v")
    checkpoint = amphion_files.experiment(tmp_path / "amphion")
    (tmp_path / "amphion" / "args.json").write_text('/* two\nlines */ {\n "a": 1, // one\n "b": x,\n}')
    with pytest.raises(CheckpointError, match="args.json.*line 4 column 7"):
        read(checkpoint)


def test_the_one_configuration_under_another_name_is_proposed(tmp_path):
    path = formats.diffusion_svc(tmp_path)
    want = read(path)
    (tmp_path / "config.yaml").rename(tmp_path / "my voice.yml")
    with pytest.raises(CheckpointError, match="my voice.yml lies there.*--config") as caught:
        read(path)
    assert "config.yaml" in str(caught.value)
    assert read(path, tmp_path / "my voice.yml").config == want.config
    assert "my voice.yml lies there" in describe(path)  # which needs none to look
    (tmp_path / "old.yaml").write_text("a: 1")
    with pytest.raises(CheckpointError, match="my voice.yml, old.yaml lie there.*--config"):
        read(path)
    for name in ("my voice.yml", "old.yaml"):
        (tmp_path / name).unlink()
    with pytest.raises(CheckpointError, match="name the configuration with --config"):
        read(path)


def test_a_vocoders_configuration_under_another_name(tmp_path):
    """No option names it: it has to be renamed."""
    for name, config in (("nsf_hifigan_small", "config.json"), ("m4gan_small", "config.yaml")):
        shutil.copytree(golden.FOLDER / name, tmp_path / name)
        (tmp_path / name / config).rename(tmp_path / name / f"{config}.txt")  # as Windows hides it
        with pytest.raises(CheckpointError, match=f"{config}.txt lies there.*rename it to {config}"):
            read(tmp_path / name)


def test_amphions_configuration_under_another_name(tmp_path):
    checkpoint = amphion_files.experiment(tmp_path)
    (tmp_path / "args.json").rename(checkpoint / "experiment.json")
    with pytest.raises(CheckpointError, match="experiment.json lies there"):
        read(checkpoint)
    assert read(checkpoint, checkpoint / "experiment.json").speakers


def test_notes_only_where_they_are_asked_for(tmp_path):
    (tmp_path / "a.json").write_bytes(json.dumps({"a": "洛"}, ensure_ascii=False).encode("utf-16"))
    notes = []
    assert reading.read_json(tmp_path / "a.json") == reading.read_json(tmp_path / "a.json", notes=notes) == {"a": "洛"}
    assert len(notes) == 1 and "UTF-16" in notes[0]
