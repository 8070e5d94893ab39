"""From a HuBERT file to converted audio: build, verify, the manifest, parts out of engines, alignment by hops."""

import dataclasses
import json

import engines
import golden
import huberts
import numpy as np
import pytest
import torch

from fastsvc import build
from fastsvc.artifact import engine_folder
from fastsvc.build.passes import verify
from fastsvc.commands.inspect import describe
from fastsvc.config import FeatureConfig
from fastsvc.engine import Engine, extraction
from fastsvc.errors import CheckpointError, EngineError
from fastsvc.features import align
from fastsvc.features.hubert import HubertEncoder


def acoustic(encoder, channels, unit_align="nearest"):
    return dataclasses.replace(
        engines.ACOUSTIC,
        features=FeatureConfig(encoder=encoder, unit_channels=channels, unit_align=unit_align),
        condition=dataclasses.replace(engines.ACOUSTIC.condition, unit_channels=channels),
    )


def compiled(folder, encoder="vec32l3", channels=32, content=None, name="engine", unit_align="nearest", **options):
    torch.manual_seed(3)
    student = engines.native(folder / f"{name}.pt", "student", acoustic(encoder, channels, unit_align))
    options.setdefault("vocoder", engines.native(folder / "vocoder.pt", "vocoder", engines.VOCODER))
    content = huberts.huggingface(folder / "hub") if content is None else content
    return build.compile(student, folder / f"{name}.fsvc", content=content, steps=(1,), **{"progress": None, **options})


def noise(seconds=0.7, rate_hz=24000):
    return 0.1 * np.random.default_rng(0).standard_normal(int(seconds * rate_hz)).astype(np.float32)


def part_of(config, state):
    with torch.device("meta"):
        names = huberts.Hubert(config).state_dict()
    return {name: state[name] for name in names}


@pytest.mark.slow
@pytest.mark.parametrize(
    "encoder, channels, layers, form",
    [("vec32l3", 32, 3, "huggingface"), ("vec8l2", 8, 2, "fairseq"), ("contentvec8l3", 8, 3, "huggingface")],
)
@pytest.mark.sampled(3)
def test_built_and_converted(tmp_path, encoder, channels, layers, form):
    """Convert gives what the specification's pieces give one after another."""
    content = huberts.fairseq(tmp_path / "a.pt") if form == "fairseq" else None
    path = compiled(tmp_path, encoder, channels, content)
    engine = Engine.open(path)
    assert (engine.encoder.name, engine.encoder.channels) == (f"vec{channels}l{layers}", channels)
    stored = engine.manifest.content
    assert (stored.kind, stored.source.format, stored.config.layers) == ("hubert", form, layers)
    assert 0 < engine.manifest.verified["content"] < 1e-5
    assert f"{layers} layers × 32 channels" in describe(path)

    audio = noise()
    got, rate_hz = engine.convert(audio, 24000, "Bert", high_pass=False, rms_mix_rate=1.0)
    assert got.shape == audio.shape and rate_hz == 24000 and np.isfinite(got).all() and np.abs(got).max() > 0
    config = huberts.TINY.cut(encoder)
    at_16k = torch.from_numpy(extraction.resample.resample(audio, 24000, 16000))
    model = huberts.Hubert(config).eval()
    model.load_state_dict(part_of(config, huberts.tensors()))
    with torch.no_grad():
        units = model(at_16k[None])[0]
    heard = extraction.features(audio, 24000, engine.config, engine.encoder, None)
    assert golden.relative(heard.units, units) < 1e-5
    again, _ = engine.synthesise(units, heard.f0_hz, heard.volume, "Bert", voiced=heard.voiced)
    assert golden.relative(torch.from_numpy(got), again[: len(got)]) < 2e-5  # measured: 2e-6


@pytest.mark.slow
def test_stored_in_half_the_space(tmp_path):
    whole = compiled(tmp_path)
    halved = compiled(tmp_path, name="half", precision="fp16")
    sizes = [(path / engine_folder.CONTENT).stat().st_size for path in (whole, halved)]
    assert sizes[1] < 0.6 * sizes[0]
    audio = torch.from_numpy(noise(rate_hz=16000))
    units = [Engine.open(path).encoder.encode(audio) for path in (whole, halved)]
    assert 0 < golden.relative_rms(units[1], units[0]) < 3e-3
    assert 0 < Engine.open(halved).manifest.verified["content"] < 3e-3


def test_verification_can_fail(tmp_path, monkeypatch):
    from fastsvc.build import pipeline
    from fastsvc.build.plan import BuildPlan

    student = engines.native(tmp_path / "s.pt", "student", acoustic("vec32l3", 32))
    hub = huberts.huggingface(tmp_path / "hub")
    plan = BuildPlan(checkpoint=student, out=tmp_path / "a.fsvc", content_path=hub, say=lambda line: None)
    for step in pipeline()[:4]:
        plan = step(plan)
    verify.verify_pass(plan)
    stored = plan.tensors[engine_folder.CONTENT]
    name = "feature_extractor.conv_layers.0.layer_norm.weight"
    stored[name] = stored[name].clone()
    stored[name][3] *= 1.01
    with pytest.raises(EngineError, match="content encoder's units"):
        verify.verify_pass(plan)


def test_taken_out_of_another_engine(tmp_path):
    first = compiled(tmp_path, vocoder=None)
    assert set(Engine.open(first).encoder.model.state_dict()) == set(
        part_of(huberts.TINY.cut("vec32l3"), huberts.tensors())
    )
    second = compiled(tmp_path, content=first, name="second", vocoder=None)
    audio = torch.from_numpy(noise(rate_hz=16000))
    units = [Engine.open(path).encoder.encode(audio) for path in (first, second)]
    assert torch.equal(*units)
    shallower = compiled(tmp_path, "vec32l2", 32, content=first, name="third", vocoder=None)
    assert len(Engine.open(shallower).encoder.model.encoder.layers) == 2
    with pytest.raises(CheckpointError, match="layer 3, the content encoder has 2"):
        compiled(tmp_path, content=shallower, name="x", vocoder=None)
    with pytest.raises(CheckpointError, match="final_proj missing"):
        compiled(tmp_path, "vec8l3", 8, content=first, name="x", vocoder=None)


@pytest.mark.parametrize(
    "encoder, channels, why",
    [
        ("recogniser", 6, "is a hubert, but the acoustic model was trained on recogniser"),
        ("hubertsoft", 6, "is a hubert, but the acoustic model was trained on hubertsoft"),
        ("vec32l4", 32, "layer 4, the content encoder has 3"),
        ("vec16l3", 16, "vec16l3 has 16 channels, but this content encoder gives 32 or, projected, 8"),
        ("vec32l3", 16, "gives 32 unit channels, the acoustic model takes 16"),
    ],
)
def test_an_encoder_that_does_not_belong(tmp_path, encoder, channels, why):
    with pytest.raises(CheckpointError, match=why):
        compiled(tmp_path, encoder, channels, vocoder=None)


def test_a_recogniser_does_not_pass_for_hubert(tmp_path):
    recogniser = engines.native(tmp_path / "r.pt", "recogniser", engines.CONTENT)
    with pytest.raises(CheckpointError, match="is a recogniser, but .* trained on vec32l3 .*name HuBERT"):
        compiled(tmp_path, content=recogniser, vocoder=None)


def test_engines_from_before_say_no_kind(tmp_path):
    """They have a recogniser; an unknown kind is an error."""
    path = engines.build_engine(tmp_path)
    manifest = json.loads((path / engine_folder.MANIFEST).read_text())
    assert manifest["content"].pop("kind") == "recogniser"
    (path / engine_folder.MANIFEST).write_text(json.dumps(manifest))
    assert Engine.open(path).encoder.name == "recogniser"
    build.compile(tmp_path / "student.pt", tmp_path / "b.fsvc", content=path, steps=(1,), progress=None)
    manifest["content"]["kind"] = "whisper"
    (path / engine_folder.MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(EngineError, match="whisper"):
        Engine.open(path)
    with pytest.raises(EngineError, match="whisper"):
        build.compile(tmp_path / "student.pt", tmp_path / "c.fsvc", content=path, steps=(1,), progress=None)


def test_round_takes_its_ratio_from_the_hops(tmp_path):
    """As DDSP-SVC, whose units fall behind those of the counts: 0.2667 units a frame here, not 27 / 102."""
    engine = Engine.open(compiled(tmp_path, unit_align="round"))
    audio = noise(102 * 128 / 24000)
    heard = extraction.features(audio, 24000, engine.config, engine.encoder, None)
    ratio = (128 / 24000) / (320 / 16000)
    assert len(heard.units) == 26 and len(heard.unit_indices) == 102
    at_16k = torch.from_numpy(extraction.resample.resample(audio, 24000, 16000))
    assert torch.equal(heard.units, engine.encoder.encode(at_16k))
    want = align.indices(26, 102, "round", ratio=ratio)
    assert torch.equal(heard.unit_indices, want) and not torch.equal(want, align.indices(26, 102, "round"))
    got, _ = engine.convert(audio, 24000, "Bert", high_pass=False, rms_mix_rate=1.0)
    f0 = heard.f0_hz, heard.volume, "Bert"
    for units in (heard.units, heard.units[want]):  # at the encoder's rate, and at that of the frames
        again, _ = engine.synthesise(units, *f0, voiced=heard.voiced)
        assert golden.relative(torch.from_numpy(got), again[: len(got)]) < 1e-5


@pytest.mark.parametrize("encoder, known", [("vec8l3", True), ("recogniser", False)])
def test_the_hop_is_known_by_name_without_an_encoder(encoder, known):
    ratio = extraction.units_per_frame(acoustic(encoder, 8), None)
    assert ratio == ((128 / 24000) / (320 / 16000) if known else None)
    encoder = HubertEncoder(huberts.TINY, huberts.tensors())
    assert extraction.units_per_frame(acoustic("vec8l3", 8), encoder) == (128 / 24000) / (320 / 16000)


def test_an_acoustic_checkpoint_tells_what_it_needs(tmp_path):
    path = engines.native(tmp_path / "s.pt", "student", acoustic("vec256l9", 256))
    assert "--content PATH (the ContentVec or HuBERT that gave its vec256l9)" in describe(path)
    path = engines.native(tmp_path / "t.pt", "student", acoustic("hubertsoft", 256))
    assert "hubertsoft is not served as a content encoder" in describe(path)
