"""When to stop: a student that pleases its listener and no other network has learnt the listener's errors.

Twins of another seed and architecture, without gradients, judge the same mels at each validation. The run ends when
the listener's figure is above its value at the twin's best validation while the twin's is below its best by more than
the tolerance, and this at several validations in a row, because few clips make noisy figures (docs/training.md, "When
it goes wrong").
"""

from __future__ import annotations

import torch
from torch import nn

TOLERANCE = 0.02  # absolute, of a rate or a cosine
PATIENCE = 2  # validations in a row


class Guard(nn.Module):
    """Keeps, for each pair, the twin's best figure and the listener's figure at that validation; higher is better."""

    def __init__(self, names: tuple[str, ...], tolerance: float = TOLERANCE, patience: int = PATIENCE):
        super().__init__()
        self.names, self.tolerance, self.patience = names, tolerance, patience
        self.register_buffer("best", torch.full((len(names),), float("-inf"), dtype=torch.float64))
        self.register_buffer("then", torch.full((len(names),), float("-inf"), dtype=torch.float64))
        self.register_buffer("count", torch.zeros(len(names), dtype=torch.int64))  # validations apart, in a row

    def check(self, name: str, trained: float, twin: float) -> str:
        """→ a reason to stop, or "". NaN figures do not count."""
        if trained != trained or twin != twin:
            return ""
        position = self.names.index(name)
        best_twin, best_trained = float(self.best[position]), float(self.then[position])
        diverging = trained > best_trained and twin < best_twin - self.tolerance
        self.count[position] = self.count[position] + 1 if diverging else 0
        if twin >= best_twin:
            self.best[position], self.then[position] = twin, trained
        if diverging and self.count[position] >= self.patience:
            return (
                f"{name}: the listener is better pleased ({best_trained:.3f} before, {trained:.3f} now) "
                f"and its held-out twin less ({best_twin:.3f} before, {twin:.3f} now)"
            )
        return ""
