"""Training of the singer verifier with additive angular margin softmax.

A copy whose spectrum is stretched is another throat and another pitch, so it counts as a new singer: each singer of
the corpus gives a few classes, one per stretch. Where the harmonics alone move and the formants stay it is the same
singer at another pitch, so pitch is no way to tell the classes apart. Other perturbations (band limits, equaliser,
noise, level) keep the class as well. Mels that a teacher or student made of a singer's own phrases may stand among the
real ones.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import nn

from fastsvc.config import VerifierConfig, from_dict, to_dict
from fastsvc.config.limits import SHARE
from fastsvc.config.plain import within
from fastsvc.model.verifier import AngularMargin, Verifier
from fastsvc.training import augment
from fastsvc.training.generated import GeneratedSettings, maker_of
from fastsvc.training.task import Task, Turn

MILD = augment.AugmentConfig(
    equaliser_db=4.0,
    tilt_db=6.0,
    band_limit=0.3,
    noise=0.5,
    snr_db=(15.0, 45.0),
    reverb=0.2,
    saturation=0.0,
    codec=0.1,
    warp=(1.0, 1.0),
    tempo=(0.9, 1.1),
    mel_masks=1,
    pitch=(0.75, 1.33),
)


@dataclass(frozen=True)
class SingerTaskConfig:
    """The YAML's ``task`` part. ``model.singers`` and, unless given, ``model.mel`` are taken from the corpus."""

    model: dict = field(default_factory=dict)
    augment: augment.AugmentConfig = MILD
    stretches: tuple[float, ...] = (1.0, 0.84, 1.19)  # the first must be 1: the singers as they are
    margin: float = 0.2
    margin_from: float = 0.2  # the margin grows from 0 over this share of the budget
    scale: float = 30.0
    held_out: bool = False  # for evaluation or a guard alone: no student may be trained to please it
    generated: GeneratedSettings = field(default_factory=GeneratedSettings)
    valid_batches: int = 6

    def __post_init__(self):
        within("task", self, stretches=(0.25, 4), margin=(-2, 2), margin_from=SHARE, scale=(0, 1e4))
        within("task", self, valid_batches=(0, 10_000))


class SingerTask(Task):
    kind = "singer"
    best = ("equal_error_rate", "min")

    def __init__(self, config, corpus, device, **loop):
        super().__init__(config, corpus, device, **loop)
        self.settings = from_dict(SingerTaskConfig, config or {}, "task")
        plain = {"mel": to_dict(corpus.mel)} | self.settings.model | {"singers": list(corpus.singers)}
        self.model_config = from_dict(VerifierConfig, plain, "task.model")
        self.agree(self.model_config, self.settings)
        self.speakers = list(corpus.singers)
        self.model = Verifier(self.model_config).to(self.device)
        classes = len(corpus.singers) * len(self.settings.stretches)
        self.margin = AngularMargin(self.model_config.embedding, classes, self.settings.margin, self.settings.scale)
        self.margin.to(self.device)
        self.extra = {"margin": self.margin}
        self.singer_rows = {"margin": {"weight": len(self.settings.stretches)}}
        self.maker = maker_of(self.settings.generated, corpus, self.device, self.model_config.mel)
        self.trained = nn.ModuleList([self.model, self.margin])

    def config_for_checkpoint(self) -> dict:
        return to_dict(self.model_config)

    @staticmethod
    def lasting(settings: SingerTaskConfig) -> dict:
        return {"task.stretches": list(settings.stretches), "task.held_out": settings.held_out}

    def batch(self, rng: np.random.Generator) -> dict:
        """mel [B, T, M] and class [B]; one stretch for each of as many parts of the batch."""
        stretches = self.settings.stretches
        parts = []
        made = self.maker.count(self.batch_size) if self.maker else 0
        for k, size in enumerate(_shares(self.batch_size - made, len(stretches))):
            if size:
                item = self.perturbed(rng, "train", size, self.settings.augment, stretches[k])
                parts.append((item["mel"], item["singer"] + k * len(self.speakers)))
        frames = min(mel.shape[1] for mel, _ in parts)  # tempos differ
        batch = {
            "mel": torch.cat([mel[:, :frames] for mel, _ in parts]),
            "class": torch.cat([label for _, label in parts]),
        }
        return batch | (self.maker.draw(rng, made, self.batch_frames) if made else {})

    def perturbed(self, rng, split: str, size: int, config: augment.AugmentConfig, stretch: float = 1.0) -> dict:
        """Crops of singers drawn evenly, of those with songs in the split -> mel, singer [B]."""
        some = np.array(self.corpus.having(split))
        voices = some[rng.integers(len(some), size=size)]
        crops = [self.corpus.crop(rng, split, self.batch_frames, int(voice)) for voice in voices]
        audio = torch.from_numpy(np.stack([crop["audio"] for crop in crops]))
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        config = replace(config, warp=(config.warp[0] * stretch, config.warp[1] * stretch))
        mel, _ = augment.perturbed_mel(audio, self.corpus.mel.rate_hz, self.model_config.mel, config, generator)
        return {"mel": mel, "singer": torch.as_tensor(voices).long()}

    def turns(self, step: int) -> list[Turn]:
        return [Turn("singer", self.trained, self._loss)]

    def _loss(self, batch: dict, step: int):
        share = self.progress / self.settings.margin_from if self.settings.margin_from else 1.0
        margin = self.settings.margin * min(1.0, share)
        embedding, known = self.model(batch["mel"]), batch["class"]
        if self.maker:  # apart, as its crops have another length
            made = self.maker.mel(batch, self.generator)
            embedding = torch.cat([embedding, self.model(made, batch["made_valid"])])
            known = torch.cat([known, batch["made_singer"]])
        with torch.autocast(self.device.type, enabled=False):
            loss = self.margin(embedding, known, margin)
            right = self.margin.cosines(embedding.detach()).argmax(1) == known
        return loss, {"accuracy": right.float().mean()}

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Held-out songs, clean and perturbed: equal error rate over all pairs, and the nearest other song's singer."""
        out = {}
        for name, config in (("", augment.NONE), ("_perturbed", replace(self.settings.augment, tempo=(1.0, 1.0)))):
            rng = np.random.default_rng(1234)
            embeddings, singers = [], []
            for _ in range(self.settings.valid_batches):
                item = self.perturbed(rng, "valid", self.batch_size, config)
                embeddings.append(model(item["mel"].to(self.device)).cpu())
                singers.append(item["singer"])
            embedding, singer = torch.cat(embeddings), torch.cat(singers)
            cosine = embedding @ embedding.T
            out[f"equal_error_rate{name}"] = equal_error_rate(cosine, singer)
            nearest = (cosine - 2 * torch.eye(len(singer))).argmax(1)
            out[f"accuracy{name}"] = float((singer[nearest] == singer).float().mean())
        return out


def _shares(size: int, parts: int) -> list[int]:
    """Half for the first, the rest evenly: [16, 8, 8] of 32 and 3."""
    if parts == 1:
        return [size]
    rest = size // 2
    each = [rest // (parts - 1) + (i < rest % (parts - 1)) for i in range(parts - 1)]
    return [size - rest, *each]


def equal_error_rate(cosine: torch.Tensor, singer: torch.Tensor) -> float:
    """cosine [N, N], singer [N]: where as many pairs of one singer are refused as pairs of two are accepted."""
    upper = torch.triu(torch.ones_like(cosine, dtype=torch.bool), diagonal=1)
    same = singer[:, None] == singer[None]
    genuine, impostor = cosine[upper & same].sort().values, cosine[upper & ~same].sort().values
    if not len(genuine) or not len(impostor):
        return float("nan")
    refused = torch.arange(1, len(genuine) + 1) / len(genuine)
    accepted = 1 - torch.searchsorted(impostor, genuine) / len(impostor)
    at = (refused - accepted).abs().argmin()
    return float((refused[at] + accepted[at]) / 2)
