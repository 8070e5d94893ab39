"""After each step from recordings to a voice, the next command; sound of teacher and students in TensorBoard."""

import engines
import numpy as np
import pytest
import torch
import toy_corpus
from click.testing import CliRunner
from histories import figures_of
from line_task import make
from teachers import TINY, write_config

from fastsvc import screen
from fastsvc.cli import main
from fastsvc.commands import next_step
from fastsvc.config import VocoderConfig
from fastsvc.data.scan import split_songs
from fastsvc.training import checkpoint, listen, loop
from fastsvc.training.logging import Log


def test_every_kind_of_training_says_what_comes_next(tmp_path):
    (tmp_path / "best.pt").write_bytes(b"")
    said = {
        kind: next_step.after_training(kind, tmp_path) for kind in ("teacher", "student", "dmo", "vocoder", "pitch")
    }
    assert f"train student -c STUDENT.yaml, with `task.teacher: {tmp_path}/last.pt`" in said["teacher"]
    assert f"fastsvc build {tmp_path}/best.pt -o NAME.fsvc" in said["student"]
    assert f"fastsvc build {tmp_path}/last.pt -o NAME.fsvc" in said["dmo"]
    assert f"--vocoder {tmp_path}/best.pt" in said["vocoder"] and "task.listeners.pitch" in said["pitch"]


def test_an_engine_without_a_vocoder_is_said_to_make_no_sound(tmp_path):
    engines.native(tmp_path / "student.pt", "student", engines.ACOUSTIC)
    engines.native(tmp_path / "vocoder.pt", "vocoder", engines.VOCODER)
    engines.native(tmp_path / "recogniser.pt", "recogniser", engines.CONTENT)
    build = ["build", str(tmp_path / "student.pt"), "--steps", "1", "--target", "cpu", "-o"]
    silent = CliRunner().invoke(main, [*build, str(tmp_path / "silent.fsvc")])
    assert silent.exit_code == 0 and "it makes mels and no sound" in silent.stderr
    parts = ["--vocoder", str(tmp_path / "vocoder.pt"), "--content", str(tmp_path / "recogniser.pt")]
    whole = CliRunner().invoke(main, [*build, str(tmp_path / "whole.fsvc"), *parts])
    assert whole.stdout.splitlines()[-1] == f"next: fastsvc convert SONG.wav -m {tmp_path / 'whole.fsvc'} --spk Ada"


@pytest.mark.parametrize("steps, at", [(20, 10), (7, 7)])  # on the way, and at the end
def test_a_validation_that_fails_loses_no_step(tmp_path, steps, at):
    """Nor its own figures: the same command makes them, once."""
    make(tmp_path / "whole", steps).train()
    trainer = make(tmp_path, steps, save_every=1000)

    def broken(model):
        raise ValueError("no valid items")

    trainer.task.validate = broken
    with pytest.raises(ValueError, match="no valid items"):
        trainer.train()
    assert checkpoint.load(tmp_path / "last.pt", "recogniser")["step"] == at
    for _ in range(2):
        resumed = make(tmp_path, steps, resume=True)
        assert resumed.train()["finished"]
    whole, own = (figures_of(path / "history.jsonl", "valid") for path in (tmp_path / "whole", tmp_path))
    assert own == whole and resumed.best == min(valid["error"] for valid in whole)


def test_the_best_is_known_to_a_run_that_was_killed_right_after_it(tmp_path):
    make(tmp_path, steps=10, save_every=1000).train()
    [valid] = figures_of(tmp_path / "history.jsonl", "valid")
    assert make(tmp_path, steps=20, resume=True).best == valid["error"]


def test_the_time_left_after_a_resume_is_of_this_run_alone(tmp_path, monkeypatch):
    bars = []
    real = screen.bar
    monkeypatch.setattr(screen, "bar", lambda *given, **options: bars.append(real(*given, **options)) or bars[-1])
    log = Log("teacher", tmp_path, 90, fraction=0.9)
    (shown,) = bars
    log.advance(91, 0.91)
    assert (shown.initial, shown.n) == (90, pytest.approx(91))
    rate = (shown.n - shown.initial) / 10  # in 10 s
    assert (shown.total - shown.n) / rate == pytest.approx(90)  # not 1 s, as if 91 % had taken 10 s
    log.close()


def test_two_singers_of_few_songs_both_have_a_song_for_validation():
    """15 songs at 5 %: one song alone was for validation, so `train singer` had nobody to tell it from."""
    songs = {"a": {f"a{i}" for i in range(8)}, "b": {f"b{i}" for i in range(7)}}
    split = split_songs(songs, 0, 0.05, 0.05)
    for singer in songs.values():
        assert sum(split[song] == "valid" for song in singer) == 1
    assert list(split.values()).count("test") == 1
    many = {f"s{n}": {f"{n}-{i}" for i in range(2)} for n in range(50)}  # not half of the data
    assert list(split_songs(many, 0, 0.05, 0.05).values()).count("valid") == 5


@pytest.mark.slow
def test_teacher_and_student_can_be_heard(tmp_path):
    corpus = toy_corpus.make(tmp_path / "corpus")
    sizes = {"upsample_rates": (8, 5, 2, 2), "upsample_kernels": (16, 11, 4, 4), "initial_channels": 16}
    engines.native(tmp_path / "vocoder.pt", "vocoder", VocoderConfig(mel=corpus.mel, **sizes))
    heard = []
    task = {"denoiser": TINY, "valid_crops": 3, "valid_frames": 32, "vocoder": str(tmp_path / "vocoder.pt")}
    common = {"steps": 2, "validate_every": 2, "batch": {"size": 2, "frames": 16}}
    path = write_config(tmp_path / "teacher.yaml", corpus, task=task, **common, out=str(tmp_path / "teacher"))
    loop.run("teacher", path, on_samples=lambda step, samples: heard.append(samples))
    task = {"teacher": str(tmp_path / "teacher/last.pt"), "valid_crops": 3, "valid_frames": 32}
    task["vocoder"] = str(tmp_path / "vocoder.pt")
    path = write_config(tmp_path / "student.yaml", corpus, task=task, **common, out=str(tmp_path / "student"))
    loop.run("student", path, on_samples=lambda step, samples: heard.append(samples))
    assert {name.split("/")[0] for name in heard[0]} == {"sampled", "true", "converted"} and "one_step/0" in heard[1]
    for samples in heard:
        for sample in samples.values():
            assert sample.audio.shape == (32 * corpus.mel.hop_samples,) and sample.rate_hz == corpus.mel.rate_hz
            assert np.isfinite(sample.audio).all() and sample.mel.shape == (32, corpus.mel.bins)


def test_a_preview_is_a_conversion_where_there_are_several_singers():
    crops = {"singer": torch.tensor([0, 2, 1]), "f0_hz": torch.full((3, 4), 100.0)}
    assert listen.in_the_next_voice(crops, [None, 5, None], [110.0, 220.0, 330.0]) is None
    moved = listen.in_the_next_voice(crops, [4, None, 6], [100.0, 50.0, 300.0])  # row 1 has no songs
    assert moved["singer"].tolist() == [2, 0, 0]
    assert moved["f0_hz"][:, 0].tolist() == pytest.approx([300.0, 100 / 3, 200.0])
