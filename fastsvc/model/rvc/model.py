"""The acoustic part of a voice of RVC under one roof: text encoder, draw, flow and table of speakers."""

from torch import Tensor, nn

from fastsvc.config.rvc import RvcConfig
from fastsvc.errors import SpeakerError
from fastsvc.model.rvc import pitch
from fastsvc.model.rvc.flow import Flow
from fastsvc.model.rvc.text_encoder import TextEncoder


class RvcModel(nn.Module):
    """Units and pitch → the generator's input. Parameters ``enc_p.*``, ``flow.flows.{0, 2, …}.*`` and ``emb_g.weight``.

    Names are those of RVC's files, with weight norm folded. Time is the second axis of all arguments, and frames are
    10 ms: B items, T frames, D unit channels, C = mel.bins latent channels, G speaker channels. ``valid`` [B, T], 1
    inside and 0 in the padding, is for batches of unequal lengths: an item's result is that of the item alone, and 0
    in the padding.
    """

    def __init__(self, config: RvcConfig):
        super().__init__()
        self.config = config
        self.enc_p = TextEncoder(config)
        self.flow = Flow(config)
        self.emb_g = nn.Embedding(config.speakers, config.speaker_channels)

    def coarse_pitch(self, f0_hz: Tensor) -> Tensor:
        """f0 in Hz, 0 where unvoiced → int64 1 … 255: see fastsvc/model/rvc/pitch.py."""
        return pitch.coarse_pitch(f0_hz, self.config.features.f0_low_hz, self.config.features.f0_high_hz)

    def speaker(self, speaker: Tensor) -> Tensor:
        """Ids [B] or mixing weights [B, speakers] → [B, G]. Raises SpeakerError for an id outside the table."""
        table = self.emb_g.weight
        if speaker.is_floating_point():
            return speaker.to(table.dtype) @ table
        if speaker.numel() and not 0 <= int(speaker.min()) <= int(speaker.max()) < len(table):
            raise SpeakerError(f"speaker id {int(speaker.max())} is outside 0 … {len(table) - 1}", "choose another id")
        return table[speaker]

    def prior(self, units: Tensor, coarse: Tensor | None, valid: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """units [B, T, D], coarse pitch [B, T] or None → mean and log of the deviation of the latent [B, T, C]."""
        mean, log_deviation = self.enc_p(units, coarse, _rows(valid, units))
        return mean.transpose(1, 2), log_deviation.transpose(1, 2)

    def draw(self, mean: Tensor, log_deviation: Tensor, noise: Tensor) -> Tensor:
        """A latent z_p about the mean; noise is standard normal and scaled by noise_scale; all [B, T, C]."""
        return mean + log_deviation.exp() * noise * self.config.noise_scale

    def flow_backwards(self, z_p: Tensor, speaker: Tensor, valid: Tensor | None = None) -> Tensor:
        """z_p [B, T, C], speaker [B, G] → the generator's input z [B, T, C].

        Local in time: z of some frames needs z_p of config.flow_halo_frames more on each side.
        """
        return self.flow.backwards(z_p.transpose(1, 2), speaker[:, :, None], _rows(valid, z_p)).transpose(1, 2)

    def latent(
        self, units: Tensor, coarse: Tensor | None, speaker: Tensor, noise: Tensor, valid: Tensor | None = None
    ) -> Tensor:
        """units [B, T, D], coarse pitch [B, T] or None, speaker [B, G], noise [B, T, C] → z [B, T, C]."""
        mean, log_deviation = self.prior(units, coarse, valid)
        return self.flow_backwards(self.draw(mean, log_deviation, noise), speaker, valid)

    forward = latent


def _rows(valid: Tensor | None, like: Tensor) -> Tensor | None:
    """[B, T] of any type → [B, 1, T] of the network's type."""
    return None if valid is None else valid[:, None].to(like.dtype)
