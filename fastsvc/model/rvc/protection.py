"""Protection of consonants and breath from the index: unvoiced frames get units of the recording itself back."""

from torch import Tensor

VOICED_FROM_HZ = 1.0
FULL = 0.5  # and above: no protection, as upstream's page has it


def protected(units: Tensor, original: Tensor, f0_hz: Tensor, protect: float) -> Tensor:
    """The share ``protect`` of ``units``, which the index has changed, where f0 is below 1 Hz; all of them elsewhere.

    units, original [..., T, D], f0_hz [..., T] with 0 where unvoiced. With f0 interpolated through unvoiced frames,
    and for voices without pitch, nothing is protected.
    """
    if protect >= FULL:
        return units
    unvoiced = (f0_hz < VOICED_FROM_HZ)[..., None]
    return units.where(~unvoiced, protect * units + (1 - protect) * original)
