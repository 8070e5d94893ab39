"""Amphion's DiffComoSVC: what its own modules made of tests/amphion_files.py's checkpoint."""

import itertools
import re

import amphion_files as made
import golden
import numpy as np
import pytest
import torch
from rooms import ROOT

from fastsvc import build, load
from fastsvc.build.passes import measure
from fastsvc.checkpoints import read
from fastsvc.commands import inspect
from fastsvc.engine.cpu.sampler import Features, SeededNoise
from fastsvc.errors import CheckpointError, EngineError
from fastsvc.features import align
from fastsvc.model import amphion
from fastsvc.model.acoustic import AcousticModel

GOLDEN = golden.arrays("amphion_small")
CASES = [("student", 1), ("student", 2), ("teacher", 4)]
SINGER = 2


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    folder = tmp_path_factory.mktemp("amphion")
    return {role: made.experiment(folder / role, student=role == "student") for role in ("student", "teacher")}


@pytest.fixture(scope="module")
def engines(folders):
    made_of = {}
    for role, steps in (("student", (1, 2)), ("teacher", (1, 4))):
        out = build.compile(folders[role], steps=steps, progress=None)
        assert out == folders[role] / "pytorch_model.fsvc"
        made_of[role] = load(out)
    return made_of


def specification(folder) -> AcousticModel:
    checkpoint = read(folder)
    model = AcousticModel(checkpoint.config)
    model.load_state_dict(checkpoint.tensors)
    return model.eval()


def condition(model, frames: int):
    heard = made.features(frames)
    rows = (heard[name][None] for name in ("units", "f0_hz", "energy"))
    return model.condition(*rows, torch.tensor([SINGER]))


@pytest.mark.slow
@pytest.mark.parametrize("frames", [1, 37])
@pytest.mark.parametrize("role", ["student", "teacher"])
@torch.no_grad()
@pytest.mark.sampled(4)
def test_condition_and_denoiser(folders, role, frames):
    model = specification(folders[role])
    cond, noise = condition(model, frames), GOLDEN[f"noise_T{frames}"]
    assert golden.relative(cond[0], GOLDEN[f"cond_T{frames}"]) < 1e-5
    denoised = model.denoise(noise[:1], 0.7, cond)
    assert golden.relative(denoised[0], GOLDEN[f"denoised_{role}_T{frames}"]) < 1e-5


@pytest.mark.parametrize("frames", [1, 37])
@pytest.mark.parametrize("role, steps", CASES)
@torch.no_grad()
def test_specification(folders, role, steps, frames):
    model = specification(folders[role])
    noise = GOLDEN[f"noise_T{frames}"]
    method = "euler" if role == "teacher" else "consistency"
    mel = model.sample(condition(model, frames), steps, lambda step: noise[None, step], method)
    assert golden.relative(mel[0], GOLDEN[f"{role}_T{frames}_steps{steps}"]) < 1e-5


@pytest.mark.parametrize("frames", [1, 37])
@pytest.mark.parametrize("role, steps", CASES)
def test_engine(engines, role, steps, frames):
    heard, noise = made.features(frames), GOLDEN[f"noise_T{frames}"]
    rows = heard["units"], heard["f0_hz"], heard["energy"]
    audio, mel = engines[role].synthesise(*rows, "m4singer_Alto-1", steps, noise=noise)
    want = GOLDEN[f"{role}_T{frames}_steps{steps}"]
    assert audio is None and golden.relative(mel, want) < 1e-5
    # f0 that is filled in where nothing is voiced means the same
    voiced = heard["f0_hz"] > 0
    filled = torch.where(voiced, heard["f0_hz"], torch.tensor(300.0))
    other = engines[role].synthesise(rows[0], filled, rows[2], SINGER, steps, noise=noise, voiced=voiced)[1]
    assert torch.equal(other, mel)


def test_fp16(folders, tmp_path):
    """Rounded weights move quantised features nowhere, so the result stays near."""
    out = build.compile(folders["student"], tmp_path / "half.fsvc", steps=(1,), precision="fp16", progress=None)
    heard = made.features(37)
    mel = load(out).synthesise(*heard.values(), SINGER, noise=GOLDEN["noise_T37"])[1]
    assert golden.relative_rms(mel, GOLDEN["student_T37_steps1"]) < 2e-3  # measured: 4.3e-4


def test_blocks_change_nothing(engines):
    """Longer than a stretch of the condition, cut into blocks for the denoiser."""
    frames = 1000
    heard, sampler = made.features(frames), engines["student"].sampler
    features = Features(heard["units"], torch.arange(frames), heard["f0_hz"], heard["f0_hz"] > 0, heard["energy"])
    voice, draw = sampler.condition.speaker({0: 0.25, 1: 0.75}), SeededNoise(3, 20)
    whole = sampler(features, voice, 2, draw, block=10**6)
    assert golden.relative(sampler(features, voice, 2, draw, block=123), whole) < 1e-5
    # the stretches that the condition is made of: 10 s from either end, faded over what they share
    size, apart = 938, frames - 938
    pieces = [
        sampler.condition(
            heard["units"][a:b], heard["f0_hz"][a:b], heard["energy"][a:b], heard["f0_hz"][a:b] > 0, voice
        )
        for a, b in ((0, size), (apart, frames))
    ]
    cond = sampler.condition.of_recording(features, voice)
    assert torch.allclose(cond[:apart], pieces[0][:apart], atol=1e-6)
    assert torch.allclose(cond[size:], pieces[1][size - apart :], atol=1e-6)
    middle = frames // 2
    assert torch.allclose(cond[middle], (pieces[0][middle] + pieces[1][middle - apart]) / 2, atol=1e-5)


@pytest.mark.parametrize("frames", [1, 937, 938, 939, 1782, 1783, 5000])
def test_segments_cover_and_overlap(frames):
    places = amphion.segments(frames, 938, 94)
    assert places[0][0] == 0 and places[-1][1] == frames
    for (_, end), (start, _) in itertools.pairwise(places):
        assert end - start >= 94
    ones = amphion.faded(frames, 938, 94, lambda start, end: torch.ones(end - start, 2))
    assert torch.allclose(ones, torch.ones(frames, 2))


@pytest.mark.parametrize("units, frames", [(1, 1), (5, 9), (20, 38), (20, 37), (20, 33), (20, 45), (300, 563)])
def test_average_alignment(units, frames):
    """As Amphion's offline_align is described: repeat by one hop, average by the other, repeat the last."""
    content = np.random.RandomState(units).standard_normal((units, 3)).astype(np.float32)
    fine = np.repeat(content, 15, axis=0)  # 20 ms are 480 samples, a frame is 256: 15 and 8 pieces of 32
    fine = fine[: len(fine) // 8 * 8].reshape(-1, 8, 3).mean(axis=1)
    want = np.concatenate([fine, np.repeat(fine[-1:], max(0, frames - len(fine)), axis=0)])[:frames]
    got = align.align(torch.from_numpy(content), frames, "average", ratio=256 * 50 / 24000)
    assert np.allclose(got.numpy(), want, atol=1e-6)


def test_units_at_their_own_rate(engines):
    heard, units = made.features(37), made.features(20)["units"]
    engine, rest = engines["student"], (heard["f0_hz"], heard["energy"], SINGER)
    aligned = align.align(units, 37, "average", ratio=256 * 50 / 24000)
    assert torch.equal(engine.synthesise(units, *rest)[1], engine.synthesise(aligned, *rest)[1])


def test_what_cannot_be_heard_is_said(engines):
    with pytest.raises(EngineError, match="units of whisper and contentvec") as caught:
        engines["student"].convert(np.zeros(2400, np.float32), 24000, SINGER)
    assert "synthesise" in str(caught.value) and "\n" not in str(caught.value)
    engines["student"].warm_up(0.1)


def test_checkpoint(folders):
    checkpoint = read(folders["student"])
    assert (checkpoint.format, checkpoint.kind, checkpoint.step) == ("amphion", "student", 4321)
    assert checkpoint.path == folders["student"] / "pytorch_model.bin"
    assert checkpoint.speakers == ("opencpop_female1", "svcc_CDF1", "m4singer_Alto-1")
    assert checkpoint.config.mel.log_base == "e" and checkpoint.config.features.encoder == "whisper+contentvec"
    raw = made.state()
    name = "1.decoder.denoise_fn_ema.neural_network.residual_blocks.3.out_proj.weight"
    assert torch.equal(checkpoint.tensors["denoiser.residual_layers.3.output_projection.weight"], raw[name])
    assert not any("pretrained" in key for key in checkpoint.tensors)
    assert read(folders["teacher"] / "pytorch_model.bin").kind == "teacher"


def test_inspect(folders, engines):
    text = inspect.describe(folders["student"])
    assert "Amphion DiffComoSVC checkpoint, student, step 4321" in text and "Conformer, 3 layers × 48 channels" in text
    assert "2  m4singer_Alto-1" in text and "dilation cycle 4" in text
    assert "amphion student" in inspect.describe(engines["student"].path)


def test_other_containers(tmp_path, folders):
    from safetensors.torch import save_file

    folder = made.experiment(tmp_path / "a", student=False)
    (folder / "pytorch_model.bin").unlink()
    save_file(
        {"module." + name: value for name, value in made.state(student=False).items()}, folder / "model.safetensors"
    )
    theirs, ours = read(folder).tensors, read(folders["teacher"]).tensors
    assert all(torch.equal(theirs[name], ours[name]) for name in ours)
    (folder / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:-9])
    with pytest.raises(CheckpointError, match="model.safetensors cannot be read"):
        read(folder)


@pytest.mark.slow
@pytest.mark.long
def test_full_size(tmp_path, monkeypatch):
    """The documented recipe, 37.5 M parameters: it builds, and the engine agrees with the specification."""
    size = made.Sizes()
    folder = made.experiment(tmp_path / "full", size, student=False)
    checkpoint = read(folder)
    assert checkpoint.parameters == 37_512_263 - (512 - 3) * 384  # three of 512 singers have names
    network = {n: t for n, t in checkpoint.tensors.items() if n.startswith("denoiser.") and "mlp" not in n}
    assert round(sum(t.numel() for t in network.values()) / 1e6, 1) == 25.4  # BiDilConv without its step embedding
    assert checkpoint.config.denoiser.halo_frames == 75
    monkeypatch.setitem(measure.SECONDS_OF_AUDIO, "denoiser", 0.2)
    out = build.compile(folder, steps=(1,), progress=None)
    heard = made.features(11, size)
    noise = torch.randn(1, 11, 100, generator=torch.Generator().manual_seed(5))
    mel = load(out).synthesise(*heard.values(), SINGER, noise=noise)[1]
    model = specification(folder)
    with torch.no_grad():
        cond = model.condition(*(row[None] for row in heard.values()), torch.tensor([SINGER]))
        want = model.sample(cond, 1, lambda step: noise[None, step], "euler")
    # One Euler step from σ = 80 subtracts numbers near 300 in float32: one bit there is 6e-5 of the mel's swing.
    assert golden.relative(mel, want[0]) < 3e-4 and golden.relative_rms(mel, want[0]) < 5e-5


def test_each_room_asks_once_which_condition_a_model_has():
    """Of the engine each device, and the checkpoints' reader, which makes such a configuration, not at all."""
    asked = {}
    for folder in ("fastsvc", "build", "kernels"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            places = re.findall(r"\.amphion is (?:not )?None", path.read_text(encoding="utf-8"))
            if places:
                asked.setdefault(path.relative_to(ROOT).parent.as_posix(), []).extend([path.name] * len(places))
    assert asked == {
        "build/passes": ["fold.py"],
        "fastsvc/artifact": ["lowered.py"],
        "fastsvc/commands": ["inspect_lines.py"],
        "fastsvc/config": ["acoustic.py"],
        "fastsvc/engine/cpu": ["conditions.py"],
        "fastsvc/engine/cuda": ["conditions.py"],
        "fastsvc/model": ["acoustic.py"],
    }
