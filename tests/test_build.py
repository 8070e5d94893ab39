"""The compiler: its passes, what it refuses, what it writes, and that verification can fail."""

import dataclasses
import json

import engines
import golden
import pytest
import torch

from fastsvc import build, load
from fastsvc.artifact import engine_folder, lowered
from fastsvc.build.passes import verify
from fastsvc.build.passes.fold import fold_pass
from fastsvc.build.passes.lower import lower_pass
from fastsvc.build.passes.read import check_pass, read_pass
from fastsvc.build.plan import BuildPlan
from fastsvc.commands.inspect import describe
from fastsvc.config import MelConfig
from fastsvc.engine.cpu import denoiser_bf16
from fastsvc.engine.cpu.denoiser import CpuDenoiser
from fastsvc.errors import CheckpointError, ConfigError, EngineError, OutputError

SMALL = golden.FOLDER / "comosvc_small"
M4GAN = golden.FOLDER / "m4gan_small" / "model_ckpt_steps_1970000.ckpt"


@pytest.fixture
def plan(tmp_path):
    plan = BuildPlan(
        checkpoint=SMALL / "student.pt", out=tmp_path / "a.fsvc", vocoder_path=M4GAN, say=lambda line: None
    )
    for step in (read_pass, check_pass, fold_pass, lower_pass):
        plan = step(plan)
    return plan


def test_lowered_shapes(plan):
    tensors = plan.tensors[engine_folder.WEIGHTS]
    assert {name: tuple(t.shape) for name, t in tensors.items()} == lowered.shapes(plan.acoustic_config, 5)
    assert plan.levels == sorted(plan.levels, reverse=True) and len(plan.levels) == 5  # 80 twice, nearly: float32
    assert all(t.dtype == torch.float32 and t.is_contiguous() for t in tensors.values())


@pytest.mark.slow
@pytest.mark.parametrize(
    "name, index, where",
    [
        ("condition.speakers", 0, "condition of speaker 0"),
        ("input.bias", 0, "input"),
        ("conv.weight", 0, "layer 0"),
        ("conv.weight", 2, "layer 2"),
        ("residual.weight", 1, "layer 1"),
        ("conv.weight", 3, "skip"),
        ("skip.weight", 0, "skip"),
        ("output.bias", 0, "output at sigma 80"),
        ("steps.vectors", 0, "layer 0"),
    ],
)
def test_verification_names_the_first_layer_that_differs(plan, name, index, where):
    assert verify.verify_pass(plan).verified["acoustic"] < 1e-6
    plan.tensors[engine_folder.WEIGHTS][name][index].mul_(1.001)
    with pytest.raises(EngineError, match=f"^{where} of the compiled model"):
        verify.verify_pass(plan)


def test_verification_of_the_vocoder_can_fail(plan):
    plan.tensors[engine_folder.VOCODER]["resblocks.4.convs1.1.bias"] = torch.randn(16)
    with pytest.raises(EngineError, match="vocoder's output"):
        verify.verify_pass(plan)


def test_verification_of_the_content_encoder_can_fail(tmp_path):
    engines.build_engine(tmp_path)
    given = {"checkpoint": tmp_path / "student.pt", "out": tmp_path / "b.fsvc", "steps": (1,)}
    plan = BuildPlan(**given, content_path=tmp_path / "recogniser.pt", say=lambda line: None)
    for step in (read_pass, check_pass, fold_pass, lower_pass, verify.verify_pass):
        plan = step(plan)
    assert plan.verified["content"] == 0
    plan.tensors[engine_folder.CONTENT]["bottleneck.bias"] = torch.randn(6)
    with pytest.raises(EngineError, match="content encoder's units"):
        verify.verify_pass(plan)


def test_long_schedules_are_verified_at_a_few_levels():
    levels = [float(i) for i in range(50, 0, -1)]
    assert (
        len(verify.spread_levels(levels)) == 8
        and verify.spread_levels(levels)[0] == 50
        and verify.spread_levels(levels)[-1] == 1
    )
    assert verify.spread_levels(levels[:8]) == levels[:8]


def test_nan_fails_verification():
    want = [("a", torch.ones(3))]
    with pytest.raises(EngineError, match="^a of"):
        verify.compare(want, [("a", torch.tensor([1.0, 1.0, torch.nan]))])


def test_engine_folder(tmp_path):
    lines = []
    path = engines.build_engine(tmp_path, progress=lines.append)
    manifest = json.loads((path / "manifest.json").read_text())
    assert manifest["source"]["sha256"] == engine_folder.sha256(tmp_path / "student.pt")
    assert manifest["source"]["kind"] == "student" and manifest["sampler"] == "consistency"
    assert manifest["speakers"] == list(engines.SPEAKERS) and manifest["speaker_f0_hz"] == [110, 220, 330]
    assert manifest["schedules"]["1"] == [80.0] and len(manifest["schedules"]["2"]) == 2
    assert set(manifest["measured"]) == {"machine", "date", "denoiser", "vocoder"}
    assert sorted(p.name for p in path.iterdir()) == sorted([*manifest["files"], "manifest.json"])
    assert [p for p in tmp_path.iterdir() if ".tmp" in p.name] == []
    assert lines[-1] == f"built {path}" and any("measure: denoiser" in line for line in lines)
    assert str(tmp_path) not in json.dumps(manifest), "folders of the maker's machine do not belong in an engine"
    text = describe(path)
    assert "Bert (median 220 Hz)" in text and "steps 1, 2" in text and "engine" in text


@pytest.mark.slow
def test_fp16_storage_halves_the_weights(tmp_path):
    full = engines.build_engine(tmp_path)
    sizes = [(full / engine_folder.VOCODER).stat().st_size]
    half = engines.build_engine(tmp_path, precision="fp16", force=True)
    sizes.append((half / engine_folder.VOCODER).stat().st_size)
    manifest = json.loads((half / "manifest.json").read_text())
    assert manifest["precision"] == "fp16" and 1e-6 < manifest["verified"]["acoustic"] < 1e-2
    weights = engine_folder.Artifact(half).tensors(engine_folder.WEIGHTS)
    assert weights["conv.weight"].dtype == torch.float16 and weights["steps.vectors"].dtype == torch.float32
    assert sizes[1] < 0.8 * sizes[0]


@pytest.mark.slow
@pytest.mark.skipif(not denoiser_bf16.supported(), reason="this processor has no bfloat16 units")
def test_bf16_engine(tmp_path):
    path = engines.build_engine(tmp_path, precision="bf16")
    manifest = json.loads((path / "manifest.json").read_text())
    assert manifest["precision"] == "bf16" and 1e-5 < manifest["verified"]["acoustic"] < verify.LARGEST
    weights = engine_folder.Artifact(path).tensors(engine_folder.WEIGHTS)
    assert {name for name, t in weights.items() if t.dtype == torch.bfloat16} == set(denoiser_bf16.ROUNDED)
    engine = load(path)
    assert isinstance(engine.sampler.denoiser, denoiser_bf16.Bf16Denoiser)
    full = load(build.compile(tmp_path / "student.pt", tmp_path / "full.fsvc", steps=(1, 2), progress=None))
    features = torch.randn(45, 6), torch.full((45,), 200.0), torch.rand(45)
    rounded, exact = (e.synthesise(*features, 1, steps=2)[1] for e in (engine, full))
    assert 1e-6 < golden.relative_rms(rounded, exact) < 1.2e-2  # measured: 4.5e-3


def test_bf16_is_refused_or_named_where_it_would_be_slow(tmp_path, monkeypatch):
    monkeypatch.setattr(denoiser_bf16.machine, "cpu_flags", lambda: ["avx2"])
    with pytest.raises(ConfigError, match="AMX"):
        engines.build_engine(tmp_path, precision="bf16")
    with pytest.warns(UserWarning, match="float32, slower"):
        assert denoiser_bf16.denoiser_for("bf16") is CpuDenoiser
    assert denoiser_bf16.denoiser_for("fp32") is CpuDenoiser


@pytest.mark.slow
def test_existing_folders_are_left_alone(tmp_path):
    path = engines.build_engine(tmp_path)
    before = (path / "manifest.json").read_bytes()
    with pytest.raises(OutputError, match="--force"):
        engines.build_engine(tmp_path)
    assert (path / "manifest.json").read_bytes() == before
    torch.manual_seed(9)
    engines.build_engine(tmp_path, force=True)
    assert (path / "manifest.json").read_bytes() != before
    for nameless in (".", "..", "/"):
        with pytest.raises(OutputError, match="cannot name"):
            build.compile(SMALL / "student.pt", nameless, force=True, progress=None)
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "song.wav").write_text("x")
    with pytest.raises(OutputError, match="left alone"):
        build.compile(SMALL / "student.pt", mine, force=True, progress=None)
    assert (mine / "song.wav").exists()
    (path / "mine.pt").write_text("x")  # the checkpoint itself, say
    with pytest.raises(OutputError, match=r"holds 'mine\.pt', which is not part of an engine"):
        engines.build_engine(tmp_path, force=True)
    (path / "mine.pt").unlink()
    for own in ("sm_90/a.cubin", "cpu/b.json", ".DS_Store"):
        (path / own).parent.mkdir(exist_ok=True)
        (path / own).write_text("x")
    engines.build_engine(tmp_path, force=True)
    assert not (path / "sm_90").exists()


@pytest.mark.slow
def test_a_link_to_an_engine_is_replaced_and_its_target_kept(tmp_path):
    (tmp_path / "real").mkdir()
    real = engines.build_engine(tmp_path / "real")
    (tmp_path / "engine.fsvc").symlink_to(real)
    engines.build_engine(tmp_path, force=True)
    assert not (tmp_path / "engine.fsvc").is_symlink() and (real / "manifest.json").exists()
    assert [p.name for p in tmp_path.iterdir() if ".tmp" in p.name] == []


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot be written: a part of its path is a file"):
        engine_folder.write(tmp_path / "file" / "a.fsvc", {}, {})


@pytest.mark.parametrize(
    "options, error, part",
    [
        ({"target": "sm_42"}, ConfigError, "unknown target"),
        ({"target": "gpu"}, ConfigError, "unknown target"),
        ({"precision": "int8"}, ConfigError, "int8"),
        ({"steps": ()}, ConfigError, "steps"),
        ({"steps": (0,)}, ConfigError, "steps"),
        ({"vocoder": SMALL / "student.pt"}, CheckpointError, "a vocoder"),
        ({"content": M4GAN}, CheckpointError, "content encoder"),
        ({"config": SMALL / "none.yaml"}, CheckpointError, "--config"),
    ],
)
def test_refusals(tmp_path, options, error, part):
    with pytest.raises(error, match=part):
        build.compile(SMALL / "student.pt", tmp_path / "a.fsvc", progress=None, **options)
    assert list(tmp_path.iterdir()) == []


def test_a_vocoder_alone_is_no_acoustic_model(tmp_path):
    with pytest.raises(CheckpointError, match="acoustic model"):
        build.compile(M4GAN, tmp_path / "a.fsvc", progress=None)


@pytest.mark.slow
def test_parts_that_do_not_belong_together(tmp_path):
    other = dataclasses.replace(engines.VOCODER, mel=MelConfig(rate_hz=22050, high_hz=11025.0))
    vocoder = engines.native(tmp_path / "v.pt", "vocoder", other)
    with pytest.raises(CheckpointError, match="rate_hz 24000 and 22050"):
        engines.build_engine(tmp_path, vocoder=vocoder)
    with pytest.raises(CheckpointError, match="rate_hz 24000 and 22050"):
        build.compile(SMALL / "student.pt", tmp_path / "a.fsvc", vocoder=vocoder, progress=None)
    wide = engines.native(tmp_path / "c.pt", "recogniser", dataclasses.replace(engines.CONTENT, bottleneck=7))
    with pytest.raises(CheckpointError, match="7 unit channels"):
        engines.build_engine(tmp_path, content=wide)
    with pytest.raises(CheckpointError, match="vec768l12"):
        build.compile(SMALL / "student.pt", tmp_path / "a.fsvc", content=wide, progress=None)
