"""What acoustic models of one network (RVC's, DDSP-SVC's) answer alike, where AcousticConfig asks its parts."""

from __future__ import annotations

from fastsvc.config.acoustic import FeatureConfig


class WholeConfig:
    """Base of the configurations of such models, without a field of its own: files keep theirs, in their order."""

    features: FeatureConfig

    @property
    def unit_channels(self) -> int:
        return self.features.unit_channels

    @property
    def shifts_formants(self) -> bool:
        """As :attr:`AcousticConfig.shifts_formants`."""
        return False

    @property
    def foreign_encoders(self) -> tuple[str, ...]:
        """As :attr:`AcousticConfig.foreign_encoders`."""
        return ()

    @property
    def is_native_edm(self) -> bool:
        """As :attr:`AcousticConfig.is_native_edm`."""
        return False
