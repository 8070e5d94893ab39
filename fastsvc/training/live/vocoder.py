"""A source-filter vocoder with a short future: it learns the filters and gains of one that sees all of it.

No sound is made: the two networks are compared frame by frame, on the mels of a vocoder's training.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from fastsvc.config import SourceFilterConfig, to_dict, vocoder_config
from fastsvc.config.limits import FUTURE_FRAMES
from fastsvc.config.plain import check
from fastsvc.errors import ConfigError
from fastsvc.model.source_filter import SourceFilter
from fastsvc.training import checkpoint
from fastsvc.training.live import taps
from fastsvc.training.source_filter import SourceFilterTask, SourceFilterTaskConfig
from fastsvc.training.task import Turn


@dataclass(frozen=True)
class LiveVocoderSettings(SourceFilterTaskConfig):
    """The YAML's ``task`` part: as of any source-filter vocoder, for what the mels go through."""

    teacher: str = ""  # path of a source-filter vocoder's checkpoint
    future_frames: int = 0  # that a frame's filters may depend on

    def __post_init__(self):
        super().__post_init__()
        check(bool(self.teacher), "task.teacher is missing", "set it to the path of a source-filter vocoder")
        check(FUTURE_FRAMES[0] <= self.future_frames <= FUTURE_FRAMES[1], "task: future_frames is out of range")


class LiveVocoderTask(SourceFilterTask):
    kind = "vocoder"
    best = ("to_teacher", "min")
    settings_class = LiveVocoderSettings

    def __init__(self, config, corpus, device, **loop):
        content = checkpoint.load(str((config or {}).get("teacher", "")), "vocoder")
        whole = vocoder_config(content["config"]["model"], "task.teacher: config.model")
        if not isinstance(whole, SourceFilterConfig):
            raise ConfigError("task.teacher is no source-filter vocoder", "name another task.teacher")
        short = replace(whole, future_frames=(config or {}).get("future_frames", 0))
        super().__init__(config | {"model": to_dict(short), "adversarial_from": 1.0}, corpus, device, **loop)
        self.teacher = SourceFilter(whole)
        self.teacher.load_state_dict(content["ema"])
        self.teacher.requires_grad_(False).eval().to(self.device)
        start_with(self.model, self.teacher)

    def turns(self, step: int) -> list[Turn]:
        return [Turn("filters", self.model, self._filter_loss)]

    def _filter_loss(self, batch: dict, step: int) -> tuple[Tensor, dict]:
        batch = self._with_generated(batch)
        magnitudes, gains = distances(self.model, self.teacher, batch["given"], batch["f0_hz"])
        return magnitudes + gains, {"magnitudes": magnitudes.detach(), "gains": gains.detach()}

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Held-out songs: mean |difference| of the filters' logarithms and of the gains', and the mel's."""
        found = []
        for item in self._valid_items(self.settings.valid_batches):
            inputs = item["mel"].to(self.device), item["f0_hz"].to(self.device)
            found.append(float(sum(distances(model, self.teacher, *inputs))))
        return {"to_teacher": float(np.mean(found))} | super().validate(model)


def distances(model: nn.Module, teacher: nn.Module, mel: Tensor, f0_hz: Tensor) -> tuple[Tensor, Tensor]:
    """Mean |difference| of the log-magnitudes and of the gains' logarithms, in nepers."""
    with torch.no_grad():
        wanted, wanted_gains = teacher.filters(mel, f0_hz)
    made, gains = model.filters(mel, f0_hz)
    return (made - wanted).abs().mean(), (gains.log() - wanted_gains.log()).abs().mean()


@torch.no_grad()
def start_with(model: SourceFilter, teacher: SourceFilter) -> None:
    """Copy the teacher's weights, with the taps moved."""
    model.load_state_dict(teacher.state_dict())
    for conv, reach in zip([model.enter, *(block.conv for block in model.blocks)], model.config.reaches):
        conv.weight.copy_(taps.moved(conv.weight, 1, reach.ahead))
