"""Figures of a DMO run: mel, listeners and their twins, diversity, the fake score's lag."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from fastsvc.model.recogniser import collapse, decode, edit_distance
from fastsvc.training import alarms, diffusion, listeners, perceptual
from fastsvc.training.conversion import converted
from fastsvc.training.fake import with_origin
from fastsvc.training.guard import Guard
from fastsvc.training.task import Verdict

DIVERSE_CROPS = 2
LOSSES_OF = {"recogniser": ("ctc", "frames"), "singer": ("singer",)}


class DmoValidation:
    """The validation of one :class:`fastsvc.training.dmo.DmoTask`; all its random draws have fixed seeds."""

    def __init__(self, task):
        self.task, self.settings = task, task.settings
        guard = self.settings.guard
        mel, device = task.corpus.mel, task.device
        self.twins: dict[str, nn.Module] = {}
        for kind in ("recogniser", "singer"):
            if path := getattr(guard, kind):
                self.twins[kind] = listeners.listener(path, kind, mel, held_out=True).to(device)
        if "recogniser" in self.twins:
            listeners.check_phones(self.twins["recogniser"], task.corpus, guard.recogniser)
        if "singer" in self.twins:
            self.twin_centroids = listeners.centroids(self.twins["singer"], task.corpus, task.singer_ids, task.seed)
        self.guard = Guard(tuple(self.twins), guard.tolerance, guard.patience).to(device)
        generator = torch.Generator(device).manual_seed(task.seed)
        self.converted = converted(task.valid, 1.0, task.medians_hz, generator, task.rows_here)
        self._spread_of_teacher: float | None = None

    def figures(self, model: nn.Module) -> dict[str, float]:
        """Mel L1 of reconstructions by schedule, and the listeners' figures of conversions with the fewest steps."""
        task = self.task
        truth, inside = task.valid["mel"], task.valid["valid"]
        figures = {}
        for steps in sorted(map(len, task.schedules)):
            figures[f"mel_l1_{steps}"] = diffusion.mel_l1(task.sampled(model, steps, "consistency"), truth, inside)
        mel = self._convert(model, self.converted)
        figures |= self._listener_figures(mel, task.listeners, "")
        if self.twins:
            twins = self._listener_figures(mel, self.twins, "held_out_")
            figures |= twins | {"held_out": float(np.mean([pleased(kind, twins, "held_out_") for kind in self.twins]))}
        if self.settings.diversity_seeds > 1:
            figures["diversity"] = self._diversity(model)
        if self.settings.lag_steps:
            figures["fake_lag"] = self._lag()
        return figures

    def verdict(self, figures: dict[str, float]) -> Verdict:
        """The alarms, and the guard's reasons to stop among the listeners of active losses."""
        reasons = {k: self.guard.check(k, pleased(k, figures), pleased(k, figures, "held_out_")) for k in self.twins}
        stops = [reason for kind, reason in reasons.items() if reason and self._pleasing(kind)]
        return Verdict(alarms.warnings(figures), "; ".join(stops))

    def _pleasing(self, kind: str) -> bool:
        """Whether a loss with this listener is active now."""
        return any(self.task.terms[loss].active(self.task.progress) for loss in LOSSES_OF[kind])

    def _convert(self, model: nn.Module, batch: dict) -> Tensor:
        """Log-mel of the fewest steps, always from the same noise."""
        task = self.task
        noise = diffusion.fixed_noise(batch["mel"], task.seed)
        return model.sample(task.condition(model, batch), min(map(len, task.schedules)), noise, "consistency")

    def _listener_figures(self, mel: Tensor, networks: dict[str, nn.Module], prefix: str) -> dict[str, float]:
        batch, figures = self.converted, {}
        valid = batch["valid"]
        if "recogniser" in networks:
            logits = perceptual.phone_logits(networks["recogniser"], mel, valid)
            figures[f"{prefix}phone_errors"] = phone_errors(logits, batch["labels"], valid)
        if "singer" in networks:
            table = self.twin_centroids if prefix else self.task.centroids
            loss = perceptual.singer_loss(networks["singer"], mel, valid, table[batch["singer"]])
            figures[f"{prefix}similarity"] = 1 - float(loss)
        if "pitch" in networks:
            semitones = perceptual.pitch_loss(networks["pitch"], mel, valid, batch["f0_hz"], batch["voiced"])
            figures[f"{prefix}f0_cents"] = perceptual.CENTS_PER_SEMITONE * float(semitones)
        return figures

    def _diversity(self, model: nn.Module) -> float:
        """Standard deviation over noise, as a share of the teacher's."""
        task = self.task
        crops = {name: value[:DIVERSE_CROPS] for name, value in task.valid.items()}

        def spread(network, steps: int, method: str) -> float:
            cond = task.condition(network, crops)

            def sampled(seed: int) -> Tensor:
                noise = diffusion.fixed_noise(crops["mel"], 1000 + seed)
                return task.model.normalise(network.sample(cond, steps, noise, method))

            return alarms.spread(sampled, self.settings.diversity_seeds, crops["valid"])

        if self._spread_of_teacher is None:
            self._spread_of_teacher = spread(task.teacher, *task.process.reference)
        return spread(model, min(map(len, task.schedules)), "consistency") / max(self._spread_of_teacher, 1e-9)

    @torch.no_grad()
    def _lag(self) -> float:
        """The fake score against a copy with more updates, on samples of held-out conditions."""
        task, last = self.task, (0, len(self.task.schedules[0]) - 1)
        held_out = with_origin(self.converted, task.fake.origin_index(last))
        rng = np.random.default_rng([task.seed, 11])
        state = task.generator.get_state()
        task.generator.manual_seed(task.seed)
        x = task.chain(task.model, held_out, last)

        def loss(net: nn.Module) -> Tensor:
            task.generator.manual_seed(task.seed + 1)
            return sum(task.fake_error(net, held_out, x) for _ in range(4)) / 4

        def draw(net: nn.Module, number: int) -> Tensor:
            task.generator.manual_seed(task.seed + 2 + number)
            crops = task.crops("train", rng, task.batch_size, task.batch_frames)
            batch = {name: value.to(task.device) for name, value in crops.items()}
            return task.fake_error(net, *task.student_samples(batch, number, 0))

        draws = (lambda net, number=number: draw(net, number) for number in range(self.settings.lag_steps))
        try:
            return alarms.fake_lag(task.fake, loss, draws, task.rate * self.settings.fake_rate)
        finally:
            task.generator.set_state(state)


def pleased(kind: str, figures: dict[str, float], prefix: str = "") -> float:
    """How well the samples please a listener (with the prefix: its twin): 1 − phone error rate, or the cosine."""
    if kind == "recogniser":
        return 1 - figures[f"{prefix}phone_errors"]
    return figures[f"{prefix}similarity"]


def phone_errors(logits: Tensor, labels: Tensor, valid: Tensor) -> float:
    """Phone error rate: edit distance to the labels' phones over their number; NaN without any known item.

    logits [B, T, P], labels [B, T] by frame (−1: unknown; such items do not count), valid [B, T].
    """
    errors = phones = 0
    for item_logits, row, inside in zip(logits.cpu(), labels.cpu(), valid.cpu() > 0):
        if bool((row[inside] >= 0).all()):
            truth = collapse(row[inside])
            errors, phones = errors + edit_distance(decode(item_logits[inside]), truth), phones + len(truth)
    return errors / phones if phones else float("nan")
