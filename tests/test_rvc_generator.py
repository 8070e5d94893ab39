"""RVC's generator: upstream's own audio through the specification and every form, speakers, voices without pitch."""

import big_blocks
import pytest
import rvc_generators
import torch
import weights
from golden import relative, relative_rms
from kernel_check import ARCH, DEVICE, GPU

from fastsvc.build.passes import vocoder_traces
from fastsvc.build.passes.verify import compare
from fastsvc.config import rvc_sizes
from fastsvc.engine.cpu import vocoder as cpu_vocoder
from fastsvc.engine.cpu.sampler import Synthesiser
from fastsvc.engine.cpu.vocoder import Vocoder
from fastsvc.engine.cuda import selfcheck
from fastsvc.errors import EngineError
from fastsvc.model import vocoders
from fastsvc.model.vocoder import Generator

GOLDEN = [(name, frames) for name, cases in rvc_generators.CASES.items() for frames in cases]
# of every size set one stage that holds its trap, small: kernels that are no multiple of rates of 10 and 12
FEW = {"resblock_kernels": (3, 7), "resblock_dilations": ((1, 3), (1, 5)), "channels": 32, "bins": 16, "speakers": 3}
KINDS = {size: rvc_sizes.generator(size, **FEW) for size in rvc_sizes.SIZES}
KINDS["without pitch"] = rvc_sizes.generator("40k", source="none", **FEW)


@pytest.fixture(scope="module")
def specified():
    """Name of a golden voice → its generator."""
    models = {}
    for name in rvc_generators.CASES:
        config, tensors = rvc_generators.golden(name)
        models[name] = Generator(config).eval().requires_grad_(False)
        models[name].load_state_dict(tensors)
    return models


def added(model, row):
    return vocoders.speaker_vector(model.speakers.weight, {row: 1.0})[None, None]


@pytest.mark.parametrize("name, frames", GOLDEN)
@torch.inference_mode()
@pytest.mark.sampled(3)
def test_upstreams_audio(specified, name, frames):
    """By the specification, by the CPU's form in float32, and in float16 as near as twice what rounding costs."""
    model, case = specified[name], rvc_generators.case(name, frames)
    inputs = case["z"], case.get("source"), added(model, case["sid"])
    got = model(*inputs)
    assert relative(got, case["audio"]) < 2e-6
    assert relative(model(*inputs[:2]), case["audio"]) > 1e-3, "the speaker matters"
    form = Vocoder(model.state_dict(), model.config)(*inputs)
    assert form.shape == case["audio"].shape and relative(form, case["audio"]) < 1e-5
    half = Vocoder(model.state_dict(), model.config, torch.float16)(*inputs)
    assert relative_rms(half, case["audio"]) < 5e-3


@pytest.mark.slow
@torch.inference_mode()
def test_upstreams_audio_at_full_size():
    config, tensors, case = rvc_sizes.generator("40k"), rvc_generators.full(), rvc_generators.case("full", "v2_40k_T30")
    form, speaker = Vocoder(tensors, config), vocoders.speaker_vector(tensors[vocoders.SPEAKERS], {case["sid"]: 1.0})
    assert relative(form(case["z"], case["source"], speaker[None, None]), case["audio"]) < 1e-5


@pytest.mark.parametrize("name, frames", [*GOLDEN[-5:], ("v2_40k", "T3")])
@torch.inference_mode()
def test_upstreams_audio_through_onnxruntime(specified, name, frames):
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    from fastsvc.engine.cpu.vocoder_onnx import OnnxGenerator

    model, case = specified[name], rvc_generators.case(name, frames)
    form = OnnxGenerator(model.state_dict(), model.config)
    assert relative(form(case["z"], case.get("source"), added(model, case["sid"])), case["audio"]) < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize(
    "name, frames, dtype",
    [
        ("v2_40k", "T3", torch.float32),
        ("v2_40k", "T3", torch.float16),
        ("v2_40k_nof0", "T3", torch.float32),
        ("v2_48k", "T12", torch.float32),
        ("v1_48k", "T31", torch.float32),
    ],
)
@torch.inference_mode()
@pytest.mark.sampled(3)
def test_kernels(specified, name, frames, dtype, monkeypatch):
    """Upstream's audio, but that of the two first frames of the longer cases by the specification: the interpreter is
    slow."""
    pytest.importorskip("triton")
    from fastsvc.engine.cuda import launcher
    from fastsvc.engine.cuda.generators.triton_backend import TritonGenerator
    from fastsvc.engine.cuda.vocoder import VocoderInputs

    if not GPU:
        big_blocks.prepare(monkeypatch)
    model, case = specified[name], rvc_generators.case(name, frames)
    want, speaker = case["audio"], added(model, case["sid"])
    if not GPU and case["z"].shape[1] > 3:
        case = {"z": case["z"][:, :2], "source": case["source"][:, : 2 * model.config.mel.hop_samples]}
        want = model(case["z"], case["source"], speaker)
    inputs = VocoderInputs(model.config, 1, case["z"].shape[1], DEVICE)
    inputs.mel.copy_(case["z"])
    inputs.speaker.copy_(speaker)
    if "source" in case:
        inputs.excitation.copy_(case["source"])
    assert (inputs.excitation is None) == ("source" not in case)
    inputs.audio.fill_(float("nan"))
    TritonGenerator(model.state_dict(), model.config, dtype, DEVICE, ARCH, launcher.Jit()).bind(inputs)()
    bound = 1e-2 if dtype == torch.float16 else 1e-4 if GPU else 1e-5
    assert relative(inputs.audio.cpu(), want) < bound


@pytest.mark.parametrize("kind", KINDS)
@torch.inference_mode()
@pytest.mark.sampled(3)
def test_cutting_changes_nothing(kind):
    config = KINDS[kind]
    synthesise = Synthesiser(weights.vocoder(config), config)
    mel, f0_hz = torch.randn(90, 16) - 2, 80 + 300 * torch.rand(90)
    f0_hz[20:30] = 0
    speaker = synthesise.speaker({0: 0.25, 2: 0.75})
    whole = synthesise(mel, f0_hz, 3, 10**6, speaker=speaker)
    assert len(whole) == 90 * config.mel.hop_samples
    for block in (1, 13, 89):
        assert relative(synthesise(mel, f0_hz, 3, block, speaker=speaker), whole) < 1e-6
    assert relative(synthesise(mel, f0_hz, 3, 10**6, speaker=synthesise.speaker({1: 1.0})), whole) > 1e-2
    specified = Generator(config).eval()
    specified.load_state_dict(weights.vocoder(config))
    sines = vocoders.seeded(f0_hz[None], config, 3)
    excitation = None if sines is None else specified.source(sines)
    assert relative(specified(mel[None], excitation, speaker[None, None])[0], whole) < 1e-5


@torch.inference_mode()
def test_a_mixture_of_speakers_is_the_mixture_of_their_embeddings(specified):
    """As upstream's layer is linear: its own numbers, from the embedding and the layer in the file."""
    model = specified["v1_40k"]
    assert model.config.speakers == 3  # and not the 109 of the file's list
    synthesise = Synthesiser(model.state_dict(), model.config)
    file = torch.load(rvc_generators.FOLDER / "v1_40k" / "v1_40k.pth", weights_only=True)["weight"]
    cond = file["dec.cond.weight"].float()[..., 0]
    embedding = 0.3 * file["emb_g.weight"][0].float() + 0.7 * file["emb_g.weight"][2].float()
    assert torch.allclose(synthesise.speaker({0: 0.3, 2: 0.7}), cond @ embedding, atol=1e-6)
    assert torch.equal(synthesise.speaker({1: 1.0}), model.speakers.weight[1])
    assert Synthesiser(weights.vocoder(PLAIN), PLAIN).speaker({0: 1.0}) is None, "vocoders without a table"


PLAIN = rvc_sizes.generator("40k", channels=16, bins=8, speakers=0)


@pytest.mark.parametrize("kind", ["v2 48k", "without pitch"])
@torch.inference_mode()
def test_batches_and_one_frame(kind):
    """Each row has a speaker of its own, which constant vectors by frame give."""
    config = KINDS[kind]
    tensors = weights.vocoder(config)
    form = Vocoder(tensors, config)
    for frames in (1, 7):
        mel, rows = torch.randn(3, frames, 16) - 2, tensors[vocoders.SPEAKERS][:, None]
        source = 0.1 * torch.randn(3, frames * config.mel.hop_samples) if config.source_channels else None
        together = form(mel, source, rows.repeat(1, frames, 1))
        assert together.shape == (3, frames * config.mel.hop_samples)
        for i in range(3):
            own = None if source is None else source[i : i + 1]
            assert relative(form(mel[i : i + 1], own, rows[i : i + 1]), together[i : i + 1]) < 1e-5


@pytest.mark.parametrize("kind", ["v1 48k", "without pitch"])
@torch.no_grad()
def test_a_build_compares_and_prints_them(kind):
    config = KINDS[kind]
    tensors = weights.vocoder(config)
    exact = vocoder_traces.specification(config, tensors, torch.float64)
    assert len(exact) == (1 if kind == "without pitch" else 2)
    assert compare(exact, vocoder_traces.lowered(config, tensors)) < 1e-5
    changed = tensors | {vocoders.SPEAKERS: 1.1 * tensors[vocoders.SPEAKERS]}
    with pytest.raises(EngineError, match="the vocoder's output"):
        compare(exact, vocoder_traces.lowered(config, changed))
    right, quiet = (selfcheck.vocoder_inputs(config) for _ in range(2))
    assert right["speaker"].shape == (32,)
    quiet["speaker"] = 0 * quiet["speaker"]
    form = Vocoder(tensors, config)
    prints = [selfcheck.fingerprint(selfcheck.audio_of(config, form, **given)) for given in (right, quiet)]
    assert prints[0] == selfcheck.expected_audio(config, form)
    assert selfcheck.difference(prints[1], prints[0]) > selfcheck.BOUNDS["fp16"]


@torch.inference_mode()
def test_a_cpus_stretches_give_what_one_pass_gives(monkeypatch):
    """And would not with one row less."""
    config = KINDS["40k"]
    form = Vocoder(weights.vocoder(config), config)
    stage, source = form.stages[1], 0.1 * torch.randn(1, 1, 1, 7 * 400)
    x = torch.randn(1, 16, 1, 70).contiguous(memory_format=torch.channels_last)
    whole = stage(x.clone(), source)
    monkeypatch.setattr(cpu_vocoder, "STRETCH_BYTES", 1)
    monkeypatch.setattr(cpu_vocoder, "LEAST_REACHES", 1)
    assert stage.reach == 24 and relative(stage(x.clone(), source), whole) < 1e-6
    stage.reach -= 1
    assert relative(stage(x.clone(), source), whole) > 1e-5
