"""The acoustic model: features, condition, denoiser, diffusion."""

from __future__ import annotations

from dataclasses import dataclass, field

from fastsvc.config.amphion import AmphionConfig
from fastsvc.config.diffusion import DdpmConfig, EdmConfig
from fastsvc.config.limits import F0_HZ, FUTURE_FRAMES, LAYERS, NAMES, SIZES
from fastsvc.config.mel import MelConfig, NormConfig
from fastsvc.config.plain import check, later, within
from fastsvc.config.reach import Reach, reaches

F0_METHODS = ("yin", "pyin", "dio", "harvest", "crepe", "crepe-tiny", "fcpe", "rmvpe", "pm", "swift", "pesto")
F0_STYLES = ("fastsvc", "comosvc", "diffusion_svc")


@dataclass(frozen=True)
class FeatureConfig:
    """How content and f0 reach the mel frames."""

    encoder: str = "recogniser"  # recogniser (ours), vec768l12, vec256l9, ...
    unit_channels: int = 768
    unit_align: str = "nearest"  # nearest, left, round, hops, average
    f0_method: str = "yin"
    f0_style: str = "fastsvc"  # time grid, rounding and filling: ours, or those a project trained with
    f0_low_hz: float = 50.0
    f0_high_hz: float = 1100.0
    f0_future_frames: int | None = later(None)  # later frames of which YIN's path decides about one; None: all

    def __post_init__(self):
        check(
            self.unit_align in ("nearest", "left", "round", "hops", "average"),
            f"features: unknown unit_align {self.unit_align!r}",
            "use nearest, left, round, hops or average",
        )
        check(
            self.f0_method in F0_METHODS,
            f"features: unknown f0 method {self.f0_method!r}",
            f"use one of {', '.join(F0_METHODS)}",
        )
        check(
            self.f0_style in F0_STYLES,
            f"features: unknown f0_style {self.f0_style!r}",
            f"use one of {', '.join(F0_STYLES)}",
        )
        within("features", self, unit_channels=SIZES, f0_low_hz=F0_HZ, f0_high_hz=F0_HZ)
        if self.f0_future_frames is not None:
            within("features", self, f0_future_frames=FUTURE_FRAMES)
            check(self.f0_style == "fastsvc", "features: f0_future_frames is for f0_style fastsvc")
        check(self.f0_low_hz < self.f0_high_hz, "features: f0_low_hz < f0_high_hz does not hold")


@dataclass(frozen=True)
class ConditionConfig:
    """What the denoiser is conditioned on; each part is a linear map to ``channels``, and all are summed."""

    unit_channels: int = 768
    channels: int = 256
    speakers: int = 1
    key_shift: bool = True  # the `aug_shift_embed` of CoMoSVC and Diffusion-SVC
    voicing: bool = False  # a voiced/unvoiced flag per frame
    pulses: bool = later(False)  # the mel of a pulse train at f0 (fastsvc/model/pulse_mel.py); zeros where unvoiced

    @property
    def foreign_encoders(self) -> tuple[str, ...]:
        """As :attr:`AmphionConfig.foreign_encoders`."""
        return ()

    def __post_init__(self):
        within("condition", self, unit_channels=SIZES, channels=SIZES, speakers=NAMES)


@dataclass(frozen=True)
class DenoiserConfig:
    """Non-causal WaveNet. Layer i has dilation 2 ** (i % dilation_cycle); a cycle of 1 means 1 everywhere."""

    mel_bins: int = 80
    channels: int = 512
    layers: int = 20
    cond_channels: int = 256
    dilation_cycle: int = 1
    step_embedding: str = "mlp"  # one for all layers, which each projects; "amphion": added to each unchanged
    future_frames: int | None = later(None)  # that a frame of one evaluation depends on; None: as many as of the past

    def __post_init__(self):
        within("denoiser", self, mel_bins=(1, 1024), channels=SIZES, layers=LAYERS, cond_channels=SIZES)
        within("denoiser", self, dilation_cycle=(1, 12), halo_frames=(1, 2**15))
        if self.future_frames is not None:
            within("denoiser", self, future_frames=FUTURE_FRAMES)
            check(self.step_embedding == "mlp", "denoiser: future_frames is for step_embedding mlp")
        check(self.channels % 2 == 0, "denoiser: channels must be even (the step embedding is half sine, half cosine)")
        check(
            self.step_embedding in ("mlp", "amphion"),
            f"denoiser: unknown step_embedding {self.step_embedding!r}",
            "use mlp or amphion",
        )

    @property
    def dilations(self) -> tuple[int, ...]:
        return tuple(2 ** (i % self.dilation_cycle) for i in range(self.layers))

    @property
    def reaches(self) -> list[Reach]:
        """Frames before and after its own that a layer's convolution reads."""
        return reaches(self.dilations, self.future_frames)

    @property
    def halo_frames(self) -> int:
        """Frames beyond each end of its output that one evaluation of the network reads, at most."""
        return sum(reach.past for reach in self.reaches)


@dataclass(frozen=True)
class AcousticConfig:
    """An acoustic model: everything between features and mel."""

    mel: MelConfig = field(default_factory=MelConfig)
    features: FeatureConfig = field(default_factory=FeatureConfig)
    condition: ConditionConfig = field(default_factory=ConditionConfig)
    denoiser: DenoiserConfig = field(default_factory=DenoiserConfig)
    edm: EdmConfig = field(default_factory=EdmConfig)
    norm: NormConfig = field(default_factory=NormConfig)
    ddpm: DdpmConfig | None = None  # replaces edm
    amphion: AmphionConfig | None = None  # replaces condition

    @property
    def conditioner(self) -> ConditionConfig | AmphionConfig:
        """The config of the module that turns features into the condition."""
        return self.condition if self.amphion is None else self.amphion

    @property
    def unit_channels(self) -> int:
        return self.condition.unit_channels

    @property
    def speakers(self) -> int:
        return self.condition.speakers

    @property
    def shifts_formants(self) -> bool:
        """Whether a request may shift formants."""
        return self.condition.key_shift

    @property
    def foreign_encoders(self) -> tuple[str, ...]:
        """The encoders whose units this program does not compute."""
        return self.conditioner.foreign_encoders

    @property
    def is_native_edm(self) -> bool:
        """Whether `fastsvc train` could have made the model: EDM, with this project's own condition."""
        return not (self.ddpm or self.amphion)

    def __post_init__(self):
        check(self.mel.bins == self.denoiser.mel_bins, "acoustic: mel.bins and denoiser.mel_bins differ")
        check(
            self.condition.channels == self.denoiser.cond_channels,
            "acoustic: condition.channels and denoiser.cond_channels differ",
        )
        check(
            self.features.unit_channels == self.condition.unit_channels,
            "acoustic: features.unit_channels and condition.unit_channels differ",
        )
        check(len(self.norm.low) in (1, self.mel.bins), "acoustic: norm needs one pair, or one per mel bin")
        check(
            self.edm.noise_mean == "zero" or self.mel.bins == self.condition.channels,
            "acoustic: noise about the condition needs as many condition channels as mel bins",
        )
        check(
            self.conditioner.unit_channels == self.condition.unit_channels,
            "acoustic: amphion.encoder_channels do not sum to condition.unit_channels",
        )
