"""The lowered form of an acoustic model: the names and shapes of `weights.safetensors`.

This page is that of the diffusion models; artifact/lowered_rvc.py is that of RVC's voices,
artifact/lowered_ddsp.py that of DDSP-SVC 6.

Channels-last rows throughout: row @ weight, so every weight is [in, out]. C denoiser channels, L layers, M mel bins,
H condition channels, U unit channels, S speakers. What was folded, and why it is allowed:

- `condition.speakers`: row s is the sum of all biases of the condition and speaker s's embedding, one vector an
  utterance. f0 and loudness are scalars times vectors.
- `condition.pulses`: the table of fastsvc/model/pulse_mel.py through its linear map; values between rows lie on lines.
- `conv.weight[l]`: the operand of row t is [X[t−δ], X[t], X[t+δ], cond[t]]; gate columns come first, then filter.
- `residual`: 1/√2 is inside. The last layer's residual is never used, so there are L − 1.
- `skip`: the skip halves of all output projections, their sum, 1/√L and the skip projection are linear up to the
  ReLU, hence one [L·C, C] matrix over the gated outputs of all layers.
- `steps.vectors[i, l]`: d_l at the i-th of the engine's noise levels.

Amphion's condition is not linear: the parameters of its module (fastsvc/model/amphion.py) are stored as they are, as
`condition.encoder.*` and `condition.conformer.*`, in place of the other `condition.*`.
"""

from __future__ import annotations

from fastsvc.artifact import lowered_ddsp, lowered_rvc
from fastsvc.config import AcousticConfig, AmphionConfig, AnyAcousticConfig, DdspConfig, RvcConfig

TAPS = 3
AMPHION = "condition."  # before the names of its module's parameters


def shapes(config: AnyAcousticConfig, levels: int) -> dict[str, tuple[int, ...]]:
    """Every tensor of the lowered form with its shape."""
    if isinstance(config, RvcConfig):
        return lowered_rvc.shapes(config)
    if isinstance(config, DdspConfig):
        return lowered_ddsp.shapes(config, levels)
    net = config.denoiser
    width, layers, hidden = net.channels, net.layers, net.cond_channels
    table = {
        "input.weight": (net.mel_bins, width),
        "input.bias": (width,),
        "conv.weight": (layers, TAPS * width + hidden, 2 * width),
        "conv.bias": (layers, 2 * width),
        "residual.weight": (layers - 1, width, width),
        "residual.bias": (layers - 1, width),
        "skip.weight": (layers * width, width),
        "skip.bias": (width,),
        "output.weight": (width, net.mel_bins),
        "output.bias": (net.mel_bins,),
        "steps.vectors": (levels, layers, width),
    }
    return table | (_linear(config) if config.amphion is None else _amphion(config, config.amphion))


def _amphion(config: AcousticConfig, amphion: AmphionConfig) -> dict[str, tuple[int, ...]]:
    from fastsvc.model.amphion import AmphionCondition
    from fastsvc.model.keys import skeleton

    module = skeleton(lambda: AmphionCondition(amphion, config.condition))
    return {AMPHION + name: tuple(value.shape) for name, value in module.state_dict().items()}


def _linear(config: AcousticConfig) -> dict[str, tuple[int, ...]]:
    cond, hidden = config.condition, config.denoiser.cond_channels
    table = {
        "condition.units": (cond.unit_channels, hidden),
        "condition.f0": (hidden,),
        "condition.volume": (hidden,),
        "condition.speakers": (cond.speakers, hidden),
    }
    if cond.key_shift:
        table["condition.key_shift"] = (hidden,)
    if cond.voicing:
        table["condition.voiced"] = (hidden,)
    if cond.pulses:
        from fastsvc.model import pulse_mel

        table["condition.pulses"] = (pulse_mel.ROWS, hidden)
    return table
