"""The synthesiser of DDSP-SVC 6: comb tooth and noise through filters of each frame, over an STFT; and its mel."""

import torch
import torch.nn.functional as F
from torch import Tensor

from fastsvc.audio.mel import log_mel_of_padded
from fastsvc.config import MelConfig

NOISE_DIVISOR = 128.0


def synthesised(excitation: Tensor, filters: Tensor, window_samples: int, hop: int) -> Tensor:
    """excitation [B, T·hop, 2], complex filters [B, T, 2, F] → audio [B, T·hop].

    The STFT has T + 1 frames, centred on multiples of the hop; the last filter serves twice. Ends are reflected, or
    continued with zeros where the audio is too short for that.
    """
    samples = excitation.shape[1]
    window = torch.hann_window(window_samples, dtype=excitation.dtype, device=excitation.device)
    spectra = torch.stft(
        excitation.transpose(1, 2).flatten(0, 1),
        window_samples,
        hop,
        window=window,
        center=True,
        pad_mode="reflect" if samples > window_samples // 2 else "constant",
        return_complex=True,
    ).unflatten(0, (-1, 2))  # [B, 2, F, T + 1]
    filters = torch.cat([filters, filters[:, -1:]], dim=1).permute(0, 2, 3, 1)
    levels = excitation.new_tensor([1.0, 1.0 / NOISE_DIVISOR])[:, None, None]
    summed = (spectra * filters * levels).sum(dim=1)
    return torch.istft(summed, window_samples, hop, window=window, center=True, length=samples)


def first_mel(audio: Tensor, mel: MelConfig) -> Tensor:
    """audio [B, T·hop] → log-mel [B, T, M], as openvpi's vocoder takes it from recordings: ends are reflected, or
    continued with zeros where the audio is too short for that."""
    left, right = mel_padding(mel)
    mode = "reflect" if max(left, right) < audio.shape[1] else "constant"
    return log_mel_of_padded(F.pad(audio[:, None], (left, right), mode=mode)[:, 0], mel)


def mel_padding(mel: MelConfig) -> tuple[int, int]:
    """Samples before the first and after the last frame's hop that its window covers."""
    total = mel.fft_samples - mel.hop_samples
    return total // 2, total - total // 2
