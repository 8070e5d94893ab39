"""The configurations of every part, as frozen dataclasses that check themselves.

All of them turn into plain dicts (:func:`to_dict`) and back (:func:`from_dict`), so that they travel in
checkpoints, manifests and YAML files. Unknown keys are errors.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from dataclasses import dataclass, field

from fastsvc.errors import ConfigError


def _check(condition: bool, what: str, remedy: str = "correct the configuration") -> None:
    if not condition:
        raise ConfigError(what, remedy)


@dataclass(frozen=True)
class MelConfig:
    """Log-mel spectrogram: sqrt(|S|^2 + 1e-9), Slaney filters, log with a floor at ``clip``.

    Frames are centred by reflect padding of (window - hop) / 2 samples, so there are
    floor(samples / hop) of them (CoMoSVC mel_processing.py).
    """

    rate_hz: int = 24000
    hop_samples: int = 128
    fft_samples: int = 512
    window_samples: int = 512
    bins: int = 80
    low_hz: float = 30.0
    high_hz: float = 12000.0
    log_base: str = "10"
    clip: float = 1e-5

    def __post_init__(self):
        _check(self.rate_hz > 0 and self.hop_samples > 0, "mel: rate_hz and hop_samples must be positive")
        _check(self.window_samples <= self.fft_samples, "mel: window_samples must not exceed fft_samples")
        _check(self.hop_samples <= self.window_samples, "mel: hop_samples must not exceed window_samples")
        _check(
            0 <= self.low_hz < self.high_hz <= self.rate_hz / 2,
            f"mel: 0 <= low_hz < high_hz <= rate_hz/2 does not hold ({self.low_hz}, {self.high_hz}, {self.rate_hz})",
        )
        _check(self.log_base in ("10", "e"), f"mel: log_base is {self.log_base!r}", 'use "10" or "e"')
        _check(self.bins > 0 and self.clip > 0, "mel: bins and clip must be positive")

    @property
    def frame_rate_hz(self) -> float:
        return self.rate_hz / self.hop_samples


@dataclass(frozen=True)
class NormConfig:
    """Affine map of log-mel onto about [-1, 1]: (x - low) / (high - low) * 2 - 1, one pair or one per bin."""

    low: tuple[float, ...] = (-6.0,)
    high: tuple[float, ...] = (1.5,)

    def __post_init__(self):
        _check(len(self.low) == len(self.high) > 0, "norm: low and high must have the same length")
        _check(all(a < b for a, b in zip(self.low, self.high)), "norm: each low must be below its high")


@dataclass(frozen=True)
class EdmConfig:
    """EDM preconditioning (Karras et al. 2022, arXiv 2206.00364) with the boundary offset sigma_min."""

    sigma_data: float = 0.5
    sigma_min: float = 0.002
    sigma_max: float = 80.0
    rho: float = 7.0
    noise_scale: float = 1.0  # c_noise = noise_scale * ln(sigma) / 4; CoMoSVC uses 1

    def __post_init__(self):
        _check(0 < self.sigma_min < self.sigma_max, "edm: 0 < sigma_min < sigma_max does not hold")
        _check(self.sigma_data > 0 and self.rho > 0, "edm: sigma_data and rho must be positive")


@dataclass(frozen=True)
class ConditionConfig:
    """What the denoiser is conditioned on; each part is a linear map to ``channels``, and all are summed."""

    unit_channels: int = 768
    channels: int = 256
    speakers: int = 1
    key_shift: bool = True  # the `aug_shift_embed` of CoMoSVC and Diffusion-SVC
    voicing: bool = False  # a voiced/unvoiced flag per frame

    def __post_init__(self):
        _check(self.unit_channels > 0 and self.channels > 0, "condition: channel counts must be positive")
        _check(self.speakers >= 1, "condition: speakers must be at least 1")


@dataclass(frozen=True)
class DenoiserConfig:
    """Non-causal WaveNet. Layer i has dilation 2 ** (i % dilation_cycle); a cycle of 1 means 1 everywhere."""

    mel_bins: int = 80
    channels: int = 512
    layers: int = 20
    cond_channels: int = 256
    dilation_cycle: int = 1

    def __post_init__(self):
        _check(
            min(self.mel_bins, self.channels, self.layers, self.cond_channels, self.dilation_cycle) > 0,
            "denoiser: all sizes must be positive",
        )
        _check(self.channels % 2 == 0, "denoiser: channels must be even (the step embedding is half sine, half cosine)")

    @property
    def dilations(self) -> tuple[int, ...]:
        return tuple(2 ** (i % self.dilation_cycle) for i in range(self.layers))

    @property
    def halo_frames(self) -> int:
        """Frames on each side that one evaluation of the network reads beyond its output."""
        return sum(self.dilations)


@dataclass(frozen=True)
class VocoderConfig:
    """HiFi-GAN generator with a neural source filter.

    ``family`` is "openvpi" (sources are added as they are) or "m4" (M4Singer: ReLU and a layer norm over
    channels on each source branch).
    """

    family: str = "m4"
    mel: MelConfig = field(default_factory=MelConfig)
    initial_channels: int = 512
    upsample_rates: tuple[int, ...] = (8, 4, 2, 2)
    upsample_kernels: tuple[int, ...] = (16, 8, 4, 4)
    resblock: str = "1"
    resblock_kernels: tuple[int, ...] = (3, 7, 11)
    resblock_dilations: tuple[tuple[int, ...], ...] = ((1, 3, 5), (1, 3, 5), (1, 3, 5))
    harmonics: int = 8
    source: str = "sines"  # sines at f0 and its harmonics (upstream), or "pulse": all harmonics up to 0.45 rate_hz

    @property
    def source_channels(self) -> int:
        """Sines, or the pulse train and noise, that the source's linear layer mixes to one excitation."""
        return 2 if self.source == "pulse" else self.harmonics + 1

    def __post_init__(self):
        product = 1
        for rate in self.upsample_rates:
            product *= rate
        _check(self.family in ("m4", "openvpi"), f"vocoder: unknown family {self.family!r}", "use m4 or openvpi")
        _check(
            product == self.mel.hop_samples,
            f"vocoder: upsample_rates multiply to {product}, but mel.hop_samples is {self.mel.hop_samples}",
        )
        _check(
            len(self.upsample_rates) == len(self.upsample_kernels), "vocoder: one kernel per upsample rate is needed"
        )
        _check(
            all(k >= r and (k - r) % 2 == 0 for k, r in zip(self.upsample_kernels, self.upsample_rates)),
            "vocoder: each upsample kernel must exceed its rate by an even number",
        )
        _check(
            len(self.resblock_kernels) == len(self.resblock_dilations), "vocoder: one dilation list per resblock kernel"
        )
        _check(self.source in ("sines", "pulse"), f"vocoder: unknown source {self.source!r}", "use sines or pulse")
        _check(self.resblock in ("1", "2"), f"vocoder: unknown resblock {self.resblock!r}", 'use "1" or "2"')
        _check(
            self.initial_channels % 2 ** len(self.upsample_rates) == 0,
            "vocoder: initial_channels must halve at every stage",
        )


@dataclass(frozen=True)
class FeatureConfig:
    """How content and f0 reach the mel frames."""

    encoder: str = "recogniser"  # recogniser (ours), vec768l12, vec256l9, ...
    unit_channels: int = 768
    unit_align: str = "nearest"  # nearest, left, round
    f0_method: str = "yin"
    f0_low_hz: float = 50.0
    f0_high_hz: float = 1100.0

    def __post_init__(self):
        _check(
            self.unit_align in ("nearest", "left", "round"),
            f"features: unknown unit_align {self.unit_align!r}",
            "use nearest, left or round",
        )
        _check(0 < self.f0_low_hz < self.f0_high_hz, "features: 0 < f0_low_hz < f0_high_hz does not hold")


@dataclass(frozen=True)
class RecogniserConfig:
    """Phonetic recogniser: own log-mel at 16 kHz -> residual convolutions -> bottleneck (the units) -> phones."""

    mel: MelConfig = field(
        default_factory=lambda: MelConfig(
            rate_hz=16000, hop_samples=160, fft_samples=512, window_samples=400, bins=64, low_hz=50.0, high_hz=7600.0
        )
    )
    phones: tuple[str, ...] = ()  # index 0 is the CTC blank
    channels: int = 192
    layers: int = 8
    kernel: int = 3
    bottleneck: int = 48
    mean_frames: int = 0  # reach of the local mean that is taken from the mel, to each side; 0: none
    architecture: str = "conv"  # "gru" is for held-out evaluation

    def __post_init__(self):
        _check(
            self.architecture in ("conv", "gru"),
            f"recogniser: unknown architecture {self.architecture!r}",
            "use conv or gru",
        )
        _check(min(self.channels, self.layers, self.bottleneck) > 0, "recogniser: all sizes must be positive")
        _check(self.kernel % 2 == 1, "recogniser: kernel must be odd")


@dataclass(frozen=True)
class VerifierConfig:
    """Singer verifier: log-mel -> residual TDNN -> attentive statistics -> embedding."""

    mel: MelConfig = field(default_factory=MelConfig)
    channels: int = 128
    layers: int = 4
    embedding: int = 128
    singers: tuple[str, ...] = ()
    architecture: str = "tdnn"  # "conv2d" is for held-out evaluation

    def __post_init__(self):
        _check(
            self.architecture in ("tdnn", "conv2d"),
            f"verifier: unknown architecture {self.architecture!r}",
            "use tdnn or conv2d",
        )
        _check(min(self.channels, self.layers, self.embedding) > 0, "verifier: all sizes must be positive")


@dataclass(frozen=True)
class AcousticConfig:
    """An acoustic model: everything between features and mel."""

    mel: MelConfig = field(default_factory=MelConfig)
    features: FeatureConfig = field(default_factory=FeatureConfig)
    condition: ConditionConfig = field(default_factory=ConditionConfig)
    denoiser: DenoiserConfig = field(default_factory=DenoiserConfig)
    edm: EdmConfig = field(default_factory=EdmConfig)
    norm: NormConfig = field(default_factory=NormConfig)

    def __post_init__(self):
        _check(self.mel.bins == self.denoiser.mel_bins, "acoustic: mel.bins and denoiser.mel_bins differ")
        _check(
            self.condition.channels == self.denoiser.cond_channels,
            "acoustic: condition.channels and denoiser.cond_channels differ",
        )
        _check(
            self.features.unit_channels == self.condition.unit_channels,
            "acoustic: features.unit_channels and condition.unit_channels differ",
        )
        _check(len(self.norm.low) in (1, self.mel.bins), "acoustic: norm needs one pair, or one per mel bin")


def to_dict(config) -> dict:
    """A dataclass as plain dicts, lists, numbers and strings."""

    def plain(value):
        if dataclasses.is_dataclass(value):
            return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
        if isinstance(value, (tuple, list)):
            return [plain(v) for v in value]
        return value

    return plain(config)


def from_dict(cls, data: dict, where: str = ""):
    """The inverse of :func:`to_dict`. Raises :class:`ConfigError` on unknown keys and wrong types."""
    where = where or cls.__name__
    _check(isinstance(data, dict), f"{where}: a mapping is expected, got {type(data).__name__}")
    hints = typing.get_type_hints(cls)
    known = {f.name for f in dataclasses.fields(cls)}
    for key in data:
        _check(key in known, f"{where}: unknown key {key!r}", f"known keys: {', '.join(sorted(known))}")
    return cls(**{key: _cast(hints[key], value, f"{where}.{key}") for key, value in data.items()})


def _cast(hint, value, where: str):
    if dataclasses.is_dataclass(hint):
        return from_dict(hint, value, where)
    origin = typing.get_origin(hint)
    if origin is tuple:
        _check(isinstance(value, (list, tuple)), f"{where}: a list is expected, got {type(value).__name__}")
        return tuple(_cast(typing.get_args(hint)[0], v, where) for v in value)
    if origin in (typing.Union, types.UnionType):
        inner = [a for a in typing.get_args(hint) if a is not type(None)]
        return None if value is None else _cast(inner[0], value, where)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    _check(
        isinstance(value, hint) and (hint is bool or not isinstance(value, bool)),
        f"{where}: {hint.__name__} is expected, got {value!r}",
    )
    return value
