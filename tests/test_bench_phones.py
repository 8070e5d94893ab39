"""What recordings say, and the errors of a listener over them."""

import json

import numpy as np
import pytest

from bench import phones


def test_texts_leave_out_sounds_and_notes(tmp_path):
    path = tmp_path / "texts.txt"
    lines = ["; a comment: of theirs", "beep: [a tone]", "silence/1: (one second)", "vm-intro: Leave it. (tone)"]
    path.write_text("\n".join([*lines, "options.wav: ... press 1", ""]))
    assert phones.texts(path) == {"vm-intro": "Leave it.", "options": "press 1"}


def test_transcripts_come_before_texts(tmp_path, monkeypatch):
    monkeypatch.setattr(phones, "dictionary", lambda text: text.split())
    for name in ("Front_Left", "Noise", "other"):
        (tmp_path / f"{name}.wav").touch()
    said = phones.named(tmp_path)
    assert said == {"Front_Left": "Front Left", "other": "other"}
    assert phones.clips(tmp_path, said | {"gone": "x"}) == [
        (tmp_path / "Front_Left.wav", ["Front", "Left"]),
        (tmp_path / "other.wav", ["other"]),
    ]
    sung = {"phones": [["pau", 0, 1], ["aa", 1, 2], ["aa", 2, 3], ["m", 3, 4]]}
    (tmp_path / "other.json").write_text(json.dumps(sung))
    assert phones.clips(tmp_path, said) == [(tmp_path / "other.wav", ["aa", "m"])]


def test_the_interval_holds_the_rate_and_a_wrong_phone_raises_it(tmp_path):
    soundfile = pytest.importorskip("soundfile")
    known = []
    for number in range(6):
        soundfile.write(tmp_path / f"{number}.wav", np.zeros(1600), 16000)
        known.append((tmp_path / f"{number}.wav", ["aa", "m", "iy"]))
    right = {"right": lambda audio: ["aa", "m", "iy"], "wrong": lambda audio: ["aa", "n", "iy"]}
    table = phones.measure(right, known)
    assert table["clips"] == 6 and table["rows"]["right"] == {"rate": 0, "low": 0, "high": 0, "phones": 18}
    assert table["rows"]["wrong"]["rate"] == pytest.approx(1 / 3)
    spread = phones.interval([0, 3, 0, 3], [3, 3, 3, 3])
    assert spread["rate"] == 0.5 and spread["low"] < 0.2 and spread["high"] > 0.8


def test_listeners_are_the_named_encoders_and_the_general_recogniser(tmp_path, monkeypatch):
    """All in one table: a checkpoint's network hears phones of its own, hama says its name with its version."""
    from phone_corpus import PhoneCorpus

    from fastsvc.data import hama_phones
    from fastsvc.training import checkpoint
    from fastsvc.training.recogniser import RecogniserTask

    class General:
        name = "hama 0"

        def recognise(self, audio):
            return [("pau", 0.0, 0.1), ("aa", 0.1, 0.2), ("aa", 0.2, 0.3), ("m", 0.3, 0.4)]

    monkeypatch.setattr(hama_phones, "HamaPhones", General)
    model = {"channels": 16, "layers": 2, "bottleneck": 6}
    task = RecogniserTask({"model": model}, PhoneCorpus(), "cpu", batch_size=2, batch_frames=32)
    about = {"step": 1, "speakers": [], "speaker_f0_hz": []}
    state = task.model.state_dict()
    config = {"model": task.config_for_checkpoint()}
    checkpoint.save(tmp_path / "r.pt", kind="recogniser", config=config, **about, model=state, ema=state)
    found = phones.listeners([("own", tmp_path / "r.pt")], True)
    audio = np.random.default_rng(0).standard_normal(8000).astype(np.float32)
    assert list(found) == ["own", "hama 0"] and found["hama 0"](audio) == ["aa", "m"]
    assert set(found["own"](audio)) <= {"aa", "iy", "ow"}


def test_the_dictionary_is_not_that_of_kal(tmp_path, monkeypatch):
    """flite's own voice says "aa" for every stressed "ah"."""
    said = 'case "$*" in *"-voice slt"*) echo pau k ah p ax pau;; *) echo pau k aa p ax pau;; esac\n'
    (tmp_path / "flite").write_text("#!/bin/sh\n" + said)
    (tmp_path / "flite").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert phones.dictionary("cuppa") == ["k", "ah", "p", "ah"]
