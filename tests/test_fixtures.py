"""What tests compare hears: vocoders, content encoders and acoustic models of all layouts, as tests/test_engines.py."""

from pathlib import Path

import amphion_files
import formats
import golden
import huberts
import openvpi
import pytest
import torch
import vocoders
import weights
from golden import relative_rms
from test_engines import FLOAT32
from test_voices import NSF

from fastsvc.checkpoints import read
from fastsvc.config import RecogniserConfig
from fastsvc.engine.cpu.sampler import Synthesiser
from fastsvc.features import content, hubert
from fastsvc.model.modules import module
from fastsvc.model.recogniser import Recogniser

SEMITONE = 2 ** (1 / 12)
LEAST = 100 * FLOAT32


def deaf(moved: dict, base) -> dict:
    """Those of the results ``moved`` that lie near ``base``: the name of what was changed → how near."""
    moved = {name: relative_rms(got, base) for name, got in moved.items()}
    print(*(f"{name}: {value:.1e}" for name, value in moved.items()), sep="\n")
    return {name: value for name, value in moved.items() if not value >= LEAST}


def later(values: torch.Tensor) -> torch.Tensor:
    return values.roll(1, -2)


@pytest.mark.parametrize("name", vocoders.SMALL)
@torch.no_grad()
def test_vocoders_with_their_source_given(name):
    config = vocoders.SMALL[name]
    model, given = vocoders.generator(config), vocoders.given(config, 1, 20)
    base, moved = model(*vocoders.arguments(given)), {}
    for part, value in given.items():
        shifted = value.roll(1, 2 if part == "speaker" else 1)  # a speaker is the same in all frames
        for what, changed in ((f"{part} shifted", shifted), (f"no {part}", 0 * value)):
            moved[what] = model(*vocoders.arguments(given | {part: changed}))
    assert not deaf(moved, base) and base.abs().max() < 0.99 and abs(base.mean()) < base.std()


def synthesiser(name: str, folder: Path) -> Synthesiser:
    if name == "openvpi.small":
        checkpoint = read(openvpi.small(folder, NSF))
    elif name in vocoders.SMALL:
        config = vocoders.SMALL[name]
        return Synthesiser(weights.vocoder(config), config)
    else:
        checkpoint = read(golden.FOLDER / name)
    return Synthesiser(checkpoint.tensors, checkpoint.config)


GOLDEN = ["m4gan_small/model_ckpt_steps_1970000.ckpt", *(f"{n}/model" for n in ("nsf_hifigan_small", "pc_nsf_small"))]


@pytest.mark.parametrize("name", [*GOLDEN, "nsf_hifigan_two/model", "openvpi.small", *vocoders.SMALL])
def test_vocoders_whole(tmp_path, name):
    made = synthesiser(name, tmp_path)
    frames, config = 20, made.config
    mel, f0_hz = torch.randn(frames, config.mel.bins) - 2, 150 + 100 * torch.rand(frames)

    def make(mel, f0_hz, seed, row=1):
        return made(mel, f0_hz, seed, speaker=made.speaker({row: 1.0}))

    moved = {
        "mel one frame late": make(later(mel), f0_hz, 3),
        "half the contrast": make((mel + 2) / 2 - 2, f0_hz, 3),
    }
    if config.source != "none":
        moved["an octave"], moved["a semitone"] = make(mel, 2 * f0_hz, 3), make(mel, SEMITONE * f0_hz, 3)
    if config.source in ("sines", "pulse") or config.noise_sigma:
        moved["another seed"] = make(mel, f0_hz, 4)
    if config.speakers:
        moved["another speaker"] = make(mel, f0_hz, 3, 0)
    assert not deaf(moved, make(mel, f0_hz, 3))


@pytest.mark.parametrize("kind", ["hubert", "recogniser"])
def test_content_encoders(kind):
    if kind == "hubert":
        encoder = hubert.HubertEncoder(huberts.TINY, huberts.tensors())
    else:
        config = RecogniserConfig(phones=("-", "a", "b"), channels=24, layers=5, bottleneck=6)
        encoder = content.RecogniserEncoder(config, Recogniser(config).state_dict())
    audio, hop = 0.1 * torch.randn(16000), encoder.hop_samples
    units = encoder.encode(audio)
    moved = {
        "silence": encoder.encode(0 * audio),
        "one unit late": encoder.encode(audio.roll(hop)),
        "units late": later(units),
        "another recording": encoder.encode(0.1 * torch.randn(16000)),
    }
    assert not deaf(moved, units)


def condition(model, units, f0_hz, volume, speaker=1, key_shift=0.0):
    spec = model.config.condition
    who = torch.tensor([speaker]) if spec.speakers > 1 else None
    shift = torch.tensor([key_shift]) if spec.key_shift else None
    return model.condition(units[None], f0_hz[None], volume[None], who, shift)


@pytest.mark.parametrize("name", [*formats.ACOUSTIC, "amphion"])
@torch.no_grad()
def test_acoustic_models_of_other_projects(tmp_path, name):
    """Two steps of each, noise given; what a model does not take is left alone."""
    amphion = name == "amphion"
    checkpoint = read(amphion_files.experiment(tmp_path) if amphion else formats.ACOUSTIC[name](tmp_path))
    model = module(checkpoint.kind, checkpoint.config).eval()
    model.load_state_dict(checkpoint.tensors)
    spec, frames = checkpoint.config.condition, 19
    rows = {
        "units": torch.randn(frames, spec.unit_channels),
        "f0_hz": torch.full((frames,), 220.0),
        "volume": 0.2 * torch.rand(frames),
    }
    noise = torch.randn(2, 1, frames, checkpoint.config.mel.bins)

    def mel(draws=noise, **changes):
        return model.sample(condition(model, **rows | changes), 2, lambda step: draws[step])[0]

    moved = {
        "units late": mel(units=later(rows["units"])),
        "an octave": mel(f0_hz=2 * rows["f0_hz"]),
        "half the loudness": mel(volume=rows["volume"] / 2),
        "other noise": mel(noise.roll(1, 2)),
    }
    moved |= {"another singer": mel(speaker=2)} if spec.speakers > 1 else {}
    moved |= {"a key shift": mel(key_shift=3.0)} if spec.key_shift else {}
    assert not deaf(moved, mel())
