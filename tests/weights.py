"""Random weights under which a network hears: each input moves the output far, and nothing stands at a limit.

Maps keep the level of what they read, biases are small, gains of norms are near one. With biases of N(0, 1) a vocoder's
audio stands at 0.9 and moves by 1e-5 where a tone becomes silence: comparisons within 1e-4 then hold for anything.
tests/test_engines.py measures how far each input moves the result.
"""

import torch
from torch import Tensor

from fastsvc.config import AnyVocoderConfig, SourceFilterConfig, VocoderConfig
from fastsvc.model import vocoders
from fastsvc.model.keys import skeleton
from fastsvc.model.modules import module
from fastsvc.model.vocoder import Generator

BIAS = 0.1
LOUDNESS = 0.25  # standard deviation of a vocoder's audio before tanh
# f0 enters as log1p(f0 / 700), of which a semitone at 220 Hz is 0.014; loudness as an RMS of about 0.2; mels vary by
# less than units of a trained encoder do.
GAINS = {
    "f0_embed.weight": 16.0,
    "volume_embed.weight": 6.0,
    "unit_embed.weight": 3.0,
    "pulse_embed.weight": 8.0,
    "conv_pre.weight": 6.0,
}
TABLES = ("spk_embed.weight",)  # a row is looked up, so nothing is summed over it


def random(like: dict[str, Tensor], generator: torch.Generator | None = None) -> dict[str, Tensor]:
    """A state dict with the names and shapes of ``like``."""

    def value(name: str, shape) -> Tensor:
        draw = torch.randn(shape, generator=generator)
        if name.endswith("bias"):
            return BIAS * draw
        if len(shape) == 1:
            return 1 + BIAS * draw
        gain = next((gain for end, gain in GAINS.items() if name.endswith(end)), 1.0)
        return gain * draw / (1 if name.endswith(TABLES) else shape[1:].numel() ** 0.5)

    return {name: value(name, tensor.shape) for name, tensor in like.items()}


@torch.no_grad()
def level(config: VocoderConfig, state: dict[str, Tensor]) -> None:
    """Scale a generator's last layer, in place: its audio gets a loudness between silence and clipping, and no mean."""
    model, generator = Generator(config).eval(), torch.Generator().manual_seed(1)
    model.load_state_dict(state)
    mel = torch.randn(1, 16, config.mel.bins, generator=generator) - 2
    f0_hz = 150 + 100 * torch.rand(1, 16, generator=generator)
    heard = []
    model.conv_post.register_forward_hook(lambda module, given, made: heard.append(made))
    sines = vocoders.seeded(f0_hz, config)
    model(mel, None if sines is None else model.source(sines))
    scale = LOUDNESS / heard[0].std()
    state["conv_post.bias"] = (state["conv_post.bias"] - heard[0].mean()) * scale
    state["conv_post.weight"] = state["conv_post.weight"] * scale


def vocoder(config: AnyVocoderConfig, seed: int = 0) -> dict[str, Tensor]:
    """The state dict of a vocoder of that configuration, from ``seed`` alone."""
    if isinstance(config, SourceFilterConfig):  # its level is that of the mel
        state = random(skeleton(lambda: module("vocoder", config)).state_dict(), torch.Generator().manual_seed(seed))
        return state | {"leave.weight": 0.3 * state["leave.weight"]}  # nepers
    state = random(Generator(config).state_dict(), torch.Generator().manual_seed(seed))
    level(config, state)
    return state
