"""A new content encoder that speaks an old one's language: its units come near those of the old one.

An acoustic model learns one encoder's units. Where a new encoder hears strangers better, the old one hears the corpus's
own singers well enough: its units of the unperturbed recording are the goal. So acoustic models go on from where they
were.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from fastsvc.config import RecogniserConfig
from fastsvc.config.plain import within
from fastsvc.errors import ConfigError
from fastsvc.model.recogniser import Recogniser
from fastsvc.training import encoders


@dataclass(frozen=True)
class OldUnitsSettings:
    content: str = ""  # checkpoint of the recogniser whose units are to be met; "": none
    weight: float = 1.0

    def __post_init__(self):
        within("task.old_units", self, weight=(0, 1e3))


class OldUnits:
    """Units of the old recogniser, frozen."""

    def __init__(self, settings: OldUnitsSettings, config: RecogniserConfig, device: torch.device):
        """Raises CheckpointError for a file of another kind, ConfigError where units have another size or rate."""
        old, tensors, _ = encoders.read(settings.content)
        of_units = {(one.bottleneck, one.mel.rate_hz, one.mel.hop_samples) for one in (old, config)}
        if len(of_units) > 1:
            raise ConfigError(
                f"task.old_units: {settings.content} has units of another size or rate",
                f"set task.model.bottleneck to {old.bottleneck}, and the mel's rate and hop as there",
            )
        self.settings, self.mel = settings, old.mel
        self.model = Recogniser(old)
        self.model.load_state_dict(tensors)
        self.model.requires_grad_(False).to(device)  # in training mode: that is the faster form, and no other

    def give_head(self, model: Recogniser) -> None:
        """Units near the old ones say the same phones by the old head, where it names the same phones."""
        if self.model.config.phones == model.config.phones:
            model.head.load_state_dict(self.model.head.state_dict())

    def distance(self, units: Tensor, mel: Tensor, step: float) -> Tensor:
        """Mean |difference| of units [B, T, D], ``step`` old units apart, from those of the plain mel [B, T', M]."""
        with torch.no_grad():
            wanted = self.model(mel)[0].float()
        place = ((torch.arange(units.shape[1], device=mel.device) + 0.5) * step).long()
        return F.l1_loss(units.float(), wanted[:, place.clamp(max=wanted.shape[1] - 1)])
