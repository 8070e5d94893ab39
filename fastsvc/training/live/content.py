"""A content encoder with a short future: it learns the units of a recogniser that sees all of it.

Both hear the same perturbed mel. The distance of units is joined by that of phones (the Kullback-Leibler divergence of
the posteriors, by the head that both share): not every direction of the units matters equally to what is said.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fastsvc.config import RecogniserConfig, from_dict, to_dict
from fastsvc.config.limits import FUTURE_FRAMES
from fastsvc.config.plain import within
from fastsvc.errors import ConfigError
from fastsvc.model.encoder_hash import KnownEncoder
from fastsvc.model.recogniser import ConvTrunk, Recogniser
from fastsvc.training import augment, encoders
from fastsvc.training.live import taps
from fastsvc.training.recogniser import score
from fastsvc.training.task import Task, Turn


@dataclass(frozen=True)
class LiveContentSettings:
    """The YAML's ``task`` part."""

    teacher: str  # path of the recogniser whose units are learned
    future_frames: int = 2  # mel frames after its own that a unit may depend on
    augment: augment.AugmentConfig = field(default_factory=augment.AugmentConfig)
    posteriors: float = 0.2  # weight of the phones' divergence beside the units' distance
    valid_batches: int = 4

    def __post_init__(self):
        within("task", self, future_frames=FUTURE_FRAMES, posteriors=(0, 1e3), valid_batches=(0, 10_000))


class LiveContentTask(Task):
    kind = "recogniser"
    best = ("unit_distance", "min")
    settings_class = LiveContentSettings

    def __init__(self, config, corpus, device, **loop):
        super().__init__(config, corpus, device, **loop)
        self.settings = from_dict(LiveContentSettings, config, "task")
        whole, tensors, _ = encoders.read(self.settings.teacher)
        if whole.architecture != "conv":
            raise ConfigError(
                f"{self.settings.teacher} is a {whole.architecture}, and only convolutions can learn from themselves "
                "to see less of the future",
                "name a recogniser of architecture conv as task.teacher",
            )
        self.model_config = replace(whole, future_frames=self.settings.future_frames)
        known = KnownEncoder(whole, tensors)
        self.units_of = [known.exact, *sorted(known.rounded)]
        self.agree(self.model_config, self.settings)
        self.teacher = Recogniser(whole)
        self.teacher.load_state_dict(tensors)
        self.teacher.requires_grad_(False).to(self.device)  # in training mode: that is the faster form, and no other
        self.model = started(self.teacher, self.model_config).to(self.device)
        self.labelled = tuple(corpus.phones) == whole.phones[1:]
        if not self.labelled:
            self.notes.append(f"{corpus.path} has other phones than the teacher: phone errors are not measured")

    def of_corpus(self) -> dict:
        """Besides: the hashes of the teacher, as trained and as engines that round it have it."""
        return super().of_corpus() | {"units_of": self.units_of}

    def config_for_checkpoint(self) -> dict:
        return to_dict(self.model_config)

    def batch(self, rng: np.random.Generator) -> dict:
        return self._drawn(rng, "train", self.settings.augment)

    def _drawn(self, rng: np.random.Generator, split: str, config: augment.AugmentConfig) -> dict:
        """mel [B, T, M] and labels [B, T] (blank 0, −1 unknown)."""
        crops, source = self.corpus.batch(rng, split, self.batch_size, self.batch_frames), self.corpus.mel
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        audio = torch.as_tensor(crops["audio"])
        mel, hop = augment.perturbed_mel(audio, source.rate_hz, self.model_config.mel, config, generator)
        labels = torch.as_tensor(crops["phone_labels"]).long()
        labels = torch.where(labels >= 0, labels + 1, labels)
        return {"mel": mel, "labels": augment.labels_at(labels, source.hop_samples, hop, mel.shape[1])}

    def turns(self, step: int) -> list[Turn]:
        return [Turn("units", self.model, self._loss)]

    def _loss(self, batch: dict, step: int) -> tuple[Tensor, dict]:
        with torch.no_grad():
            wanted, wanted_logits = self.teacher(batch["mel"])
        units, logits = self.model(batch["mel"])
        distance = F.l1_loss(units.float(), wanted.float())
        divergence = posterior_divergence(logits, wanted_logits)
        figures = {"distance": distance.detach(), "divergence": divergence.detach()}
        return distance + self.settings.posteriors * divergence, figures

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Held-out songs: mean |difference| of units, and with the teacher's phones the errors of both."""
        rng = np.random.default_rng(1234)
        distance, errors, teacher_errors, phones = 0.0, 0, 0, 0
        for _ in range(self.settings.valid_batches):
            batch = self._drawn(rng, "valid", augment.NONE)
            mel = batch["mel"].to(self.device)
            (units, logits), (wanted, wanted_logits) = model(mel), self.teacher(mel)
            distance += float(F.l1_loss(units, wanted)) / self.settings.valid_batches
            if self.labelled:
                counts = score(logits.cpu(), batch["labels"])
                errors, phones = errors + counts[2], phones + counts[3]
                teacher_errors += score(wanted_logits.cpu(), batch["labels"])[2]
        figures = {"unit_distance": distance}
        if phones:
            figures |= {"phone_error_rate": errors / phones, "teacher_phone_error_rate": teacher_errors / phones}
        return figures


def posterior_divergence(logits: Tensor, wanted: Tensor) -> Tensor:
    """Mean over frames of KL(wanted ‖ logits), both [B, T, P]."""
    log_p, log_q = F.log_softmax(wanted.float(), dim=-1), F.log_softmax(logits.float(), dim=-1)
    return (log_p.exp() * (log_p - log_q)).sum(-1).mean()


@torch.no_grad()
def started(teacher: Recogniser, config: RecogniserConfig) -> Recogniser:
    """A recogniser of ``config``, of architecture conv, with the teacher's weights, its taps moved."""
    model = Recogniser(config)
    trunk = model.trunk
    assert isinstance(trunk, ConvTrunk), "checked by the task"
    model.load_state_dict(teacher.state_dict())
    convolutions = [trunk.stem, *(block.conv for block in trunk.blocks)]
    for conv, reach in zip(convolutions, trunk.reaches):
        conv.weight.copy_(taps.moved(conv.weight, conv.dilation[0], reach.ahead))
    return model
