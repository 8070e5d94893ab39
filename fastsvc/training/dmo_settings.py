"""The YAML of `fastsvc train dmo`. DMD alone, + GAN, + CTC, + SV and all of it differ in ``losses`` only."""

from __future__ import annotations

from dataclasses import dataclass, field

from fastsvc.config.limits import CROPS, FRAMES, SHARE, SIZES, STEPS
from fastsvc.config.plain import within
from fastsvc.errors import ConfigError
from fastsvc.training.acoustic import AugmentSettings
from fastsvc.training.balance import Term, check_reference
from fastsvc.training.guard import PATIENCE, TOLERANCE
from fastsvc.training.simulate import BELOW


@dataclass(frozen=True)
class ConstantTerm(Term):
    weight: float = 1.0


@dataclass(frozen=True)
class LateTerm(Term):
    weight: float = 1.0
    start: float = 0.12
    ramp: float = 0.05
    match: str = "cap"


@dataclass(frozen=True)
class AdversarialTerm(LateTerm):
    match: str = "equal"


@dataclass(frozen=True)
class PitchTerm(LateTerm):
    weight: float = 0.5


@dataclass(frozen=True)
class SingerTerm(LateTerm):
    start: float = 0.25


@dataclass(frozen=True)
class Losses:
    """The student's losses; their starts follow DMOSpeech (arXiv 2410.11097), in shares of the budget.

    Each has weight, start, ramp and match (:class:`fastsvc.training.balance.Term`). A weight of 0 leaves the loss out;
    it then needs no listener.
    """

    dmd: ConstantTerm = ConstantTerm()
    adversarial: AdversarialTerm = AdversarialTerm()
    ctc: LateTerm = LateTerm()
    frames: LateTerm = LateTerm()  # KL of the recogniser's frames to those of the recording
    pitch: PitchTerm = PitchTerm()
    singer: SingerTerm = SingerTerm()


@dataclass(frozen=True)
class Listeners:
    """Checkpoints of the networks in the student's losses; each takes the corpus's own mel."""

    recogniser: str = ""
    singer: str = ""
    pitch: str = ""


@dataclass(frozen=True)
class GuardSettings:
    """Held-out twins for each validation; without any there is no guard. The guard covers the listeners of active
    losses, and stops the run when a listener and its twin diverge at ``patience`` validations in a row."""

    recogniser: str = ""
    singer: str = ""
    tolerance: float = TOLERANCE
    patience: int = PATIENCE

    def __post_init__(self):
        within("task.guard", self, tolerance=(0, 1e6), patience=(1, 1_000_000))


@dataclass(frozen=True)
class DmoSettings:
    """The YAML's ``task`` part."""

    teacher: str  # the real score
    init: str = ""  # a student to start from; without, the teacher
    steps: tuple[int, ...] = (1,)  # the schedules to train: each update draws one, and one of its steps
    below: tuple[tuple[float, ...], ...] = BELOW  # their levels after σmax, in units of edm.sigma_data
    train: str = "denoiser"  # denoiser: the conditions stay as they are; all
    guidance: float = 1.0  # w of the real score, from the teacher's speaker_dropout; 1: none
    conversion: float = 0.5  # share of a batch that sings with another singer's voice
    fake_updates: int = 5  # for one of the student
    fake_rate: float = 1.0  # times optim.lr
    head_rate: float = 4.0  # the discriminator's
    head_channels: int = 96
    head_lead: float = 0.02  # share of the budget in which the discriminator learns before its loss counts
    losses: Losses = field(default_factory=Losses)
    match_steps: int = 10  # over which the scales of the losses are measured, each once
    late_from: float = 0.8  # share of the budget after which the student's rate is multiplied by late_rate
    late_rate: float = 0.2
    listeners: Listeners = field(default_factory=Listeners)
    guard: GuardSettings = field(default_factory=GuardSettings)
    augment: AugmentSettings = field(default_factory=AugmentSettings)
    vocoder: str = ""  # a checkpoint, to hear the samples; without, they are pictures
    valid_crops: int = 8
    valid_frames: int = 192
    diversity_seeds: int = 16  # of two crops, at each validation; below 2: not measured
    lag_steps: int = 50  # further updates of a copy of the fake score, at each validation; 0: not measured

    def __post_init__(self):
        if self.train not in ("denoiser", "all"):
            raise ConfigError(f"task.train is {self.train!r}", "use denoiser or all")
        check_reference("dmd", self.losses.dmd)
        within("task", self, steps=STEPS, below=(0, 1e6), guidance=(-100, 100), conversion=SHARE)
        within("task", self, fake_updates=STEPS, fake_rate=(0, 1e3), head_rate=(0, 1e3), head_channels=SIZES)
        within("task", self, head_lead=SHARE, match_steps=STEPS, late_from=SHARE, late_rate=(0, 1e3))
        within("task", self, valid_crops=CROPS, valid_frames=FRAMES, diversity_seeds=(0, STEPS[1]))
        within("task", self, lag_steps=(0, 100_000))
        for loss, key in (("ctc", "recogniser"), ("frames", "recogniser"), ("singer", "singer"), ("pitch", "pitch")):
            if getattr(self.losses, loss).weight and not getattr(self.listeners, key):
                raise ConfigError(
                    f"task.losses.{loss} has a weight, but no task.listeners.{key} is given",
                    f"train one with `fastsvc train {key}`, or set the weight to 0",
                )
        for key in ("recogniser", "singer"):
            if getattr(self.guard, key) and not getattr(self.listeners, key):
                raise ConfigError(f"task.guard.{key} has no task.listeners.{key} to be compared with")
