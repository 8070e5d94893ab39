"""Voices of RVC: what is read from the golden files, and from files that say it differently."""

import json
import subprocess
import sys

import numpy as np
import pytest
import rvc_files
import rvc_generators
import torch
from rvc_files import APPLIO, VOICES, content, edited, saved, sized

from fastsvc.checkpoints import read
from fastsvc.checkpoints.readers import rvc, rvc_config
from fastsvc.config import hubert_units
from fastsvc.errors import CheckpointError
from fastsvc.model.keys import skeleton
from fastsvc.model.rvc import RvcModel
from fastsvc.model.vocoder import Generator

EVERY = VOICES | APPLIO


def test_reading_imports_no_compiler():
    """Torch's own takes seconds and 150 MB; arithmetic on the meta device would import it."""
    code = "import sys; from fastsvc.checkpoints import read; read(sys.argv[1]); print('torch._dynamo' in sys.modules)"
    command = [sys.executable, "-c", code, VOICES["v2_40k"]]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "False\n"


@pytest.mark.parametrize("name", EVERY)
def test_every_golden_voice(name):
    file, checkpoint = content(name), read(EVERY[name])
    config, vocoder, sizes = checkpoint.config, checkpoint.vocoder, file["config"]
    v1 = name.startswith("v1")
    assert (checkpoint.format, checkpoint.kind, vocoder.kind) == ("rvc", "rvc", "vocoder")
    assert config.version == ("v1" if v1 else "v2") and config.unit_channels == (256 if v1 else 768)
    assert hubert_units(config.features.encoder) == ((256, 9) if v1 else (768, 12))
    assert config.pitch == ("nof0" not in name) and vocoder.config.source == ("sines" if config.pitch else "none")
    assert config.mel == vocoder.config.mel and config.mel.rate_hz == 100 * config.mel.hop_samples == sizes[17]
    assert config.mel.log_base == "e" and config.mel.bins == sizes[2]
    assert config.speakers == vocoder.config.speakers == len(checkpoint.speakers) == (3 if name == "v1_40k" else 109)
    assert checkpoint.speakers[0] == name and checkpoint.speakers[1] == "speaker 1" and checkpoint.speaker_base == 0
    RvcModel(config).load_state_dict(checkpoint.tensors)
    Generator(vocoder.config).load_state_dict(vocoder.tensors)
    assert all(value.dtype == torch.float32 for value in (checkpoint.tensors | vocoder.tensors).values())
    assert "half precision" in " ".join(checkpoint.notes) and checkpoint.index is None


@pytest.mark.parametrize("name", VOICES)
def test_the_generator_is_that_of_a_direct_computation(name):
    """Weight norm in float32 about output channels and taps, the speakers' vectors, both biases."""
    config, tensors = rvc_generators.golden(name)
    vocoder = read(VOICES[name]).vocoder
    assert vocoder.config.upsample_rates == config.upsample_rates and vocoder.tensors.keys() == tensors.keys()
    for key, value in tensors.items():
        torch.testing.assert_close(vocoder.tensors[key], value, rtol=1e-5, atol=1e-6)


def test_the_flow_is_folded_by_hand():
    weight = {name: value.double() for name, value in content()["weight"].items()}
    tensors = read(VOICES["v2_40k"]).tensors
    for name in ("flow.flows.0.enc.in_layers.1", "flow.flows.6.enc.res_skip_layers.2", "flow.flows.2.enc.cond_layer"):
        gain, direction = weight[f"{name}.weight_g"], weight[f"{name}.weight_v"]
        norm = direction.pow(2).sum((1, 2), keepdim=True).sqrt()
        torch.testing.assert_close(tensors[f"{name}.weight"], (gain * direction / norm).float(), rtol=1e-6, atol=0)
    assert torch.equal(tensors["emb_g.weight"], weight["emb_g.weight"].float())


@pytest.mark.parametrize("name, frames", [("v1_40k", "T3"), ("v2_40k_nof0", "T3"), ("v2_48k", "T12")])
def test_upstreams_latent_from_the_file(name, frames):
    checkpoint = read(VOICES[name])
    model = RvcModel(checkpoint.config)
    model.load_state_dict(checkpoint.tensors)
    with np.load(rvc_files.FOLDER / name / f"{frames}.npz") as data:
        case = {key: torch.from_numpy(data[key]) for key in data.files}
    coarse = case["pitch"].long() if checkpoint.config.pitch else None
    with torch.no_grad():
        vector = model.speaker(case["sid"].reshape(1).long())
        z = model.latent(case["units"].float(), coarse, vector, case["noise_z"].float().transpose(1, 2))
    want = case["z"].float().transpose(1, 2)
    assert float((z - want).abs().max() / want.abs().max()) < 1e-5


def test_applios_files_are_one_voice():
    first, second = (read(path) for path in APPLIO.values())
    assert first.config == second.config and first.vocoder.config == second.vocoder.config
    for a, b in ((first, second), (first.vocoder, second.vocoder)):
        assert a.tensors.keys() == b.tensors.keys()
        assert all(torch.equal(a.tensors[name], b.tensors[name]) for name in a.tensors)
    assert first.step == 4200 and "speakers_id: 2 of the 109 speakers were trained" in " ".join(first.notes)
    assert first.speakers[1:3] == ("speaker 1", "speaker 2 (untrained)")


def test_single_precision(tmp_path):
    """Exact: half-precision values are float32 values, and folding starts from float32 in both."""

    def widen(whole):
        whole["weight"] = {name: value.float() for name, value in whole["weight"].items()}

    wide, half = read(edited(tmp_path / "a.pth", change=widen)), read(VOICES["v2_40k"])
    assert all(torch.equal(wide.tensors[name], half.tensors[name]) for name in half.tensors)
    assert all(torch.equal(wide.vocoder.tensors[name], half.vocoder.tensors[name]) for name in half.vocoder.tensors)
    assert "half precision" not in " ".join(wide.notes)


def test_what_the_first_files_lacked(tmp_path):
    old = read(edited(tmp_path / "a.pth", "v1_40k", version=None, f0=None, sr=None, info=None))
    assert old.config == read(VOICES["v1_40k"]).config


@pytest.mark.parametrize("said", ["40K", 40000, "40000", " 40k ", "40kHz"])
def test_ways_to_say_the_rate(tmp_path, said):
    checkpoint = read(edited(tmp_path / "a.pth", sr=said))
    assert checkpoint.config.mel.rate_hz == 40000 and not any("sr is" in note for note in checkpoint.notes)


def test_which_rate_is_right(tmp_path):
    """Of list and `sr`, the one that fits the hop; without pitch, no shape tells 32k from 48k of v1."""
    rates_48k = [10, 6, 2, 2, 2]
    merged = read(edited(tmp_path / "a.pth", sr="48k"))
    assert merged.config.mel.rate_hz == 40000 and "sr is '48k'" in " ".join(merged.notes)
    assert read(edited(tmp_path / "b.pth", "v1_48k", sized(17, 40000))).config.mel.rate_hz == 48000

    def no_pitch(whole):
        gone = ("dec.m_source.", "dec.noise_convs.", "enc_p.emb_pitch.")
        whole["weight"] = {name: value for name, value in whole["weight"].items() if not name.startswith(gone)}

    same = content("v1_48k")
    no_pitch(same)
    assert same["config"][12] == rates_48k
    for rate, rates, said in ((48000, rates_48k, "48k"), (32000, [10, 4, 2, 2, 2], "32k")):
        sizes = [*same["config"][:12], rates, *same["config"][13:17], rate]
        path = saved(tmp_path / f"{said}.pth", {**same, "config": sizes, "f0": 0, "sr": said})
        checkpoint = read(path)
        assert checkpoint.config.mel.rate_hz == rate and checkpoint.vocoder.config.upsample_rates == tuple(rates)
    with pytest.raises(CheckpointError, match="not 10 ms"):
        read(edited(tmp_path / "c.pth", change=sized(17, 44100), sr="44k"))


REAL = json.loads((rvc_files.FOLDER / "full" / "shapes.json").read_text())


@pytest.mark.parametrize("name", REAL["voices"])
def test_the_twelve_real_voices(name):
    """Names and shapes of the module that a file is held against, with the sizes of a real voice."""
    voice = REAL["voices"][name]
    shapes = {key: tuple(shape) for part in voice["parts"] for key, shape in REAL["parts"][part].items()}
    state = {key: torch.empty(shape, device="meta") for key, shape in shapes.items()}
    said = {"config": voice["config"], "version": name[:2], "f0": int("no f0" not in name), "sr": name.split()[1]}
    config, vocoder = rvc_config.configurations(said, state, rvc_files.ZIP)
    found = {
        key: tuple(value.shape) for key, value in skeleton(lambda: rvc._whole(config, vocoder)).state_dict().items()
    }
    assert found == {k.replace("weight_v", "weight"): shape for k, shape in shapes.items() if "weight_g" not in k}
    assert vocoder.initial_channels == 512 and config.hidden == config.mel.bins == 192 and config.speakers == 109


def test_tensors_that_only_training_uses(tmp_path):
    extra = {"enc_q.pre.weight": torch.zeros(2, 2, 1), "enc_q.pre.bias": torch.zeros(2)}
    checkpoint = read(edited(tmp_path / "a.pth", change=lambda whole: whole["weight"].update(extra)))
    assert "2 tensors enc_q.*" in " ".join(checkpoint.notes)
    assert checkpoint.tensors.keys() == read(VOICES["v2_40k"]).tensors.keys()


def test_a_speakers_number_that_is_not_used(tmp_path):
    for value in (1, 10**9):  # the table's rows count
        assert read(edited(tmp_path / "a.pth", change=sized(15, value))).config.speakers == 109
    for trained in (0, -1, 200, True, "2", [2]):
        checkpoint = read(edited(tmp_path / "a.pth", speakers_id=trained))
        assert checkpoint.speakers[108] == "speaker 108", trained


def test_names_that_collide(tmp_path):
    checkpoint = read(edited(tmp_path / "speaker 5.pth"))
    assert checkpoint.speakers[0] == "speaker 5" and checkpoint.speakers[5] == "speaker 5 (no name)"


def test_another_encoder_is_said(tmp_path):
    notes = " ".join(read(edited(tmp_path / "a.pth", "voice", embedder_model="spin")).notes)
    assert "units of 'spin'" in notes and "--content" in notes
    assert "units of" not in " ".join(read(APPLIO["voice"]).notes)
