"""Networks that analyse audio: the phonetic recogniser, the singer verifier and the pitch network."""

from __future__ import annotations

from dataclasses import dataclass, field

from fastsvc.config.hubert import HubertConfig
from fastsvc.config.limits import F0_HZ, FUTURE_FRAMES, LAYERS, NAMES, SIZES
from fastsvc.config.mel import MelConfig
from fastsvc.config.plain import check, later, within

STRIDE = 2  # mel frames to a state of a conformer


@dataclass(frozen=True)
class RecogniserConfig:
    """Phonetic recogniser: own log-mel at 16 kHz -> trunk (``architecture``) -> bottleneck (the units) -> phones."""

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
    mean_frames: int = 0  # reach to each side of the local mean that is subtracted from the mel; 0: none
    architecture: str = "conv"  # or "conformer"; "gru" is for held-out evaluation
    future_frames: int | None = later(None)  # mel frames after its own that a unit depends on; None: as many as before
    heads: int = later(4)  # of a conformer's attention, which is for architecture conformer alone
    attention_frames: int = later(50)  # that a conformer's state hears to each side, at half the mel's rate

    def __post_init__(self):
        check(
            self.architecture in ("conv", "conformer", "gru"),
            f"recogniser: unknown architecture {self.architecture!r}",
            "use conv, conformer or gru",
        )
        within("recogniser", self, channels=SIZES, layers=LAYERS, bottleneck=SIZES, kernel=(1, 255))
        within("recogniser", self, mean_frames=(0, 2**14))
        check(len(self.phones) < NAMES[1], f"recogniser: {len(self.phones)} phones")
        check(self.kernel % 2 == 1, "recogniser: kernel must be odd")
        within("recogniser", self, heads=(1, 64), attention_frames=(1, 2**12))
        if self.architecture == "conformer":
            check(self.channels % self.heads == 0, "recogniser: channels must be a multiple of heads")
            check(not self.mean_frames, "recogniser: mean_frames is for architecture conv or gru")
        if self.future_frames is not None:
            within("recogniser", self, future_frames=FUTURE_FRAMES)
            fits = self.architecture == "conv" and not self.mean_frames
            check(fits, "recogniser: future_frames is for architecture conv with mean_frames 0")

    @property
    def unit_channels(self) -> int:
        return self.bottleneck

    @property
    def stride(self) -> int:
        """Where a recording is cut, the place must be a multiple of so many mel frames."""
        return STRIDE if self.architecture == "conformer" else 1


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
        check(
            self.architecture in ("tdnn", "conv2d"),
            f"verifier: unknown architecture {self.architecture!r}",
            "use tdnn or conv2d",
        )
        within("verifier", self, channels=SIZES, layers=LAYERS, embedding=SIZES)
        check(len(self.singers) <= NAMES[1], f"verifier: {len(self.singers)} singers")


@dataclass(frozen=True)
class PitchConfig:
    """Pitch of a mel: gated convolutions -> ``bins`` of ``step_cents`` from ``low_hz`` on. Used only in training."""

    mel: MelConfig = field(default_factory=MelConfig)
    channels: int = 96
    layers: int = 6
    low_hz: float = 40.0
    step_cents: float = 20.0
    bins: int = 300  # 40 Hz to 1266 Hz

    def __post_init__(self):
        within("pitch", self, channels=SIZES, layers=LAYERS, bins=SIZES, low_hz=F0_HZ, step_cents=(0.1, 1200))


CONTENT_CONFIGS = {"recogniser": RecogniserConfig, "hubert": HubertConfig}  # by kind of content encoder
