"""The lowered form of DDSP-SVC 6: control network, velocity network and speakers in `weights.safetensors`.

Channels-last rows throughout: row @ weight, so every weight is [in, out], and matrices of layers are stacked. What was
folded, and why it is allowed:

- `*.widen`, `*.output`: gain and bias of the layer norm before them, where there is one. The norm then only centres and
  scales.
- `*.taps` [31, I]: depthwise filters, a row for each tap, so that a tap is one product with a row of channels.
- `control.units`, `control.excitation`, `control.stack`: convolutions of 3 as products with [x[t−1], x[t], x[t+1]]. In
  version 6.1 `control.stack` takes the units' 512 channels beside the excitation's, because the results are summed.
- `control.speakers`: row s is the vector of speaker s with all biases that are added before the first block. Mixtures
  whose weights sum to 1 are exact.
- `control.attended`: values and output of the attention, which frames alone reduce to one matrix.
- `steps.vectors`: the step embedding of each level through each layer's projection, with the condition's bias.
"""

from __future__ import annotations

from fastsvc.config.ddsp import EXPANSION, KERNEL, STACK_CHANNELS, DdspConfig


def shapes(config: DdspConfig, levels: int) -> dict[str, tuple[int, ...]]:
    """Every tensor of the lowered form with its shape."""
    return {**_control(config), **_velocity(config), "steps.vectors": (levels, config.layers, config.channels)}


def stack_channels(config: DdspConfig) -> int:
    """Channels between the two convolutions over the units."""
    return config.hidden if config.version == "6.0" else STACK_CHANNELS


def block(name: str, layers: int, channels: int, version: str) -> dict[str, tuple[int, ...]]:
    """The stacked tensors of one network's blocks."""
    inner = EXPANSION * channels
    shapes: dict[str, tuple[int, ...]] = {
        f"{name}.widen.weight": (layers, channels, 2 * inner),
        f"{name}.widen.bias": (layers, 2 * inner),
        f"{name}.taps": (layers, KERNEL, inner),
        f"{name}.taps.bias": (layers, inner),
        f"{name}.narrow.weight": (layers, inner, channels),
        f"{name}.narrow.bias": (layers, channels),
    }
    return shapes | ({f"{name}.slope": (layers, inner)} if version == "6.1" else {})


def _control(config: DdspConfig) -> dict[str, tuple[int, ...]]:
    width, between = config.hidden, stack_channels(config)
    shapes: dict[str, tuple[int, ...]] = {
        "control.units.weight": (3 * config.unit_channels, between),
        "control.units.bias": (between,),
        "control.volume": (width,),
        "control.speakers": (config.speakers, width),
        "control.output.weight": (width, 4 * config.filter_bins),
        "control.output.bias": (4 * config.filter_bins,),
        **block("control", config.hidden_layers, width, config.version),
    }
    if config.version == "6.0":
        shapes |= dict.fromkeys(("control.f0", "control.phase", "control.group.gain"), (width,))
        shapes |= {"control.group.bias": (width,), "control.stack.weight": (3 * between, width)}
    else:
        shapes["control.excitation.weight"] = (3 * 2 * config.mel.hop_samples, between)
        shapes |= {"control.excitation.bias": (between,), "control.stack.weight": (3 * 2 * between, width)}
        shapes |= {"control.units.slope": (between,), "control.excitation.slope": (between,)}
    if config.key_shift:
        shapes["control.key_shift"] = (width,)
    return shapes | (_attention(config) if config.attention else {})


def _attention(config: DdspConfig) -> dict[str, tuple[int, ...]]:
    layers, width = config.hidden_layers, config.hidden
    norms = {
        f"control.{norm}.{part}": (layers, width)
        for norm in ("before_norm", "first_norm", "second_norm")
        for part in ("gain", "bias")
    }
    return norms | {
        "control.attended.weight": (layers, width, width),
        "control.attended.bias": (layers, width),
        "control.feed.weight": (layers, width, 4 * width),
        "control.feed.bias": (layers, 4 * width),
        "control.fed.weight": (layers, 4 * width, width),
        "control.fed.bias": (layers, width),
    }


def _velocity(config: DdspConfig) -> dict[str, tuple[int, ...]]:
    bins, width = config.mel.bins, config.channels
    return {
        "velocity.input.weight": (bins, width),
        "velocity.input.bias": (width,),
        "velocity.condition.weight": (config.layers, bins, width),
        **block("velocity", config.layers, width, config.version),
        "velocity.output.weight": (width, bins),
        "velocity.output.bias": (bins,),
    }
