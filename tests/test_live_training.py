"""Trainings of networks with a short future: they start from whole ones and come nearer to what those give."""

import numpy as np
import pytest
import torch
from phone_corpus import PhoneCorpus, train
from toy_corpus import MEL, make

from fastsvc.checkpoints import read
from fastsvc.config import (
    AcousticConfig,
    ConditionConfig,
    DenoiserConfig,
    EdmConfig,
    FeatureConfig,
    RecogniserConfig,
    SourceFilterConfig,
    from_dict,
    to_dict,
)
from fastsvc.errors import CheckpointError, ConfigError
from fastsvc.model.acoustic import AcousticModel
from fastsvc.model.encoder_hash import KnownEncoder
from fastsvc.model.recogniser import Recogniser
from fastsvc.model.source_filter import SourceFilter
from fastsvc.training import checkpoint
from fastsvc.training.live.content import LiveContentTask
from fastsvc.training.live.denoiser import LiveStudentTask
from fastsvc.training.live.vocoder import LiveVocoderTask
from fastsvc.training.task import task_class

PHONES = ("<blank>", "aa", "iy", "ow")
LOOP = {"batch_size": 3, "batch_frames": 40}


def saved(path, kind: str, model, config, speakers=(), **train_facts) -> str:
    """The path of a checkpoint of ``model``."""
    state, f0_hz = model.state_dict(), [200.0] * len(speakers)
    config = {"model": to_dict(config), "train": train_facts}
    common = {"speakers": speakers, "speaker_f0_hz": f0_hz, "model": state, "ema": state}
    checkpoint.save(path, kind=kind, step=1, config=config, **common)
    return str(path)


def recogniser(path, bottleneck=8) -> str:
    torch.manual_seed(0)
    config = RecogniserConfig(phones=PHONES, channels=16, layers=3, bottleneck=bottleneck)
    return saved(path, "recogniser", Recogniser(config), config)


def test_future_frames_choose_the_task():
    assert task_class("recogniser", {"future_frames": 2}) is LiveContentTask
    assert task_class("student", {"future_frames": 2, "teacher": "a.pt"}) is LiveStudentTask
    assert task_class("vocoder", {"future_frames": 0, "model": {"family": "source_filter"}}) is LiveVocoderTask
    assert task_class("student", {"teacher": "a.pt"}) is not LiveStudentTask


def test_content(tmp_path):
    settings = {"teacher": recogniser(tmp_path / "r.pt"), "future_frames": 1, "valid_batches": 1}
    calm = {"reverb": 0.0, "noise": 0.0, "codec": 0.0, "saturation": 0.0, "time_masks": 0, "mel_masks": 0}
    task = LiveContentTask(settings | {"augment": calm, "posteriors": 0.0}, PhoneCorpus(), "cpu", **LOOP)
    with torch.no_grad():
        for block in task.model.trunk.blocks:  # a start that is off
            block.out.weight.add_(0.2 * torch.randn_like(block.out.weight))
        before = task.validate(task.model.eval())
    train(task, 8, lr=1e-3)
    with torch.no_grad():
        after = task.validate(task.model.eval())
    assert after["unit_distance"] < 0.9 * before["unit_distance"]
    assert set(after) == {"unit_distance", "phone_error_rate", "teacher_phone_error_rate"}
    assert from_dict(RecogniserConfig, task.config_for_checkpoint()).future_frames == 1
    whole = read(task.settings.teacher)
    assert task.of_corpus()["units_of"][0] == KnownEncoder(whole.config, whole.tensors).exact
    assert all(p.grad is None for p in task.teacher.parameters())


def test_vocoder(tmp_path):
    config = SourceFilterConfig(mel=PhoneCorpus.mel, channels=16, blocks=2, bands=24)
    torch.manual_seed(0)
    teacher = SourceFilter(config)
    torch.nn.init.normal_(teacher.leave.weight, std=0.1)
    settings = {"teacher": saved(tmp_path / "v.pt", "vocoder", teacher, config), "future_frames": 0}
    task = LiveVocoderTask(settings | {"valid_batches": 1}, PhoneCorpus(), "cpu", **LOOP)
    with torch.no_grad():
        task.model.leave.weight.add_(0.1 * torch.randn_like(task.model.leave.weight))  # a start that is off
        before = task.validate(task.model.eval())
        train_from = task.model.enter.weight.clone()
    train(task, 12, lr=2e-3)
    with torch.no_grad():
        after = task.validate(task.model.eval())
    assert after["to_teacher"] < 0.9 * before["to_teacher"] and not torch.equal(task.model.enter.weight, train_from)
    assert task.config_for_checkpoint()["future_frames"] == 0
    with pytest.raises(ConfigError, match=r"task\.teacher is no source-filter vocoder"):
        from fastsvc.config import VocoderConfig
        from fastsvc.model.modules import module

        other = VocoderConfig(initial_channels=16)
        path = saved(tmp_path / "g.pt", "vocoder", module("vocoder", other), other)
        LiveVocoderTask({"teacher": path, "future_frames": 0}, PhoneCorpus(), "cpu", **LOOP)


def test_student(tmp_path):
    corpus = make(tmp_path / "corpus")
    config = AcousticConfig(
        mel=MEL,
        features=FeatureConfig(unit_channels=3),
        condition=ConditionConfig(unit_channels=3, channels=8, speakers=2, key_shift=False, voicing=True),
        denoiser=DenoiserConfig(mel_bins=MEL.bins, channels=16, layers=3, cond_channels=8, dilation_cycle=3),
        edm=EdmConfig(sigma_data=0.1, sigma_max=20.0),
        norm=type(AcousticConfig().norm)(low=(-5.0,) * MEL.bins, high=(0.0,) * MEL.bins),
    )
    torch.manual_seed(0)
    teacher = AcousticModel(config)
    torch.nn.init.normal_(teacher.denoiser.output_projection.weight, std=0.3)
    paths = {
        "teacher": saved(tmp_path / "s.pt", "student", teacher, config, corpus.singers, encoder="toy"),
        "content": recogniser(tmp_path / "r.pt", bottleneck=3),
    }
    sizes = {"valid_crops": 2, "valid_frames": 40, "lower": 0.5}
    task = LiveStudentTask(paths | sizes | {"future_frames": 1}, corpus, "cpu", **LOOP)
    batch = task.batch(np.random.default_rng(0))
    assert batch["live_units"].shape == batch["units"].shape == (3, 40, 3) and "audio" not in batch
    with torch.no_grad():
        before = task.validate(task.model.eval())
    train(task, 25, lr=3e-3)
    with torch.no_grad():
        after = task.validate(task.model.eval())
    assert after["to_teacher"] < 0.95 * before["to_teacher"]
    assert after["teacher_mel_l1"] == before["teacher_mel_l1"]
    assert (task.model.config.denoiser.future_frames, task.model.config.features.f0_future_frames) == (1, 1)
    assert task.of_corpus()["encoder"] != "toy"  # units are those of the live encoder from here on
    with pytest.raises(CheckpointError, match="holds a student, not a recogniser"):
        LiveStudentTask(paths | sizes | {"content": paths["teacher"]}, corpus, "cpu", **LOOP)
    narrow = recogniser(tmp_path / "n.pt", bottleneck=4)
    other = torch.load(paths["content"], weights_only=True)
    other["config"]["train"]["units_of"] = ["of another", "and rounded"]
    torch.save(other, tmp_path / "o.pt")
    for content in (narrow, str(tmp_path / "o.pt")):  # other channels; the units of another encoder
        with pytest.raises(ConfigError, match=r"did not learn the units of .*corpus, on which .*s\.pt was trained"):
            LiveStudentTask(paths | sizes | {"content": content}, corpus, "cpu", **LOOP)
    other["config"]["train"]["units_of"] = ["toy", "and rounded"]
    torch.save(other, tmp_path / "o.pt")
    LiveStudentTask(paths | sizes | {"content": str(tmp_path / "o.pt")}, corpus, "cpu", **LOOP)
