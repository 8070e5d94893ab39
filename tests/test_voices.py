"""From the files of other projects to a converted recording: every acoustic format with its vocoder and a HuBERT."""

import formats
import golden
import huberts
import numpy as np
import openvpi
import pytest
import torch
from click.testing import CliRunner

import fastsvc
from fastsvc import build
from fastsvc.checkpoints import read
from fastsvc.cli import main
from fastsvc.commands.inspect import describe
from fastsvc.config import MelConfig, VocoderConfig
from fastsvc.errors import ConfigError, EngineError
from fastsvc.model.modules import module

MEL = MelConfig(44100, 512, 2048, 2048, 128, 40.0, 16000.0, "e")
NSF = VocoderConfig(
    family="openvpi",
    mel=MEL,
    initial_channels=32,
    upsample_rates=(8, 8, 4, 2),
    upsample_kernels=(16, 16, 8, 4),
    resblock_kernels=(3,),
    resblock_dilations=((1, 3),),
)


def voice(folder, name, **options):
    """An engine out of ``name``'s files in ``folder``, as its project keeps them."""
    path = formats.ACOUSTIC[name](folder / name, formats.HEARD)
    m4 = golden.FOLDER / "m4gan_small"
    vocoder = m4 if name == "comosvc" else openvpi.small(folder / "nsf", NSF).parent
    content = huberts.huggingface(folder / "contentvec")
    steps = (1,) if name == "comosvc" else (3,)
    options = {"steps": steps, "vocoder": vocoder, "content": content, "progress": None, **options}
    return build.compile(path, folder / f"{name}.fsvc", **options)


@pytest.mark.slow
@pytest.mark.parametrize("name", formats.ACOUSTIC)
def test_a_recording_is_converted(tmp_path, name):
    path = voice(tmp_path, name, speaker_f0="2:220,1:110")
    engine = fastsvc.load(path)
    samples = 9001  # neither whole frames nor whole units
    audio = (0.1 * np.sin(2 * np.pi * 200 * np.arange(samples) / 32000)).astype(np.float32)
    for speaker in (engine.speakers[1], engine.table.base + 1, {"1": 0.7, engine.speakers[2]: 0.3}):
        made, rate_hz = engine.convert(audio, 32000, speaker, f0_method="yin")
        assert rate_hz == 32000 and made.shape == (samples,) and np.isfinite(made).all() and made.any()
    text = describe(path)
    assert f"({name} " in text and "HuBERT, 3 layers × 32 channels" in text and "median 220 Hz" in text
    again, _ = fastsvc.load(path).convert(audio, 32000, {"1": 0.7, engine.speakers[2]: 0.3}, f0_method="yin")
    assert np.array_equal(made, again)


def test_parts_of_one_voice_serve_another(tmp_path):
    first = voice(tmp_path, "diffusion_svc")
    second = voice(tmp_path, "sovits", vocoder=first, content=first)
    text = describe(second)
    assert "vocoder      from vocoder.safetensors (nsf_hifigan" in text and "content.safetensors (huggingface" in text
    assert fastsvc.load(second).convert(np.zeros(3000, np.float32), 16000, 0, f0_method="yin")[0].shape == (3000,)


def test_formants_move_by_the_key_shift(tmp_path):
    """What the plain model makes of `aug_shift`, from the engine; and a model without it says so."""
    path = formats.sovits(tmp_path / "a")
    engine = fastsvc.load(build.compile(path, tmp_path / "a.fsvc", steps=(2,), progress=None))
    checkpoint = read(path)
    model = module("teacher", checkpoint.config)
    model.load_state_dict(checkpoint.tensors)
    units, f0_hz, volume, noise = (
        torch.randn(9, 12),
        torch.full((9,), 200.0),
        torch.full((9,), 0.1),
        torch.randn(9, 128),
    )
    shift = torch.tensor([3.0])
    cond = model.condition(units[None], f0_hz[None], volume[None], torch.tensor([0]), shift)
    want = model.sample(cond, 2, lambda step: noise[None])[0]
    got = engine.synthesise(units, f0_hz, volume, 0, noise=[noise], formant=3)[1]
    assert golden.relative(got, want) < 1e-5
    assert golden.relative(engine.synthesise(units, f0_hz, volume, 0, noise=[noise])[1], want) > 1e-3
    with pytest.raises(ConfigError, match="formant"):
        engine.synthesise(units, f0_hz, volume, 0, formant=40)
    other = fastsvc.load(
        build.compile(formats.ddsp_svc(tmp_path / "b"), tmp_path / "b.fsvc", steps=(2,), progress=None)
    )
    with pytest.raises(EngineError, match="key-shift"):
        other.synthesise(units, f0_hz, volume, 1, formant=1)


@pytest.mark.parametrize(
    "given, part",
    [
        ("nobody:200", "nobody"),
        ("1:5", "20 and 2000"),
        ("1:high", "'high'"),
        ("220", "no median pitches"),
        ("pitch.yaml", "not a mapping"),
    ],
)
def test_faults_of_median_pitches(tmp_path, monkeypatch, given, part):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pitch.yaml").write_text("- 1\n")
    with pytest.raises(Exception, match=part):
        build.compile(formats.sovits(tmp_path / "a"), tmp_path / "a.fsvc", speaker_f0=given, progress=None)


def test_median_pitches_from_files(tmp_path):
    path = formats.sovits(tmp_path / "a")
    (tmp_path / "p.json").write_text('{"singer 1": 180.5, "2": 300}')
    engine = fastsvc.load(build.compile(path, tmp_path / "e.fsvc", speaker_f0=tmp_path / "p.json", progress=None))
    assert engine.table.f0_hz == (0.0, 180.5, 300.0)
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus" / "corpus.json").write_text('{"singer_f0_hz": {"singer 0": 99.0, "stranger": 1.0}}')
    options = {"speaker_f0": tmp_path / "corpus", "force": True, "progress": None}
    assert fastsvc.load(build.compile(path, tmp_path / "e.fsvc", **options)).table.f0_hz == (99.0, 0.0, 0.0)
    (tmp_path / "corpus" / "corpus.json").write_text('{"singer_f0_hz": {"stranger": 100.0}}')
    with pytest.raises(ConfigError, match="knows the pitch of none of singer 0"):
        build.compile(path, tmp_path / "e.fsvc", **options)


def test_on_the_command_line(tmp_path):
    path = formats.diffusion_svc(tmp_path / "a")
    run = CliRunner().invoke
    result = run(main, ["inspect", str(path)])
    assert "Diffusion-SVC v1 checkpoint" in result.output and "DDPM, 1000 places" in result.output
    out = tmp_path / "e.fsvc"
    result = run(main, ["build", str(path), "-o", str(out), "--sampler", "unipc", "--depth", "100", "--steps", "4"])
    assert result.exit_code == 0, result.output
    assert "unipc, steps 4, refines given mels from place 100 on" in run(main, ["inspect", str(out)]).output
    (tmp_path / "x.wav").write_bytes(b"")
    result = run(main, ["convert", str(tmp_path / "x.wav"), "-m", str(out), "--spk", "1"])
    assert result.exit_code == 2 and "no vocoder and no content encoder" in result.output


def test_what_an_engine_cannot_do_is_said_before_the_first_file(tmp_path):
    path = voice(tmp_path, "ddsp_svc", speaker_f0="1:220")
    (tmp_path / "x.wav").write_bytes(b"")
    arguments = ["convert", str(tmp_path / "x.wav"), "-m", str(path), "-o", str(tmp_path / "out"), "--f0", "yin"]
    for options, part in (
        (["--spk", "2", "--transpose", "auto"], "does not hold the median pitch of this speaker"),
        (["--spk", "1", "--formant", "1"], "no key-shift embedding"),
        (["--spk", "1", "--formant", "nan"], "nan is not a finite number"),
    ):
        result = CliRunner().invoke(main, [*arguments, *options])
        assert result.exit_code == 2 and part in result.output, result.output
    assert CliRunner().invoke(main, [*arguments, "--spk", "1", "--transpose", "auto"]).exit_code == 1  # the file is bad
