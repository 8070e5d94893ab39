"""Files that people pass in place of a voice of RVC: each is named, with what to do instead."""

import pytest
import torch
from rvc_files import content, edited, saved

from fastsvc.checkpoints import read
from fastsvc.errors import CheckpointError


def state(*names: str) -> dict:
    return {name: torch.zeros(2) for name in names}


VOICE = content()["weight"]
TRAINING = {"iteration": 2333, "optimizer": {"state": {}}, "learning_rate": 1e-4}
DISCRIMINATOR = state("discriminators.0.convs.0.weight_g", "discriminators.0.convs.0.weight_v")
RELATIVES = {  # content, what the line says, what to do
    "G_": ({"model": VOICE} | TRAINING, "training checkpoint of RVC (G_….pth), not a voice", "Model extraction"),
    "pretrained": ({"model": VOICE | state("enc_q.pre.bias")}, "training checkpoint of RVC", "assets/weights"),
    "distributed": (
        {"model": {f"module.{n}": v for n, v in VOICE.items()}} | TRAINING,
        "training checkpoint",
        "Applio",
    ),
    "D_": ({"model": DISCRIMINATOR} | TRAINING, "discriminator (D_….pth), which only training uses", "the voice's own"),
    "weights": (VOICE, "weights of a voice of RVC alone", "the voice's own .pth"),
    "so-vits-svc": (
        {"model": state("enc_p.proj.weight", "emb_g.weight", "emb_uv.weight", "pre.weight", "dec.conv_pre.bias")}
        | TRAINING,
        "VITS generator of so-vits-svc",
        "logs/44k/diffusion",
    ),
    "SoVITS": (
        {
            "weight": state("enc_p.ssl_proj.weight", "ref_enc.fc.bias", "dec.ups.0.bias"),
            "config": {"data": {}},
            "info": "",
        },
        "SoVITS half of GPT-SoVITS",
        "what can be built: RVC v1 and v2",
    ),
    "GPT": (
        {"weight": state("model.ar_text_embedding.word_embeddings.weight"), "config": {"model": {}}, "info": "GPT"},
        "GPT half of GPT-SoVITS",
        "what can be built",
    ),
    "another VITS": (
        {"model": state("enc_p.emb.weight", "flow.flows.0.pre.weight")},
        "VITS generator of neither",
        "RVC v1",
    ),
}


@pytest.mark.parametrize("name", RELATIVES)
def test_relatives_are_named(tmp_path, name):
    whole, what, remedy = RELATIVES[name]
    with pytest.raises(CheckpointError) as caught:
        read(saved(tmp_path / "x.pth", whole))
    text = str(caught.value)
    assert what in text and remedy in text and "x.pth" in text and "\n" not in text, text


def renamed(old: str, new: str):
    def change(whole):
        whole["weight"] = {name.replace(old, new): value for name, value in whole["weight"].items()}

    return change


@pytest.mark.parametrize(
    "said, change, name",
    [
        ("RefineGAN", lambda whole: None, "RefineGAN"),
        ("MRF HiFi-GAN", lambda whole: None, "MRF HiFi-GAN"),
        ("RingFormer", lambda whole: None, "RingFormer"),
        (None, renamed("dec.resblocks.", "dec.upsample_conv_blocks."), "RefineGAN"),
        (None, renamed("dec.ups.", "dec.upsamples."), "MRF HiFi-GAN"),
        ("HiFi-GAN", renamed("dec.resblocks.", "dec.mrfs."), "MRF HiFi-GAN"),
    ],
)
def test_other_generators_are_named(tmp_path, said, change, name):
    with pytest.raises(CheckpointError, match=f"with the generator {name}, a different network .only voices with"):
        read(edited(tmp_path / "a.pth", "voice", change, vocoder=said))


@pytest.mark.parametrize("said", ["HiFi-GAN", "hifigan", "", None, 3])
def test_its_own_generator_is_read(tmp_path, said):
    assert read(edited(tmp_path / "a.pth", "voice", vocoder=said)).vocoder.tensors
