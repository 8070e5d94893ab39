"""The three eras of CoMoSVC's code, whose files have the same keys and do not name their era.

- ``plain`` (until 2023-12-05): EDM's own c_skip and c_out, raw log10 mel;
- ``raw`` (2023-12-18 to 2024-02-25): today's preconditioning, raw log10 mel;
- ``normalised`` (since 2024-02-26): mel mapped from −6 … 1.5 onto −1 … 1.

A probe tells raw from normalised: the network predicts a mel of silence and of a loud note, whose values lie in one
range or the other. The probe cannot tell plain from raw: at σ = 80, where a student works, they differ by 5e-5. But
files from before 2023-12-01 have no pitch extractor `decoder.pe`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from fastsvc.config import AcousticConfig, NormConfig
from fastsvc.errors import CheckpointError
from fastsvc.model.keys import skeleton

NORMALISED, RAW = NormConfig((-6.0,), (1.5,)), NormConfig((-1.0,), (1.0,))  # −1 … 1 onto −1 … 1: unchanged
ERAS = ("plain", "raw", "normalised")


@dataclass(frozen=True)
class Guess:
    """``confidence``: "sure", "likely" or "unsure"; ``low``, ``high``: 5th and 95th percentile of the predicted mel."""

    era: str
    confidence: str
    low: float
    high: float


def settle(
    config: AcousticConfig, tensors: dict[str, Tensor], option: str | None, without_pitch_extractor: bool
) -> tuple[AcousticConfig, str]:
    """(the configuration of the era in ``option`` or of the guessed one, a line that names the era and the reason)."""
    if option not in (None, "auto", *ERAS):
        raise CheckpointError(f"CoMoSVC has no era {option!r}", f"use one of {', '.join(ERAS)}")
    guess = probe(config, tensors, without_pitch_extractor)
    answers = f"answers lie within {guess.low:.2f} … {guess.high:.2f}"
    if option in ERAS:
        era, note = option, f"era {option}, as given (the probe says {guess.era}, {guess.confidence}: {answers})"
    elif guess.confidence == "unsure":
        era, note = "normalised", f"era normalised, assumed: the probe is unsure ({answers}); --era plain|raw if noisy"
    else:
        era, note = guess.era, f"era {guess.era}, {guess.confidence}: {answers}; --era overrides it"
    edm = replace(config.edm, skip_offset=era != "plain", out_offset=era != "plain")
    return replace(config, edm=edm, norm=NORMALISED if era == "normalised" else RAW), note


@torch.no_grad()
def probe(config: AcousticConfig, tensors: dict[str, Tensor], without_pitch_extractor: bool = False) -> Guess:
    """Guess a network's era from one evaluation at σ_max over 16 frames, half of them silent."""
    from fastsvc.model.acoustic import AcousticModel

    model = skeleton(lambda: AcousticModel(config))
    model.load_state_dict(tensors, assign=True)
    generator = torch.Generator().manual_seed(0)
    frames = 16
    units = 0.2 * torch.randn(1, frames, config.condition.unit_channels, generator=generator)
    f0_hz = torch.full((1, frames), 220.0)
    volume = torch.cat([torch.zeros(1, frames // 2), torch.full((1, frames // 2), 0.1)], dim=1)
    speaker = torch.zeros(1, dtype=torch.int64) if config.condition.speakers > 1 else None
    cond = model.condition(units, f0_hz, volume, speaker)
    level = config.edm.sigma_max
    x = level * torch.randn(1, frames, config.mel.bins, generator=generator)
    answer = model.denoise(x, level, cond).flatten()
    low, high = torch.quantile(answer, torch.tensor([0.05, 0.95])).tolist()
    raw = "plain" if without_pitch_extractor else "raw"
    if low < -1.6 and high < 2.5 and low > -8:
        return Guess(raw, "sure" if low < -2.5 else "likely", low, high)
    if -1.3 < low < -0.35 and high < 1.3:
        # silence, at −5, becomes −0.73 when it is normalised; a raw mel never stays above −1.3
        return Guess("normalised", "sure" if low < -0.55 else "likely", low, high)
    return Guess("normalised", "unsure", low, high)
