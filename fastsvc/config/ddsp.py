"""Voices of DDSP-SVC 6: a harmonic-plus-noise synthesiser and a rectified flow that refines its mel."""

from __future__ import annotations

from dataclasses import dataclass, field

from fastsvc.config.acoustic import FeatureConfig
from fastsvc.config.limits import LAYERS, NAMES, SIZES
from fastsvc.config.mel import MelConfig
from fastsvc.config.plain import check, later, within
from fastsvc.config.whole import WholeConfig

KIND = "ddsp"
VERSIONS = ("6.0", "6.1")
SAMPLERS = ("euler", "rk4", "consistency")
MOST_FEW = 100  # numbers of steps that a network was trained at, which messages list
KERNEL = 31  # of every depthwise convolution
EXPANSION = 2  # inner width of a block over its outer width
GROUPS = 4  # of the group norm of version 6.0
HEADS = 8  # of the attention of version 6.1
STACK_CHANNELS = 512  # inside the convolutions of version 6.1


def _mel() -> MelConfig:
    return MelConfig(44100, 512, 2048, 2048, 128, 40.0, 16000.0, "e")


def _features() -> FeatureConfig:
    return FeatureConfig("vec768l12", 768, "round", "rmvpe", "diffusion_svc", 65.0, 800.0)


@dataclass(frozen=True)
class DdspConfig(WholeConfig):
    """Units, f0 and loudness → filters of a comb tooth and of noise → a first mel → the mel (fastsvc/model/ddsp).

    ``mel`` is the vocoder's recipe, in which the first mel is computed. ``window_samples``: of the synthesiser's STFT,
    whose hop is the mel's. ``norm`` and ``attention`` say what blocks of the control network have, in version 6.1
    alone. The flow runs from ``t_start`` to 1. ``few_steps``: the numbers of steps that a distilled network was trained
    at; of the consistency sampler.
    """

    kind: str = KIND
    version: str = "6.1"
    mel: MelConfig = field(default_factory=_mel)
    features: FeatureConfig = field(default_factory=_features)
    speakers: int = 1
    window_samples: int = 2048
    hidden: int = 256  # of the control network
    hidden_layers: int = 3
    channels: int = 512  # of the velocity network
    layers: int = 6
    key_shift: bool = True
    norm: bool = False
    attention: bool = False
    t_start: float = 0.7
    few_steps: tuple[int, ...] = later(())

    @property
    def shifts_formants(self) -> bool:
        """As :attr:`AcousticConfig.shifts_formants`."""
        return self.key_shift

    @property
    def filter_bins(self) -> int:
        """Frequencies of each of the synthesiser's filters."""
        return self.window_samples // 2 + 1

    @property
    def velocity_halo_frames(self) -> int:
        """Frames beyond each end of its output that one evaluation of the velocity network reads."""
        return self.layers * (KERNEL // 2)

    @property
    def control_halo_frames(self) -> int:
        """Frames beyond each end of its output that the control network reads: two convolutions of 3, and its blocks.
        In version 6.0 a norm needs sums over the whole recording besides."""
        return 2 + self.hidden_layers * (KERNEL // 2)

    def __post_init__(self):
        check(self.kind == KIND, f"acoustic: unknown kind {self.kind!r}", f"use {KIND}")
        check(self.version in VERSIONS, f"ddsp: unknown version {self.version!r}", f"use {' or '.join(VERSIONS)}")
        within("ddsp", self, speakers=NAMES, hidden=SIZES, hidden_layers=LAYERS, channels=SIZES, layers=LAYERS)
        within("ddsp", self, window_samples=(2, 2**16), t_start=(0, 0.999), few_steps=(1, 1000))
        check(len(self.few_steps) <= MOST_FEW, f"ddsp: few_steps has {len(self.few_steps)} entries, at most {MOST_FEW}")
        check(self.window_samples % 2 == 0, "ddsp: window_samples must be even")
        check(
            self.mel.hop_samples <= self.window_samples // 2,
            "ddsp: the hop exceeds half of window_samples, so frames of the synthesis do not overlap",
        )
        check(self.channels % 2 == 0 and self.channels >= 4, "ddsp: channels must be even (half sine, half cosine)")
        check(self.mel.log_base == "e", "ddsp: mels are natural logarithms", 'use log_base "e"')
        if self.version == "6.0":
            check(not self.norm and not self.attention, "ddsp: version 6.0 has neither norm nor attention")
            check(self.hidden % GROUPS == 0, f"ddsp: hidden must be a multiple of {GROUPS}")
        check(not self.attention or self.hidden % HEADS == 0, f"ddsp: attention needs a hidden multiple of {HEADS}")
