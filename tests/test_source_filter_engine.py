"""The source-filter vocoder in the engine: its own form against the specification, cut, far into a recording, built."""

from dataclasses import replace
from fractions import Fraction

import engines
import numpy as np
import pytest
import torch
import weights

from fastsvc import build
from fastsvc.artifact import engine_folder
from fastsvc.build.passes import measure, vocoder_traces
from fastsvc.build.passes.verify import verify_pass
from fastsvc.checkpoints import read
from fastsvc.commands.inspect import describe
from fastsvc.config import MelConfig, SourceFilterConfig, to_dict
from fastsvc.engine import Engine
from fastsvc.engine.cpu.sampler import Synthesiser
from fastsvc.engine.cpu.source_filter import SourceFilterVocoder
from fastsvc.errors import ConfigError, EngineError
from fastsvc.model import pulses, vocoders
from fastsvc.model.modules import module

SMALL = SourceFilterConfig(channels=16, blocks=2, bands=24)
CONFIGS = {
    "small": SMALL,
    # a hop that is no multiple of four, gains that are no power of two, natural logarithms
    "uneven": SourceFilterConfig(
        mel=MelConfig(22050, 250, 1024, 1024, 40, 30.0, 8000.0, "e"),
        channels=8,
        blocks=1,
        kernel=3,
        bands=10,
        gain_points=5,
        transform_samples=1000,
    ),
    "one point, no blocks beside": SourceFilterConfig(
        channels=8, blocks=1, kernel=1, expansion=1, bands=5, gain_points=1, transform_samples=1024
    ),
}
EXACT = 1e-5  # of the peak; measured: 5e-7 to 5e-6


def specification(config):
    model = module("vocoder", config).eval().requires_grad_(False)
    model.load_state_dict(weights.vocoder(config))
    return model


def voice(config, frames, batch=1):
    """(mel, f0_hz that glides, jumps and pauses)."""
    generator = torch.Generator().manual_seed(frames)
    mel = 0.5 * torch.randn(batch, frames, config.mel.bins, generator=generator) - 2
    f0_hz = 180 * 2 ** torch.randn(batch, frames, generator=generator).cumsum(1).mul(0.05)
    f0_hz[:, frames // 3 : frames // 2] = 0
    return mel, f0_hz


def excited(config, f0_hz):
    return torch.cat([pulses.seeded(row[None], config, seed) for seed, row in enumerate(f0_hz)])


def close(got, want, bound=EXACT):
    assert got.shape == want.shape and got.dtype == torch.float32
    assert float((got - want).abs().max()) <= bound * float(want.abs().max()) > 0


@torch.inference_mode()
@pytest.mark.parametrize("batch, frames", [(1, 1), (2, 1), (1, 2), (1, 3), (3, 17), (1, 40)])
@pytest.mark.parametrize("name", CONFIGS)
def test_the_form_is_the_specification(name, batch, frames):
    config = CONFIGS[name]
    model, (mel, f0_hz) = specification(config), voice(config, frames, batch)
    excitation, form = excited(config, f0_hz), SourceFilterVocoder(model.state_dict(), config)
    assert form.halo_frames == vocoders.halo_frames(config)
    close(form(mel, form.source(excitation), f0_hz), model(mel, f0_hz, excitation))


@torch.inference_mode()
def test_all_silent_and_all_voiced():
    form, model = SourceFilterVocoder(weights.vocoder(SMALL), SMALL), specification(SMALL)
    mel = voice(SMALL, 9)[0]
    for f0_hz in (torch.zeros(1, 9), torch.full((1, 9), 31.0), torch.full((1, 9), 5000.0)):
        excitation = excited(SMALL, f0_hz)
        close(form(mel, excitation, f0_hz), model(mel, f0_hz, excitation))


@torch.inference_mode()
def test_cut_is_whole():
    synthesise, (mel, f0_hz) = Synthesiser(weights.vocoder(SMALL), SMALL), voice(SMALL, 90)
    whole = synthesise(mel[0], f0_hz[0], seed=3, block=90)
    for block in (1, 7, 64, 89):
        close(synthesise(mel[0], f0_hz[0], seed=3, block=block), whole)
    assert not torch.equal(synthesise(mel[0], f0_hz[0], seed=4), whole)
    # the specification, in one pass
    excitation = pulses.seeded(f0_hz, SMALL, 3)
    close(whole, specification(SMALL)(mel, f0_hz, excitation)[0])
    # and the comparison above would notice a halo that is the network's alone (the filters' last samples are faint)
    synthesise.vocoder.halo_frames -= SMALL.transform_samples // SMALL.mel.hop_samples
    part = synthesise(mel[0], f0_hz[0], seed=3, block=30)
    assert float((part - whole).abs().max()) > 1e-3 * float(whole.abs().max())


@torch.inference_mode()
def test_mels_of_the_other_logarithm():
    mel, f0_hz = voice(SMALL, 12)
    want = Synthesiser(weights.vocoder(SMALL), SMALL)(mel[0], f0_hz[0])
    close(Synthesiser(weights.vocoder(SMALL), SMALL, "e")(mel[0] * np.log(10), f0_hz[0]), want, 1e-4)


@torch.inference_mode()
def test_after_two_hours_the_pulses_stand_where_they_must():
    """The phase of a steady tone, counted in fractions, against the sum over 675 000 frames; and what follows from it
    in the audio."""
    hop, rate_hz, frames, last = SMALL.mel.hop_samples, SMALL.mel.rate_hz, 2 * 3600 * 24000 // 256, 30
    f0_hz = torch.full((1, frames), 233.0)
    phase = vocoders.frame_phase(f0_hz, SMALL)[:, -last:]
    turns = [Fraction(233 * hop * t, rate_hz) % 1 for t in range(frames - last, frames)]
    exact = torch.tensor([[float(turn) for turn in turns]], dtype=torch.float64)
    assert float((phase - exact).abs().max()) < 1e-7
    form, mel = SourceFilterVocoder(weights.vocoder(SMALL), SMALL), voice(SMALL, last)[0]
    heard = [
        form(mel, vocoders.seeded(f0_hz[:, :last], SMALL, 5, frames - last, start), f0_hz[:, :last])
        for start in (phase, exact)
    ]
    close(*heard)
    other = form(mel, vocoders.seeded(f0_hz[:, :last], SMALL, 5, frames - last, exact + 0.01), f0_hz[:, :last])
    assert float((other - heard[1]).abs().max()) > 1e-2 * float(heard[1].abs().max())


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return engines.native(tmp_path_factory.mktemp("vocoder") / "filters.pt", "vocoder", SMALL)


@pytest.fixture(scope="module", params=["fp32", "fp16"])
def engine(request, checkpoint, tmp_path_factory):
    return built(tmp_path_factory.mktemp("engine"), checkpoint, precision=request.param)


def built(folder, vocoder, **options):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measure, "SECONDS_OF_AUDIO", {"denoiser": 0.1, "vocoder": 0.05})
        patch.setattr(engines, "ACOUSTIC", replace(engines.ACOUSTIC, mel=SMALL.mel))
        return engines.build_engine(folder, steps=(1,), vocoder=vocoder, target="cpu", **options)


def units(frames=25):
    torch.manual_seed(0)
    return torch.randn(frames, 6), torch.full((frames,), 220.0), torch.full((frames,), 0.2), 0


def test_an_engine_of_it(engine, checkpoint):
    folder = engine_folder.Artifact(engine)
    manifest = folder.manifest
    assert manifest.vocoder.config == SMALL and manifest.vocoder.unvoiced_f0 == "zero"
    assert manifest.vocoder.cpu_backend in ("torch", "onnxruntime") and manifest.check["audio"]
    assert 0 < manifest.verified["vocoder"] < (1e-5 if manifest.precision == "fp32" else 3e-3)
    assert set(folder.tensors(engine_folder.VOCODER)) == set(read(checkpoint).tensors)
    text = describe(engine)
    assert "vocoder      from filters.pt (fastsvc, step 12)" in text
    assert "generator    source_filter, 2 blocks of 16 channels, 24 bands, filters of 1536 samples" in text


@torch.inference_mode()
def test_converting_end_to_end(engine):
    opened = Engine.open(engine, "cpu", vocoder_backend="torch")
    audio, mel = opened.synthesise(*units())
    f0_hz = units()[1][None]
    excitation = pulses.seeded(f0_hz, SMALL, 0)
    model = specification(SMALL)
    model.load_state_dict(engine_folder.Artifact(engine).tensors(engine_folder.VOCODER))
    close(audio, model(mel[None], f0_hz, excitation)[0])
    sung = (0.1 * np.sin(2 * np.pi * 220 * np.arange(12_345) / 24_000)).astype(np.float32)
    heard, _ = opened.convert(sung, 24_000, 0)
    assert heard.shape == sung.shape and np.isfinite(heard).all() and heard.std() > 0
    pytest.importorskip("onnxruntime")
    close(Engine.open(engine, "cpu", vocoder_backend="onnxruntime").synthesise(*units())[0], audio, 1e-4)


def test_taken_from_an_engine(engine, tmp_path):
    again = built(tmp_path, engine, content=None)
    ours, theirs = (engine_folder.Artifact(path).tensors(engine_folder.VOCODER) for path in (again, engine))
    assert all(torch.equal(ours[name], value.float()) for name, value in theirs.items())


def test_kernels_that_do_not_compute_it(checkpoint, engine, tmp_path):
    with pytest.raises(ConfigError, match="Triton kernels compute HiFi-GAN.*source_filter.*use auto, torch or tensor"):
        built(tmp_path, checkpoint, vocoder_backend="triton")
    with pytest.raises(EngineError, match="'triton' does not run on a CPU"):
        Engine.open(engine, "cpu", vocoder_backend="triton")


def test_a_wrong_form_is_named(checkpoint, tmp_path, monkeypatch):
    """Compiling compares layer by layer."""
    right = vocoder_traces.lowered

    def wrong(name):
        def lowered(config, tensors):
            return [(key, 1.01 * value if key == name else value) for key, value in right(config, tensors)]

        return lowered

    names = [name for name, _ in right(SMALL, weights.vocoder(SMALL))]
    expected = ["what enters", "block 0", "block 1", "the logarithms of the filters", "the gains"]
    assert names == [*expected, "the vocoder's output"] and verify_pass in build.pipeline()
    for name in names[1:4:2]:
        monkeypatch.setattr(vocoder_traces, "lowered", wrong(name))
        with pytest.raises(
            EngineError, match=f"{name} of the compiled model differs from the specification by 1.0e-02"
        ):
            built(tmp_path, checkpoint, content=None)


def test_an_engine_whose_configuration_is_another(engine, tmp_path):
    import json
    import shutil

    path = shutil.copytree(engine, tmp_path / "e.fsvc")
    manifest = json.loads((path / engine_folder.MANIFEST).read_text())
    for change, words in (
        ({"channels": 32}, "vocoder.safetensors does not fit"),
        ({"transform_samples": 2**30}, "transform_samples"),
        ({"family": "m4"}, "damaged"),
    ):
        wrong = {**manifest["vocoder"], "config": {**to_dict(SMALL), **change}}
        (path / engine_folder.MANIFEST).write_text(json.dumps({**manifest, "vocoder": wrong}))
        with pytest.raises(EngineError, match=words):
            Engine.open(path, "cpu")
