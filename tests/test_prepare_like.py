"""`fastsvc prepare --like`: a corpus with the mel, features and units of a voice, and early refusals."""

from dataclasses import replace

import ddsp_golden
import engines
import flows
import huberts
import numpy as np
import pytest
import soundfile
import torch
import yaml
from command_line import run

from fastsvc.commands import corpus_recipe
from fastsvc.config import to_dict
from fastsvc.data.corpus import Corpus
from fastsvc.data.units import encoder_hash
from fastsvc.errors import CheckpointError, ConfigError
from fastsvc.training.task import task_class


@pytest.fixture(scope="module")
def voice(tmp_path_factory):
    """(a file of DDSP-SVC 6 whose f0 needs no weights, a HuBERT of its units)."""
    folder = tmp_path_factory.mktemp("voice")
    path = ddsp_golden.write(folder / "exp")
    settings = path.with_name("config.yaml")
    values = yaml.safe_load(settings.read_text())
    values["data"] |= {"encoder": "contentvec24l3", "f0_extractor": "parselmouth"}
    settings.write_text(yaml.safe_dump(values))
    return path, huberts.huggingface(folder / "hub", replace(huberts.TINY, projection=24))


def songs(folder):
    for singer, f0_hz in (("1", 200.0), ("2", 300.0)):
        for song in range(2):
            (folder / singer).mkdir(parents=True, exist_ok=True)
            time = np.arange(13000) / 22050
            soundfile.write(folder / singer / f"{song}.wav", 0.3 * np.sin(2 * np.pi * (f0_hz + song) * time), 22050)
    return folder


@pytest.mark.slow
def test_a_corpus_for_a_voice_of_another_project(voice, tmp_path):
    """Mel, f0 and units are the voice's, so a student of it can be trained at once."""
    path, content = voice
    shown = run(
        "prepare",
        songs(tmp_path / "songs"),
        "-o",
        tmp_path / "corpus",
        "--jobs",
        1,
        "--like",
        path,
        "--encoder",
        content,
    )
    corpus = Corpus(tmp_path / "corpus")
    assert (corpus.mel.rate_hz, corpus.mel.hop_samples, corpus.mel.bins, corpus.mel.log_base) == (44100, 64, 16, "e")
    features = corpus.features
    assert (features.unit_align, features.f0_style, features.f0_low_hz) == ("round", "diffusion_svc", 65.0)
    assert corpus.encoder["name"] == "vec24l3" and corpus.items[0].units.shape[1] == 24
    assert "next: fastsvc train" in shown.output
    settings = {"teacher": str(path), "valid_crops": 1, "valid_frames": 24}
    task = task_class("student", settings)(settings, corpus, "cpu", batch_size=2, batch_frames=24)
    assert task.speakers == ["1", "2", "speaker 3"]
    loss, _ = task.turns(0)[0].loss(task.batch(np.random.default_rng(0)), 0)
    assert bool(loss.isfinite())


def test_what_does_not_fit_is_refused_before_any_work(voice, tmp_path):
    path, content = voice
    recogniser = engines.native(tmp_path / "recogniser.pt", "recogniser", engines.CONTENT)
    wide = huberts.huggingface(tmp_path / "wide", huberts.TINY)
    for encoder, part in ((recogniser, "units recogniser of 6 channels"), (wide, "has 24 channels")):
        with pytest.raises((CheckpointError, ConfigError), match=part):
            corpus_recipe.of(None, str(path)).encoder(str(encoder))
    with pytest.raises(CheckpointError, match="a recogniser as content encoder|holds a hubert"):
        corpus_recipe.of(None, None).encoder(str(content))
    with pytest.raises(ConfigError, match="both choose mel and features"):
        corpus_recipe.of("x.yaml", str(path))
    with pytest.raises(CheckpointError, match="not a voice with a mel"):
        corpus_recipe.of(None, str(recogniser))
    assert not (tmp_path / "corpus").exists()


def test_a_voice_of_our_own_wants_its_own_encoder(tmp_path):
    right, wrong = (
        engines.native(tmp_path / f"{seed}.pt", "recogniser", engines.CONTENT, seed=seed) for seed in (1, 2)
    )
    known = encoder_hash(corpus_recipe.CorpusRecipe().encoder(str(right)))
    teacher = engines.native(tmp_path / "t.pt", "teacher", engines.ACOUSTIC)
    content = torch.load(teacher, weights_only=True)
    content["config"]["train"] = {"encoder": known}
    torch.save(content, teacher)
    recipe = corpus_recipe.of(None, str(teacher))
    assert recipe.parts == {"mel": engines.ACOUSTIC.mel, "features": engines.ACOUSTIC.features}
    assert recipe.encoder(str(right)).channels == 6
    with pytest.raises(CheckpointError, match="not the content encoder that .*t.pt was trained on"):
        recipe.encoder(str(wrong))


def test_damaged_settings_of_a_run_are_refused_in_one_line(tmp_path):
    """A checkpoint's ``config.train`` may hold anything that torch saves."""
    corpus, model, path = flows.corpus(tmp_path / "corpus"), flows.model(), tmp_path / "flow.pt"
    content = {
        "format": "fastsvc",
        "version": 1,
        "kind": "teacher",
        "step": 1,
        "speakers": ["1", "2", "3"],
        "model": {},
        "ema": model.state_dict(),
    }
    settings = {"teacher": str(path), "valid_crops": 1, "valid_frames": 24}
    for train, fault in (
        ({"encoder": 3}, "config.train.encoder is 3"),
        ({"speaker_base": "1"}, "config.train.speaker_base is '1'"),
        ({"speaker_base": torch.ones(2)}, "config.train.speaker_base is <Tensor>"),
        ("nothing", None),  # as if there were none
        (torch.ones(2), None),
    ):
        torch.save({**content, "config": {"model": to_dict(model.config), "train": train}}, path)
        for use in (
            lambda: corpus_recipe.of(None, str(path)),
            lambda: task_class("student", settings)(settings, corpus, "cpu", batch_size=2, batch_frames=24),
        ):
            if fault is None:
                use()
                continue
            with pytest.raises(CheckpointError) as caught:
                use()
            assert fault in str(caught.value) and "\n" not in str(caught.value)
