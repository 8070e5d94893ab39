"""Files of VITS's relatives that people pass in place of a voice: named, each with what to do instead."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from fastsvc.config.shown import shown
from fastsvc.errors import CheckpointError

RVC = "enc_p.emb_phone."  # in RVC's networks alone
DISCRIMINATOR, CONFIG = "discriminators.", "config"
SO_VITS = ("emb_uv.", "f0_decoder.", "enc_p.f0_emb.", "pre.")
GPT_SOVITS = ("enc_p.ssl_proj.", "enc_p.mrte.", "enc_p.encoder_ssl.", "ref_enc.", "quantizer.")
GPT = ("ar_text_embedding.", "ar_audio_embedding.", "ar_predict_layer.")
ONLY_HIFIGAN = "only voices with RVC's own generator (HiFi-GAN) can be built: train it again with that one"
GENERATORS = {  # Applio's others: its name of each, and names that only that one's parameters have
    "RefineGAN": ("dec.mel_conv.", "dec.upsample_conv_blocks.", "dec.downsample_blocks."),
    "MRF HiFi-GAN": ("dec.mrfs.", "dec.upsamples."),
}
OWN_GENERATORS = ("hifi-gan", "hifigan", "default", "")


def refuse_generator(content: dict, path: Path) -> None:
    """Raises CheckpointError for a voice of RVC with another generator, by Applio's `vocoder` or by the tensors."""
    said = content.get("vocoder")
    named = isinstance(said, str) and said.lower() not in OWN_GENERATORS
    names = [str(name) for name in content["weight"]]
    by_tensors = (kind for kind, marks in GENERATORS.items() if any(name.startswith(marks) for name in names))
    kind = shown(said).strip("'\"") if named else next(by_tensors, None)
    if kind:
        raise CheckpointError(f"{path} is a voice of RVC with the generator {kind}, a different network", ONLY_HIFIGAN)


def refusal(content: dict, names: list[str], path: Path, built: str) -> CheckpointError | None:
    """The error for a relative; None for other files. ``names``: of the parameters; ``built``: what can be built."""

    def starts(*prefixes: str) -> bool:
        return any(name.startswith(prefixes) for name in names)

    found = _name(content, starts, built)
    return CheckpointError(f"{path} is {found[0]}", found[1]) if found else None


def _name(content: dict, starts: Callable[..., bool], built: str) -> tuple[str, str] | None:
    voice = "name the voice's own .pth (RVC: assets/weights/NAME.pth, Applio: logs/NAME/NAME_….pth)"
    if starts(DISCRIMINATOR):
        return "a discriminator (D_….pth), which only training uses", voice
    if starts(RVC):
        if CONFIG not in content and "model" in content:
            remedy = f"{voice}, or extract it from this file (RVC: ckpt Processing, Model extraction)"
            return "a training checkpoint of RVC (G_….pth), not a voice", remedy
        return "the weights of a voice of RVC alone, without its config and sr", voice
    if starts(*GPT_SOVITS):
        return "the SoVITS half of GPT-SoVITS, which speaks texts: a different network", built
    if starts(*GPT):
        return "the GPT half of GPT-SoVITS, which speaks texts: a different network", built
    if starts("enc_p.", "emb_g.") and starts(*SO_VITS):
        remedy = f"name its shallow diffusion model (logs/44k/diffusion/model_….pt), or RVC's voice; {built}"
        return "the VITS generator of so-vits-svc, a different network", remedy
    if starts("enc_p.", "emb_g.") and starts("dec.", "flow."):
        return "a VITS generator of neither RVC nor so-vits-svc, a different network", built
    return None
