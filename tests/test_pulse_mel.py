"""The mel of a pulse train: against signals, between its rows, beyond them, in a model and in its training."""

import math

import numpy as np
import pytest
import torch
from teachers import EDM, TINY, write_config
from toy_corpus import make

from fastsvc import build
from fastsvc.artifact import engine_folder
from fastsvc.audio.mel import filter_bank, log_mel
from fastsvc.config import (
    AcousticConfig,
    ConditionConfig,
    DenoiserConfig,
    FeatureConfig,
    MelConfig,
    NormConfig,
    from_dict,
    to_dict,
)
from fastsvc.errors import CheckpointError
from fastsvc.model import pulse_mel
from fastsvc.model.acoustic import AcousticModel
from fastsvc.training import checkpoint, run, start
from fastsvc.training.teacher import TeacherTask

MEL = MelConfig(rate_hz=16000, hop_samples=160, fft_samples=512, window_samples=400, bins=56, low_hz=20, high_hz=8000)


def harmonics(f0_hz: float, generator) -> torch.Tensor:
    """[3 s of samples], float64, of random phases."""
    t = torch.arange(3 * MEL.rate_hz).double() / MEL.rate_hz
    amplitude = 2 * pulse_mel.LEVEL * math.sqrt(f0_hz / MEL.rate_hz)
    audio = torch.zeros_like(t)
    for k in range(1, math.ceil(MEL.rate_hz / 2 / f0_hz)):
        audio += amplitude * torch.cos(2 * torch.pi * (k * f0_hz * t + torch.rand(1, generator=generator)))
    return audio


@pytest.mark.parametrize("index", [215, 350, 580])  # 111, 242 and 912 Hz
def test_a_row_is_the_mel_of_the_mean_power_over_phases(index):
    generator, power = torch.Generator().manual_seed(0), 0.0
    f0_hz = pulse_mel.LOWEST_HZ * 2 ** (index / pulse_mel.PER_OCTAVE)
    for _ in range(8):
        window = torch.hann_window(MEL.window_samples).double()
        spectra = torch.stft(
            harmonics(f0_hz, generator), 512, 97, MEL.window_samples, window, center=False, return_complex=True
        )
        power = power + spectra.abs().square().mean(-1) / 8
    expected = torch.log10((torch.from_numpy(filter_bank(MEL)).double() @ (power + 1e-9).sqrt()).clamp(min=MEL.clip))
    rows = pulse_mel.table(MEL, NormConfig((-1.0,), (1.0,)))  # the normalisation that changes nothing
    assert (rows[index] - expected).abs().max() < 0.01 and expected.std() > 0.03


def test_where_harmonics_are_apart_a_row_is_the_mel_of_any_such_sound():
    audio = harmonics(600.0, torch.Generator().manual_seed(1)).float()
    expected = log_mel(audio[None], MEL)[0, 20:-20].mean(0)
    row = pulse_mel.interpolated(pulse_mel.table(MEL, NormConfig((-1.0,), (1.0,))), torch.tensor(600.0), torch.ones(()))
    loud = expected > expected.max() - 1.5  # in the valleys between them phases count
    assert loud.sum() > 20 and expected[~loud].any()
    assert (row - expected)[loud].abs().max() < 0.1 and (row - expected).abs().mean() < 0.05


def test_between_rows_lines_beyond_them_constants_unvoiced_zeros():
    norm = NormConfig(tuple(np.linspace(-5, -3, 56)), tuple(np.linspace(0, 1, 56)))
    rows = pulse_mel.table(MEL, norm)
    assert rows.shape == (pulse_mel.ROWS, 56) and rows.abs().max() < 4
    half_way = pulse_mel.LOWEST_HZ * 2 ** (torch.tensor([[6.5, 0.25]]) / pulse_mel.PER_OCTAVE)
    got = pulse_mel.interpolated(rows, half_way, torch.tensor([[1.0, 0.5]]))
    torch.testing.assert_close(got[0, 0], (rows[6] + rows[7]) / 2, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(got[0, 1], (0.75 * rows[0] + 0.25 * rows[1]) / 2, rtol=1e-3, atol=1e-4)
    beyond = pulse_mel.interpolated(rows, torch.tensor([0.0, 31.0, 1e4, 440.0]), torch.tensor([1.0, 1.0, 1.0, 0.0]))
    assert torch.equal(beyond, torch.stack([rows[0], rows[0], rows[-1], 0 * rows[0]]))
    scaled = (pulse_mel.table(MEL, NormConfig((-1.0,), (1.0,))) - torch.tensor(norm.low)) / (
        torch.tensor(norm.high) - torch.tensor(norm.low)
    ) * 2 - 1
    torch.testing.assert_close(rows, scaled, check_dtype=False, rtol=1e-5, atol=1e-5)


def model(pulses: bool) -> AcousticModel:
    torch.manual_seed(3)
    condition = ConditionConfig(unit_channels=3, channels=8, speakers=2, key_shift=False, pulses=pulses)
    denoiser = DenoiserConfig(mel_bins=56, channels=8, layers=2, cond_channels=8)
    config = AcousticConfig(
        mel=MEL, features=FeatureConfig(unit_channels=3), condition=condition, denoiser=denoiser, edm=EDM
    )
    return AcousticModel(config).requires_grad_(False)


def test_the_model_with_pulses_begins_as_without_and_then_depends_on_them():
    plain, pulsed = model(False), model(True)
    pulsed.load_state_dict(plain.state_dict() | {start.PULSES: torch.zeros(8, 56)})  # the table is not stored
    units, volume, f0_hz = torch.randn(2, 5, 3), torch.rand(2, 5), 100 + 400 * torch.rand(2, 5)
    voiced, speaker = torch.tensor([[1.0, 1, 0, 1, 0], [0, 1, 1, 1, 1]]), torch.tensor([0, 1])
    before = plain.condition(units, f0_hz, volume, speaker)
    assert torch.equal(pulsed.condition(units, f0_hz, volume, speaker, voiced=voiced), before)
    pulsed.condition.pulse_embed.weight.normal_()
    change = pulsed.condition(units, f0_hz, volume, speaker, voiced=voiced) - before
    assert not change[voiced == 0].any() and (change[voiced == 1].abs().amax(-1) > 0.5).all()
    mel = pulse_mel.interpolated(pulsed.condition.pulses, f0_hz, voiced)
    torch.testing.assert_close(change, mel @ pulsed.condition.pulse_embed.weight.T, rtol=1e-4, atol=1e-4)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return make(tmp_path_factory.mktemp("corpus") / "toy")


def test_a_teacher_with_pulses_continues_one_without(corpus, tmp_path):
    first = TeacherTask({"denoiser": TINY}, corpus, "cpu")
    state, config = first.model.state_dict(), first.config_for_checkpoint()
    assert start.PULSES not in state
    assert "pulses" not in config["condition"]  # as in older checkpoints
    checkpoint.save(
        tmp_path / "old.pt",
        kind="teacher",
        step=1,
        config={"model": config, "train": first.of_corpus()},
        speakers=first.speakers,
        speaker_f0_hz=first.speaker_f0_hz,
        model=state,
        ema=state,
    )
    settings = {"init": str(tmp_path / "old.pt")}
    task = TeacherTask(settings | {"pulses": True}, corpus, "cpu")
    assert task.model.config.condition.pulses and not task.model.get_parameter(start.PULSES).any()
    assert [note for note in task.notes if "no weights for pulses: they start from zeros" in note]
    batch = task.batch(np.random.default_rng(0))
    plain = TeacherTask(settings, corpus, "cpu")
    assert not plain.model.config.condition.pulses and not plain.notes
    assert torch.equal(task.condition(task.model, batch), plain.condition(plain.model, batch))
    torch.nn.init.normal_(task.model.denoiser.output_projection.weight)
    task.turns(0)[0].loss(batch, 0)[0].backward()
    assert task.model.get_parameter(start.PULSES).grad.abs().max() > 0


def test_configurations_without_pulses_stay_as_they_were():
    plain, pulsed = (ConditionConfig(pulses=pulses) for pulses in (False, True))
    assert "pulses" not in to_dict(plain) and to_dict(pulsed)["pulses"] is True
    assert [from_dict(ConditionConfig, to_dict(c)) for c in (plain, pulsed)] == [plain, pulsed]


@pytest.mark.slow
def test_pulses_are_learnt_resumed_distilled_and_built(corpus, tmp_path):
    """From a run of nothing to an engine, whose verification compares it with the specification."""
    crops = {"valid_crops": 2, "valid_frames": 16}
    teacher = {"denoiser": TINY, "pulses": True, **crops}
    common = {"batch": {"size": 2, "frames": 32}, "save_every": 2, "validate_every": 4}
    path = write_config(tmp_path / "teacher.yaml", corpus, steps=2, task=teacher, **common)
    run("teacher", path)
    path = write_config(tmp_path / "teacher.yaml", corpus, steps=4, task=teacher, **common)
    run("teacher", path, resume=True)
    last = tmp_path / "run" / "last.pt"
    content = checkpoint.load(last)
    assert content["step"] == 4 and "condition.pulses" not in content["model"] and content["ema"][start.PULSES].any()
    without = write_config(tmp_path / "teacher.yaml", corpus, steps=5, task=teacher | {"pulses": False}, **common)
    with pytest.raises(CheckpointError, match=r"condition\.pulses True there, none now"):
        run("teacher", without, resume=True)
    (tmp_path / "student").mkdir()
    task = {"teacher": str(last), **crops}
    run("student", write_config(tmp_path / "student" / "student.yaml", corpus, steps=1, task=task, **common))
    student = tmp_path / "student" / "run" / "last.pt"
    path = build.compile(student, tmp_path / "a.fsvc", steps=(1,), target="cpu", precision="fp32", progress=None)
    assert "condition.pulses" in engine_folder.Artifact(path).tensors(engine_folder.WEIGHTS)
