"""The YAML of `fastsvc train student` with `task.method: paired`."""

from __future__ import annotations

from dataclasses import dataclass, field

from fastsvc.config.limits import CROPS, FRAMES, SHARE, SIZES, STEPS
from fastsvc.config.plain import within
from fastsvc.errors import ConfigError
from fastsvc.training.acoustic import AugmentSettings
from fastsvc.training.balance import Term, check_reference
from fastsvc.training.paired.disguise import DisguiseSettings
from fastsvc.training.simulate import BELOW
from fastsvc.training.task import PAIRED


@dataclass(frozen=True)
class MelTerm(Term):
    weight: float = 1.0


@dataclass(frozen=True)
class JudgedTerm(Term):
    weight: float = 1.0
    start: float = 0.02
    ramp: float = 0.05
    match: str = "equal"


@dataclass(frozen=True)
class ListenerTerm(JudgedTerm):
    weight: float = 0.0
    match: str = "cap"


@dataclass(frozen=True)
class Losses:
    """The student's losses, each with weight, start, ramp and match (:class:`fastsvc.training.balance.Term`); gradients
    are compared with that of ``mel``. A weight of 0 leaves a loss out."""

    mel: MelTerm = MelTerm()  # L1 distance to the recording
    features: JudgedTerm = JudgedTerm()  # of the discriminators' features to those of the recording
    adversarial: JudgedTerm = JudgedTerm()
    hold: MelTerm = MelTerm()  # of conversions and others: L1 distance of coarse changes to those that `init` makes
    phones: ListenerTerm = ListenerTerm()  # heard by a content encoder, against those heard in the recording
    pitch: ListenerTerm = ListenerTerm()  # semitones from the requested f0, by a pitch listener
    singer: ListenerTerm = ListenerTerm()  # 1 - cosine to the singer's direction, by a verifier

    def __post_init__(self):
        check_reference("mel", self.mel)


@dataclass(frozen=True)
class Listeners:
    """Checkpoints of the networks in the student's losses: a recogniser, and two that take the corpus's own mel."""

    phones: str = ""
    pitch: str = ""
    singer: str = ""


@dataclass(frozen=True)
class PairedSettings:
    """The YAML's ``task`` part."""

    init: str  # the student to go on from
    method: str = PAIRED
    new_encoder: bool = False  # the corpus has units of another encoder than `init` learned, near those
    steps: tuple[int, ...] = (1,)  # the schedules to train: each update draws one, and one of its steps
    below: tuple[tuple[float, ...], ...] = BELOW  # their levels after σmax, in units of edm.sigma_data
    conversion: float = 0.0  # share of a batch that sings with another singer's voice
    # A corpus of other people, in the same units: what they say is said by the singers here, too, for which nothing of
    # them need be known but units and f0. So words of languages that the singers' songs lack are not forgotten.
    others: str = ""
    others_share: float = 0.25  # their crops, as a share of batch.size, in addition to it
    disguise: DisguiseSettings = field(default_factory=DisguiseSettings)
    channels: int = 32  # of the discriminators
    judge_rate: float = 1.0  # the discriminators', times optim.lr
    losses: Losses = field(default_factory=Losses)
    listeners: Listeners = field(default_factory=Listeners)
    match_steps: int = 20  # over which the scales of the losses are measured, each once
    augment: AugmentSettings = field(default_factory=AugmentSettings)
    vocoder: str = ""  # a checkpoint, to hear the samples; without, they are pictures
    valid_crops: int = 8
    valid_frames: int = 192

    def __post_init__(self):
        if self.method != PAIRED:
            raise ConfigError(f"task.method is {self.method!r}", f"use {PAIRED}")
        within("task", self, steps=STEPS, below=(0, 1e6), conversion=SHARE, others_share=(0, 4))
        within("task", self, channels=SIZES, judge_rate=(0, 1e3), match_steps=STEPS)
        within("task", self, valid_crops=CROPS, valid_frames=FRAMES)
        if self.new_encoder and self.losses.hold.weight:
            raise ConfigError(
                "task.losses.hold has a weight, but with task.new_encoder what `init` says is not to be held",
                "set the weight to 0, and hold in a second training that goes on from this one",
            )
        for loss, kind in (("phones", "recogniser"), ("pitch", "pitch"), ("singer", "singer")):
            if getattr(self.losses, loss).weight and not getattr(self.listeners, loss):
                raise ConfigError(
                    f"task.losses.{loss} has a weight, but no task.listeners.{loss} is given",
                    f"train one with `fastsvc train {kind}`, or set the weight to 0",
                )
