"""Units of the same words from other throats, for which the true mel is still known.

A content encoder knows the voices of a corpus better than a stranger's. So a student that has only met clean units of
its own singers meets worse ones in use. Here a part of the crops is heard through another throat, room and microphone
(as an encoder's training hears them; information perturbation as in NANSY, arXiv 2110.14513), encoded anew, and still
has to become the recording's own mel. What an encoder keeps of the source's voice differs from disguise to disguise, so
the student learns not to trust it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from fastsvc.config.limits import SHARE
from fastsvc.config.plain import within
from fastsvc.data.corpus import Corpus
from fastsvc.data.units import encoder_hash
from fastsvc.errors import ConfigError
from fastsvc.features import align
from fastsvc.features.content import RecogniserEncoder
from fastsvc.training import augment, encoders

PLAIN = "plain_units"  # the crops' own units beside the disguised ones


@dataclass(frozen=True)
class ThroatSettings(augment.AugmentConfig):
    """As the encoder's training hears people, but in time with the mel, and with nothing hidden."""

    owner: ClassVar[str] = "task.disguise.throat"

    noise: float = 0.5
    snr_db: tuple[float, ...] = (8.0, 45.0)
    reverb: float = 0.15
    saturation: float = 0.0
    codec: float = 0.02
    warp: tuple[float, ...] = (0.77, 1.3)
    tempo: tuple[float, ...] = (1.0, 1.0)
    time_masks: int = 0
    mel_masks: int = 0
    pitch: tuple[float, ...] = (0.7, 1.45)
    bend: float = 0.12
    contrast: tuple[float, ...] = (0.75, 1.35)

    def __post_init__(self):
        super().__post_init__()
        if tuple(self.tempo) != (1.0, 1.0):
            raise ConfigError("task.disguise: another tempo would move the units away from the mel", "leave tempo at 1")


@dataclass(frozen=True)
class DisguiseSettings:
    content: str = ""  # the checkpoint of the corpus's content encoder
    share: float = 0.0  # of the crops
    throat: ThroatSettings = field(default_factory=ThroatSettings)

    def __post_init__(self):
        within("task.disguise", self, share=SHARE)
        if self.share and not self.content:
            raise ConfigError(
                "task.disguise has a share, but no content encoder",
                "set task.disguise.content to the checkpoint of the corpus's encoder, or the share to 0",
            )


class Disguise:
    """Replaces units of crops. Lives in the thread that draws batches, on the CPU."""

    def __init__(self, settings: DisguiseSettings, corpus: Corpus):
        """Raises CheckpointError for another file than a recogniser's, ConfigError for another encoder."""
        config, tensors, _ = encoders.read(settings.content)
        self.settings, self.encoder = settings, RecogniserEncoder(config, tensors)
        if encoder_hash(self.encoder) != (corpus.encoder or {}).get("hash"):
            raise ConfigError(
                f"task.disguise.content: {settings.content} did not make the units of {corpus.path}",
                "name the checkpoint that `prepare --encoder` had",
            )

    @torch.no_grad()
    def worn(self, crop: dict[str, Tensor], audio: Tensor, corpus: Corpus, rng: np.random.Generator) -> dict:
        """The crop [B, T, …] with other units for about ``share`` of its items, and its own as :data:`PLAIN`.

        The encoder hears the crop alone, as its training heard crops, where the plain units are of whole recordings.

        audio [B, T·hop] at the corpus's rate.
        """
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        chosen = augment.often(generator, self.settings.share, len(audio))
        units = crop["units"].clone()
        if chosen.any():
            config = self.encoder.config.mel
            mel, _ = augment.perturbed_mel(audio[chosen], corpus.mel.rate_hz, config, self.settings.throat, generator)
            way, ratio = corpus.unit_places
            heard = [align.align(one, units.shape[1], way, ratio=ratio) for one in self.encoder.model(mel)[0]]
            units[chosen] = torch.stack(heard)
        return crop | {"units": units, PLAIN: crop["units"]}
