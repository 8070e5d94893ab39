"""When to stop: a student that pleases its listener and no one else has learnt the listener's errors.

Twins of another seed and architecture, to which no gradient goes, hear the same mels at each validation. Where the
listener is better pleased than at the twin's best, while the twin is displeased by more than the tolerance, and that
at several validations in a row (a few clips make noisy figures), the run ends (docs/training.md, "When it goes wrong").
"""

from __future__ import annotations

import torch
from torch import nn

TOLERANCE = 0.02  # absolute, of a rate or a cosine
PATIENCE = 2  # validations in a row


class Guard(nn.Module):
    """Remembers, for each pair, the twin's best figure and what the listener said then; higher is better in both."""

    def __init__(self, names: tuple[str, ...], tolerance: float = TOLERANCE, patience: int = PATIENCE):
        super().__init__()
        self.names, self.tolerance, self.patience = names, tolerance, patience
        self.register_buffer("best", torch.full((len(names),), float("-inf"), dtype=torch.float64))
        self.register_buffer("then", torch.full((len(names),), float("-inf"), dtype=torch.float64))
        self.register_buffer("count", torch.zeros(len(names), dtype=torch.int64))  # validations apart, in a row

    def look(self, name: str, trained: float, twin: float) -> str:
        """→ a reason to stop, or "". Figures that are no numbers say nothing."""
        if trained != trained or twin != twin:
            return ""
        place = self.names.index(name)
        best, then = float(self.best[place]), float(self.then[place])
        apart = trained > then and twin < best - self.tolerance
        self.count[place] = self.count[place] + 1 if apart else 0
        if twin >= best:
            self.best[place], self.then[place] = twin, trained
        if apart and self.count[place] >= self.patience:
            return (
                f"{name}: the listener is better pleased ({then:.3f} before, {trained:.3f} now) and its held-out twin "
                f"less ({best:.3f} before, {twin:.3f} now)"
            )
        return ""
