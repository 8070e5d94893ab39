"""Checkpoints of tiny untrained networks, to be evaluated and demonstrated."""

import torch

from fastsvc import config as c
from fastsvc.evaluation import clips
from fastsvc.model.acoustic import AcousticModel
from fastsvc.model.recogniser import Recogniser
from fastsvc.model.verifier import Verifier
from fastsvc.model.vocoder import Generator


def save(path, kind, model, speakers=(), f0_hz=()):
    from fastsvc.training import checkpoint

    state = model.state_dict()
    plain = {"model": c.to_dict(model.config), "train": {}}
    checkpoint.save(
        path, kind=kind, step=1, config=plain, speakers=speakers, speaker_f0_hz=f0_hz, model=state, ema=state
    )
    return path


def networks(tmp_path_factory):
    """Checkpoints of tiny untrained networks for two voices of the choir, and the engine built from them."""
    from fastsvc.build import compile

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("evaluation")
    names, f0_hz = ("ada", "bruno"), [s.f0_hz for s in clips.targets(("ada", "bruno"), (), 0)[0]]
    phones = ("<blank>", "pau", "aa", "t", "s")
    mel = c.MelConfig()
    acoustic = c.AcousticConfig(
        mel=mel,
        features=c.FeatureConfig(unit_channels=6),
        condition=c.ConditionConfig(unit_channels=6, channels=8, speakers=2, key_shift=False, voicing=True),
        denoiser=c.DenoiserConfig(channels=8, layers=2, cond_channels=8),
    )
    vocoder = c.VocoderConfig(
        initial_channels=16, resblock="2", resblock_kernels=(3,), resblock_dilations=((1, 3),), harmonics=2
    )
    small = {"phones": phones, "channels": 8, "layers": 1, "bottleneck": 6}
    paths = {
        "teacher": save(folder / "teacher.pt", "teacher", AcousticModel(acoustic), names, f0_hz),
        "student": save(folder / "student.pt", "student", AcousticModel(acoustic), names, f0_hz),
        "vocoder": save(folder / "vocoder.pt", "vocoder", Generator(vocoder)),
        "content": save(folder / "content.pt", "recogniser", Recogniser(c.RecogniserConfig(**small))),
        "recogniser": save(
            folder / "held.pt", "recogniser", Recogniser(c.RecogniserConfig(**small, architecture="gru"))
        ),
        "verifier": save(
            folder / "held_singer.pt",
            "singer",
            Verifier(c.VerifierConfig(channels=16, layers=2, embedding=8, architecture="conv2d")),
        ),
    }
    paths["engine"] = compile(
        paths["student"],
        folder / "tiny.fsvc",
        vocoder=paths["vocoder"],
        content=paths["content"],
        steps=(1, 2),
        progress=None,
    )
    return paths
