"""The compiler on voices of RVC: what it refuses, what it writes, that verification can fail; damaged folders of it."""

import json
import shutil

import huberts
import pytest
import rvc_engines
import torch

import fastsvc
from fastsvc.artifact import engine_folder, lowered
from fastsvc.artifact.manifest_values import fault
from fastsvc.build.passes import target, verify
from fastsvc.build.passes.fold import fold_pass
from fastsvc.build.passes.lower import lower_pass
from fastsvc.build.passes.read import check_pass, read_pass
from fastsvc.build.plan import BuildPlan
from fastsvc.commands import corpus_recipe
from fastsvc.engine.cpu import denoiser_bf16
from fastsvc.engine.cuda import launch_plan, selfcheck, selfcheck_rvc
from fastsvc.engine.engine import Engine
from fastsvc.errors import CheckpointError, ConfigError, EngineError


def planned(tmp_path, name="v1_40k", passes=(read_pass, check_pass, fold_pass, lower_pass), **options):
    plan = BuildPlan(checkpoint=rvc_engines.voice(name), out=tmp_path / "a.fsvc", say=lambda line: None, **options)
    for run_pass in passes:
        plan = run_pass(plan)
    return plan


@pytest.fixture
def plan(tmp_path):
    return planned(tmp_path)


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    return rvc_engines.build_engine(tmp_path_factory.mktemp("rvc"))


@pytest.mark.parametrize("name", rvc_engines.rvc_golden.VOICES)
def test_every_voice_is_verified(tmp_path, name):
    plan = verify.verify_pass(planned(tmp_path, name))
    assert plan.verified["acoustic"] < 5e-6 and plan.verified["vocoder"] < 5e-6
    tensors = plan.tensors[engine_folder.WEIGHTS]
    assert {key: tuple(value.shape) for key, value in tensors.items()} == lowered.shapes(plan.acoustic_config, 1)
    assert all(value.dtype == torch.float32 and value.is_contiguous() for value in tensors.values())


@pytest.mark.parametrize(
    "name, where",
    [
        ("encoder.input.weight", "encoder input"),
        ("encoder.input.bias", "encoder input"),
        ("encoder.qkv.weight", "encoder layer 0"),
        ("encoder.relative.keys", "encoder layer 0"),
        ("encoder.relative.values", "encoder layer 0"),
        ("encoder.narrow.bias", "encoder layer 0"),
        ("encoder.second_norm.gain", "encoder layer 0"),
        ("encoder.prior.weight", "mean"),
        ("flow.input.weight", "coupling 0 of speaker 0"),
        ("flow.conv.weight", "coupling 0 of speaker 0"),
        ("flow.residual.weight", "coupling 0 of speaker 0"),
        ("flow.output.bias", "coupling 0 of speaker 0"),
        ("condition.speakers", "coupling 0 of speaker 0"),
    ],
)
def test_verification_names_the_first_layer_that_differs(plan, name, where):
    plan.tensors[engine_folder.WEIGHTS][name].mul_(1.01)
    with pytest.raises(EngineError, match=f"^{where} of the compiled model"):
        verify.verify_pass(plan)


def test_the_last_speaker_is_verified_too(plan):
    plan.tensors[engine_folder.WEIGHTS]["condition.speakers"][2].mul_(1.01)
    with pytest.raises(EngineError, match="^coupling 0 of speaker 2 of the compiled model"):
        verify.verify_pass(plan)


def test_half_precision_is_stored_and_verified(tmp_path):
    plan = verify.verify_pass(planned(tmp_path, precision="fp16"))
    types = {name: value.dtype for name, value in plan.tensors[engine_folder.WEIGHTS].items()}
    assert types["flow.conv.weight"] == types["encoder.qkv.weight"] == torch.float16
    assert types["condition.speakers"] == types["encoder.relative.keys"] == torch.float32
    assert 1e-5 < plan.verified["acoustic"] < 1e-2
    folder = rvc_engines.build_engine(tmp_path, content=None, precision="fp16")
    audio, _ = fastsvc.load(folder, device="cpu").synthesise(torch.randn(9, 256), torch.full((17,), 200.0), *_rest(17))
    assert torch.isfinite(audio).all() and audio.abs().max() > 1e-3


def _rest(frames):
    return torch.zeros(frames), 0


@pytest.mark.parametrize(
    "options, error, message",
    [
        ({"steps": (1, 2)}, ConfigError, "draws once, so --steps"),
        ({"sampler": "euler"}, ConfigError, "draws once, so --sampler"),
        ({"depth": 10}, ConfigError, "draws once, so --depth"),
        ({"precision": "bf16"}, ConfigError, "no form in bfloat16"),
        ({"vocoder_path": rvc_engines.voice("v2_40k")}, ConfigError, "brings the only vocoder that fits it"),
        ({"content_path": "v2"}, CheckpointError, "vec256l9"),
    ],
)
def test_what_does_not_apply_is_refused(tmp_path, options, error, message):
    if "content_path" in options:  # a HuBERT without the layers that the voice's units need
        options = {"content_path": huberts.huggingface(tmp_path / "hubert")}
    if options.get("precision") == "bf16" and not torch.backends.cpu.get_cpu_capability().startswith("AVX512"):
        message = "bf16 needs a processor|no form in bfloat16"
    with pytest.raises(error, match=message):
        planned(tmp_path, passes=(read_pass, check_pass), **options)


def test_one_step_may_be_named(tmp_path):
    plan = planned(tmp_path, passes=(read_pass, check_pass), steps=(1,))
    assert plan.sampler == "rvc" and plan.schedules == {1: [0.66666]} and plan.levels == [0.66666]


def test_what_is_written(engine):
    manifest = fastsvc.load(engine, device="cpu").manifest
    assert (manifest.source.format, manifest.source.kind, manifest.vocoder.source.kind) == ("rvc", "rvc", "vocoder")
    assert manifest.vocoder.source.sha256 == manifest.source.sha256  # one file
    assert manifest.sampling.method == "rvc" and manifest.default_speaker == 0 and manifest.default_steps == 1
    assert manifest.vocoder.unvoiced_f0 == "zero" and manifest.gpu_precision == "fp16"
    assert {"latent", "vocoder"} <= manifest.measured.keys() and manifest.measured["latent"]["speedup"] > 0
    assert [name for name, _ in manifest.check["layers"]] == ["mean", "log of the deviation", "draw", "flow"]


def test_fingerprints_are_those_of_the_stored_tensors(engine):
    """A sampler with other weights is told from them; the same one is not."""
    opened = fastsvc.load(engine, device="cpu")
    stored, level = dict(map(tuple, opened.manifest.check["layers"])), opened.manifest.check["level"]
    for name, value in selfcheck_rvc.layers(opened.sampler, level):
        assert selfcheck.difference(selfcheck.fingerprint(value), stored[name]) < 1e-6
    opened.sampler.flow.couplings[2]["conv.weight"].mul_(1.1)
    changed = dict(selfcheck_rvc.layers(opened.sampler, level))
    errors = {name: selfcheck.difference(selfcheck.fingerprint(changed[name]), stored[name]) for name in stored}
    assert errors["draw"] < 1e-6 < 1e-3 < errors["flow"]
    audio = selfcheck.expected_audio(opened.synthesiser.config, opened.synthesiser.vocoder)
    assert selfcheck.difference(audio, opened.manifest.check["audio"]) < 1e-4


def test_kernels_of_the_generator_alone_are_compiled_ahead(engine):
    """The acoustic part has none; what a GPU needs for the generator does not depend on it."""
    manifest = fastsvc.load(engine, device="cpu").manifest
    acoustic, vocoder, sampling = manifest.acoustic, manifest.vocoder.config, manifest.sampling
    launches = launch_plan.launches(
        acoustic, vocoder, sampling.method, sampling.schedules, False, torch.float16, 90, audio_shapes=[(1, 64)]
    )
    kernels = {spec["kernel"].rpartition(".")[2] for spec in target.unique_specs(launches).values()}
    assert kernels and not any("gated" in name or "head" in name for name in kernels)


def changed(engine, folder, edit):
    shutil.copytree(engine, folder)
    file = folder / engine_folder.MANIFEST
    manifest = json.loads(file.read_text(encoding="utf-8"))
    edit(manifest)
    file.write_text(json.dumps(manifest), encoding="utf-8")
    return folder


WRONG = {
    "default_speaker": [({"default_speaker": 3}, "default_speaker of 3, but 3"), ({"default_speaker": True}, "wrong")],
    "sampler": [
        ({"sampler": "euler"}, "does not fit a voice of RVC"),
        ({"schedules": {"1": [0.5]}, "levels": [0.5]}, "does not fit a voice of RVC"),
        ({"depth": 5}, "does not fit a voice of RVC"),
    ],
    "parts": [({"vocoder": None}, "lacks the vocoder"), ({"speakers": ["one"]}, "1 names for 3 speakers")],
    "generator": [
        ({"vocoder.speakers": 2}, "vocoder.config.speakers of 2, but acoustic.speakers is 3"),
        ({"vocoder.source": "none"}, "is not the generator of this voice"),
        ({"vocoder.speakers": 0}, "is not the generator of this voice"),
        ({"acoustic.speakers": 4, "speakers": ["a", "b", "c", "d"]}, "of 3, but acoustic.speakers is 4"),
        ({"acoustic.pitch": False}, "is not the generator of this voice"),
    ],
    "acoustic": [
        ({"acoustic.heads": 5}, "heads must divide hidden"),
        ({"acoustic.hidden": 10**9}, "hidden"),
        ({"acoustic.kind": "other"}, "acoustic"),
        ({"acoustic.couplings": 0}, "couplings"),
    ],
}


@pytest.mark.parametrize("values, message", [row for rows in WRONG.values() for row in rows])
def test_a_damaged_manifest_is_one_line(engine, tmp_path, values, message):
    def edit(manifest):
        for key, value in values.items():
            part, _, name = key.rpartition(".")
            place = {"": manifest, "vocoder": manifest["vocoder"]["config"], "acoustic": manifest["acoustic"]}[part]
            place[name] = value

    with pytest.raises(EngineError, match=message) as error:
        fastsvc.load(changed(engine, tmp_path / "e.fsvc", edit), device="cpu")
    assert "\n" not in str(error.value)


def test_sizes_that_the_weights_do_not_have(engine, tmp_path):
    for name, value in {"layers": 3, "window": 4, "filter_channels": 40, "couplings": 2}.items():
        path = changed(engine, tmp_path / f"{name}.fsvc", lambda m, n=name, v=value: m["acoustic"].update({n: v}))
        with pytest.raises(EngineError, match=r"weights.safetensors does not fit: .*encoder|flow"):
            fastsvc.load(path, device="cpu")


def test_an_engine_from_before_default_speakers(engine, tmp_path):
    path = changed(engine, tmp_path / "old.fsvc", lambda manifest: manifest.pop("default_speaker"))
    assert fault(json.loads((path / engine_folder.MANIFEST).read_text(encoding="utf-8"))) is None
    assert fastsvc.load(path, device="cpu").manifest.default_speaker is None


def test_a_part_is_read_from_the_engine_again(engine, tmp_path):
    """Its content encoder serves another build."""
    again = rvc_engines.build_engine(tmp_path, content=engine)
    assert fastsvc.load(again, device="cpu").encoder.channels == 256


def test_the_precision_of_a_cpu(engine, monkeypatch):
    """Generator and embedder have a form in bfloat16, text encoder and flow have none."""
    if denoiser_bf16.supported():
        opened = Engine.open(engine, device="cpu", precision="bf16")
        assert opened.rounded == ("vocoder", "content encoder") and opened.sampler.computes == "fp32"
    monkeypatch.setattr(denoiser_bf16.machine, "cpu_flags", lambda: ["avx2"])
    with pytest.warns(UserWarning, match="computes in fp32, not bf16"):
        assert Engine.open(engine, device="cpu", precision="bf16").precision == "fp32"


def test_a_corpus_cannot_be_like_a_voice_without_a_mel(engine):
    with pytest.raises(CheckpointError, match="not a voice with a mel"):
        corpus_recipe.of(None, str(engine))
