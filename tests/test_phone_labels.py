"""Phones of recordings without transcripts: the mapping, the times, and what becomes of them in a corpus."""

import itertools
import json
import sys

import numpy as np
import pytest
from toy_corpus import make

from fastsvc.data import hama_phones, ipa, phone_labels
from fastsvc.data.choir.phones import PHONES
from fastsvc.data.corpus import Corpus
from fastsvc.data.prepare import prepare
from fastsvc.errors import ConfigError, MissingPackageError


def test_every_place_is_a_phone_of_the_choir_and_every_phone_but_the_pause_has_one():
    used = {phone for ours in ipa.SYMBOLS.values() for phone in ours}
    assert used == set(PHONES) - {"pau"}
    assert max(map(len, ipa.SYMBOLS.values())) == 2


def test_every_symbol_of_hama_has_a_place():
    pytest.importorskip("hama")
    said = hama_phones.HamaPhones().symbols
    assert len(said) > 180
    for symbol in said:
        ipa.phones(symbol)


def test_plain_symbols_and_an_unknown_one():
    assert [ipa.phones(symbol) for symbol in ("æ", "t͡ʃ", "wi", "ː", " ")] == [("ae",), ("ch",), ("w", "iy"), (), ()]
    with pytest.raises(ConfigError, match="says 'ǃ', which is not a phone"):
        ipa.phones("ǃ")


def test_spikes_are_runs_of_one_token_without_blanks_and_marks():
    names = ["<blank>", "s", "i", "ː", "<wb>"]
    assert hama_phones.spikes([0, 1, 1, 0, 1, 3, 2, 4, 4], names) == [(1, "s"), (4, "s"), (6, "i")]


def test_a_phone_reaches_from_the_one_before_to_its_spike():
    spans = hama_phones.spans([(4, "s"), (12, "i"), (16, "ja")], np.zeros(20, bool))
    frame, lag = hama_phones.FRAME_S, hama_phones.LAG
    wanted = [("s", 0, 4 + lag), ("iy", 4 + lag, 12 + lag), ("y", 12 + lag, 14 + lag), ("aa", 14 + lag, 16 + lag)]
    assert [span[0] for span in spans] == [phone for phone, *_ in wanted]
    np.testing.assert_allclose([span[1:] for span in spans], [[a * frame, b * frame] for _, a, b in wanted])


def test_quiet_between_phones_is_a_pause_and_a_closure_is_none():
    still = np.zeros(60, bool)
    still[:10] = still[22:40] = still[52:] = True
    still[15:18] = True  # a closure of 60 ms
    spans = hama_phones.spans([(14, "a"), (19, "t"), (44, "p"), (50, "o")], still)
    assert [phone for phone, *_ in spans] == ["pau", "aa", "t", "pau", "p", "ow", "pau"]
    starts = {phone: (round(start / 0.02, 2), round(end / 0.02, 2)) for phone, start, end in spans}
    assert starts["p"] == (37, 44.65)  # the last frames of the quiet are the closure of p
    assert starts["t"] == (14.65, 22) and starts["pau"] == (52, 60)


def test_a_phone_that_would_last_too_long_leaves_frames_unlabelled():
    (phone, start, end), *_ = hama_phones.spans([(50, "s")], np.zeros(80, bool))
    assert phone == "s" and end - start == pytest.approx(hama_phones.LONGEST_OTHER * 0.02)


class Hearer:
    """Says what it is told, and counts."""

    def __init__(self, name="recogniser 1", says=(("iy", 0.0, 0.25), ("s", 0.25, 5.0))):
        self.name, self.says, self.heard = name, says, []

    def recognise(self, audio):
        self.heard.append(len(audio))
        return list(self.says)


def test_labels_lie_in_the_corpus_as_a_transcript_does(tmp_path):
    corpus, recogniser = make(tmp_path / "toy"), Hearer()
    assert (
        phone_labels.add_phones(corpus.path, recogniser, progress=False) == 4
    )  # items of two splits share their files
    labelled = Corpus(corpus.path)
    assert labelled.phones == list(PHONES)
    crop = labelled.cut(labelled.items[0], 0, 96)
    names = [PHONES[label] for label in crop["phone_labels"]]
    assert names == ["iy"] * 25 + ["s"] * 71  # frames of 10 ms
    assert [PHONES[phone] for phone in crop["phones"]] == ["iy", "s"]
    assert recogniser.heard == [96 * 160] * 4
    assert phone_labels.add_phones(corpus.path, recogniser, progress=False) == 0  # done already
    assert phone_labels.add_phones(corpus.path, Hearer("recogniser 2"), progress=False) == 4  # by another: not mixed


def test_a_planted_wrong_label_is_noticed(tmp_path):
    corpus = make(tmp_path / "toy")
    with pytest.raises(KeyError, match="zz"):
        phone_labels.add_phones(corpus.path, Hearer(says=(("zz", 0.0, 0.2),)), progress=False)
    assert Corpus(corpus.path).phones == []  # nothing is half labelled


def test_transcripts_stay_and_labels_stay_when_the_corpus_is_prepared_again(tmp_path):
    soundfile = pytest.importorskip("soundfile")
    rng = np.random.default_rng(0)
    for singer, song in (("ada", "a"), ("ada", "b"), ("bruno", "a"), ("bruno", "b")):
        path = tmp_path / "songs" / singer / f"{song}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, 0.1 * rng.standard_normal(16000), 16000)
    said = {"phones": [["m", 0.0, 0.5], ["aa", 0.5, 1.0]], "f0_hz": None, "f0_hop_s": None}
    (tmp_path / "songs/ada/a.json").write_text(json.dumps(said))
    out = tmp_path / "corpus"
    prepare(tmp_path / "songs", out, jobs=1, progress=False)
    (spoken,) = (item for item in Corpus(out).items if item.phone_ids is not None)
    assert spoken.id == "ada/a#0" and [PHONES[phone] for phone in spoken.phone_ids] == ["m", "aa"]
    assert phone_labels.add_phones(out, Hearer(), progress=False) == 3
    prepare(tmp_path / "songs", out, jobs=1, progress=False)
    again = Corpus(out)
    assert again.phones == list(PHONES) and all(item.phone_ids is not None for item in again.items)
    assert {PHONES[item.phone_ids[0]] for item in again.items} == {"m", "iy"}


def test_the_command_says_what_is_missing_before_any_work(tmp_path, monkeypatch):
    from click.testing import CliRunner

    from fastsvc.cli import main

    monkeypatch.setitem(sys.modules, "hama", None)
    with pytest.raises(MissingPackageError, match="labelling phones needs the package hama"):
        hama_phones.HamaPhones()
    command = ["prepare", str(tmp_path / "songs"), "-o", str(tmp_path / "corpus"), "--phones", "hama"]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 2 and "fastsvc[phones]" in result.output and not (tmp_path / "corpus").exists()
    result = CliRunner().invoke(main, [*command, "--pseudo-labels", "9"])
    assert result.exit_code == 2 and "two kinds of labels" in result.output


@pytest.mark.slow
def test_hama_hears_words():
    pytest.importorskip("hama")
    from pathlib import Path

    from fastsvc.audio import io
    from fastsvc.audio.resample import resample

    path = Path(__file__).parent.parent / "examples/recordings/speech/front_left.wav"
    audio, rate_hz = io.read(path, mono=True)
    spans = hama_phones.HamaPhones().recognise(resample(audio[0], rate_hz, 16000))
    said = [phone for phone, *_ in spans if phone != "pau"]
    assert said[1:] == ["r", "ah", "n", "t", "l", "eh", "f", "t"]  # its f is a b
    assert all(a[2] <= b[1] + 1e-9 for a, b in itertools.pairwise(spans))
