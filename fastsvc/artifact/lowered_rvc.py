"""The lowered form of RVC's acoustic part: text encoder, flow and speakers in `weights.safetensors`.

Channels-last rows throughout: row @ weight, so every weight is [in, out]. Matrices of a layer are stacked. What was
folded, and why it is allowed:

- `encoder.input`: row p of its bias is √hidden times the bias and the vector of coarse pitch p; voices without pitch
  have one row. The product is scaled by √hidden when it is added.
- `encoder.qkv`: queries, keys and values side by side. Scores are scaled by 1/√d as they are computed. Files of voices
  hold float16, so matrices without a factor inside are exact when they are stored in it, too.
- `encoder.widen`: the operand of row t is [X[t−δ], …, X[t+δ]]. `encoder.narrow` gives the contributions of row t to
  rows t+δ, …, t−δ side by side, which are added after the product: its input is four times as wide as its output.
- `flow.*`: coupling i is the i-th that runs. The channels' reversal between couplings is inside: coupling 0, 2, …
  read the second half of z and shift the first, coupling 1, 3, … the other way round (fastsvc/engine/cpu/rvc/flow.py).
- `flow.output`: the skip halves of all layers, their sum and the last 1×1 are linear, hence one [layers·H, C/2] matrix
  over the gated outputs; the sign is inside, so that it is added. The last layer has no residual.
- `condition.speakers`: row s is what speaker s adds before the gates of all layers of all couplings, with their biases.
  Mixtures whose weights sum to 1 are exact.
"""

from __future__ import annotations

from fastsvc.config.rvc import PITCHES, RvcConfig


def shapes(config: RvcConfig) -> dict[str, tuple[int, ...]]:
    """Every tensor of the lowered form with its shape."""
    width, inner, layers, taps = config.hidden, config.filter_channels, config.layers, config.kernel
    near, half = (layers, 2 * config.window + 1, width // config.heads), config.mel.bins // 2
    couplings, gated = config.couplings, config.flow_layers
    return {
        "encoder.input.weight": (config.unit_channels, width),
        "encoder.input.bias": (PITCHES if config.pitch else 1, width),
        "encoder.qkv.weight": (layers, width, 3 * width),
        "encoder.qkv.bias": (layers, 3 * width),
        "encoder.relative.keys": near,
        "encoder.relative.values": near,
        "encoder.attended.weight": (layers, width, width),
        "encoder.attended.bias": (layers, width),
        "encoder.first_norm.gain": (layers, width),
        "encoder.first_norm.bias": (layers, width),
        "encoder.widen.weight": (layers, taps * width, inner),
        "encoder.widen.bias": (layers, inner),
        "encoder.narrow.weight": (layers, inner, taps * width),
        "encoder.narrow.bias": (layers, width),
        "encoder.second_norm.gain": (layers, width),
        "encoder.second_norm.bias": (layers, width),
        "encoder.prior.weight": (width, 2 * config.mel.bins),
        "encoder.prior.bias": (2 * config.mel.bins,),
        "flow.input.weight": (couplings, half, width),
        "flow.input.bias": (couplings, width),
        "flow.conv.weight": (couplings, gated, config.flow_kernel * width, 2 * width),
        "flow.residual.weight": (couplings, gated - 1, width, width),
        "flow.residual.bias": (couplings, gated - 1, width),
        "flow.output.weight": (couplings, gated * width, half),
        "flow.output.bias": (couplings, half),
        "condition.speakers": (config.speakers, couplings * gated * 2 * width),
    }
