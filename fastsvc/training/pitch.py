"""Training of the pitch net, which finds f0 in a mel. Cross-entropy over bins, blurred as CREPE's are.

A stretched spectrum has another pitch, so every corpus covers the range. The net is trained on real mels and, if
configured, on those of a teacher or student; the DMO student's pitch loss uses it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fastsvc.config import PitchConfig, from_dict, to_dict
from fastsvc.config.plain import within
from fastsvc.errors import ConfigError
from fastsvc.model.pitch import PitchNet
from fastsvc.training import augment
from fastsvc.training.generated import GeneratedSettings, maker_of
from fastsvc.training.singer import MILD
from fastsvc.training.task import Task, Turn

GROSS_CENTS = 50.0


@dataclass(frozen=True)
class PitchTaskConfig:
    """The YAML's ``task`` part. ``model.mel`` is the corpus's."""

    model: dict = field(default_factory=dict)
    augment: augment.AugmentConfig = replace(MILD, pitch=(1.0, 1.0), tempo=(1.0, 1.0), time_masks=0)
    stretch: tuple[float, ...] = (0.75, 1.33)  # of the spectrum, one for each batch
    blur_cents: float = 25.0
    generated: GeneratedSettings = field(default_factory=GeneratedSettings)
    valid_batches: int = 4

    def __post_init__(self):
        within("task", self, stretch=(0.25, 4), blur_cents=(0.1, 1e4), valid_batches=(0, 10_000))
        if len(self.stretch) != 2:
            raise ConfigError(f"task.stretch has {len(self.stretch)} numbers", "set the lowest and the highest")


class PitchTask(Task):
    kind = "pitch"
    best = ("cents", "min")

    def __init__(self, config, corpus, device, **loop):
        super().__init__(config, corpus, device, **loop)
        self.settings = from_dict(PitchTaskConfig, config or {}, "task")
        plain = self.settings.model | {"mel": to_dict(corpus.mel)}
        self.model_config = from_dict(PitchConfig, plain, "task.model")
        self.agree(self.model_config, self.settings)
        self.model = PitchNet(self.model_config).to(self.device)
        self.maker = maker_of(self.settings.generated, corpus, self.device, self.model_config.mel)

    def config_for_checkpoint(self) -> dict:
        return to_dict(self.model_config)

    def batch(self, rng: np.random.Generator) -> dict:
        generated = self.maker.count(self.batch_size) if self.maker else 0
        crops = self.corpus.batch(rng, "train", self.batch_size - generated, self.batch_frames)
        batch = self.perturbed(crops, rng, self.settings.augment, self.settings.stretch)
        return batch | (self.maker.draw(rng, generated, self.batch_frames) if generated else {})

    def perturbed(self, crops: dict, rng, config: augment.AugmentConfig, stretch: tuple[float, ...]) -> dict:
        """Corpus crops → mel [B, T, M], f0_hz [B, T] (0: not sung, or unknown)."""
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        audio, source = torch.as_tensor(crops["audio"]), self.corpus.mel
        warp = float(augment.log_uniform(generator, *stretch, 1))
        config = replace(config, warp=(warp, warp))
        mel, _ = augment.perturbed_mel(audio, source.rate_hz, self.model_config.mel, config, generator)
        f0_hz = torch.as_tensor(crops["f0_hz"]) * torch.as_tensor(crops["voiced"])
        return {"mel": mel, "f0_hz": (f0_hz / warp)[:, : mel.shape[1]].float()}  # a warp above 1 moves all down

    def turns(self, step: int) -> list[Turn]:
        return [Turn("pitch", self.model, self._loss)]

    def _loss(self, batch: dict, step: int):
        mel, f0_hz = batch["mel"], batch["f0_hz"]
        if self.maker:
            mel = torch.cat([mel, self.maker.mel(batch, self.generator)])
            f0_hz = torch.cat([f0_hz, batch["made_f0_hz"] * batch["made_voiced"] * batch["made_valid"]])
        return self.cross_entropy(self.model(mel), f0_hz), {}

    def cross_entropy(self, logits: Tensor, f0_hz: Tensor) -> Tensor:
        """logits [B, T, bins] against bins blurred about f0 [B, T], mean over the voiced frames within the range."""
        config = self.model_config
        bin_cents = torch.arange(config.bins, device=logits.device) * config.step_cents
        target_cents = self.model.cents_of(f0_hz)
        counted = (f0_hz > config.low_hz) & (target_cents < bin_cents[-1])
        blurred = torch.softmax(-0.5 * ((bin_cents - target_cents[..., None]) / self.settings.blur_cents) ** 2, dim=-1)
        loss = -(blurred * F.log_softmax(logits.float(), dim=-1)).sum(-1)
        return torch.where(counted, loss, 0).sum() / counted.sum().clamp(min=1)

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Held-out songs as they are: median error in cents, and the share of errors above 50 cents."""
        rng, errors = np.random.default_rng(1234), []
        for _ in range(self.settings.valid_batches):
            crops = self.corpus.batch(rng, "valid", self.batch_size, self.batch_frames)
            batch = self.perturbed(crops, rng, augment.NONE, (1.0, 1.0))
            f0_hz = batch["f0_hz"].to(self.device)
            cents = model.cents(model(batch["mel"].to(self.device)))
            errors.append((cents - model.cents_of(f0_hz)).abs()[f0_hz > 0].cpu())
        errors = torch.cat(errors)
        if not len(errors):
            return {}
        return {"cents": float(errors.median()), "gross": float((errors > GROSS_CENTS).float().mean())}
