"""Distillation of a rectified flow to a few steps: the consistency student and the DMO student of a flow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fastsvc.config.limits import SHARE
from fastsvc.config.plain import check, within
from fastsvc.errors import ConfigError
from fastsvc.training.consistency import StudentSettings, StudentTask
from fastsvc.training.dmo import DmoTask
from fastsvc.training.flow.distilled import DistilledFlow
from fastsvc.training.flow.model import STEPS
from fastsvc.training.flow.parts import FlowParts

NO_GUIDANCE = "the flow was not trained without singers, so there is nothing to guide it with"


@dataclass(frozen=True)
class FlowStudentSettings(StudentSettings):
    """The YAML's ``task`` part: as of a diffusion model's student, and where its states begin."""

    from_first: float = 0.5  # share of the items on the path from the first mel; the others are noised recordings

    def __post_init__(self):
        super().__post_init__()
        within("task", self, from_first=SHARE)
        check(self.method == "cd", "task.method: ect is for diffusion models", "use cd")
        check(self.guidance == 1, f"task.guidance is {self.guidance:g}: {NO_GUIDANCE}", "omit it")


class FlowStudentTask(FlowParts, StudentTask):
    settings_class = FlowStudentSettings
    settings: Any
    reference_steps = STEPS

    def process_of(self, model: Any) -> DistilledFlow:
        return DistilledFlow(model.config.t_start, self.settings.from_first)


class FlowDmoTask(FlowParts, DmoTask):
    def process_of(self, model: Any) -> DistilledFlow:
        if self.settings.guidance != 1:
            raise ConfigError(f"task.guidance is {self.settings.guidance:g}: {NO_GUIDANCE}", "omit it")
        return super().process_of(model)
