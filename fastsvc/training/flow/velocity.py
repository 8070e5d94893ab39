"""The velocity network of DDSP-SVC 6 for training, and the states that a discriminator reads."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from fastsvc.model.ddsp.velocity import TIME_SCALE, Layer, Velocity
from fastsvc.training.flow.blocks import block, pointwise


def forward(net: Velocity, x: Tensor, time: Tensor, first_mel: Tensor, valid: Tensor | None = None) -> Tensor:
    """The result of ``net(x, time, first_mel)`` [B, T, M]; gradients reach net's own parameters.

    ``valid`` [B, T]: 0 in the padding after an item, which its frames then see as a recording's end.
    """
    state = states(net, x, time, first_mel, valid)[-1]
    return pointwise(net.output_projection, state if net.norm is None else net.norm(state))


def states(net: Velocity, x: Tensor, time: Tensor, first_mel: Tensor, valid: Tensor | None = None) -> list[Tensor]:
    """The state [B, T, C] after each layer."""
    step = net.diffusion_embedding(TIME_SCALE * time)[:, None]
    inside = None if valid is None or bool((valid > 0).all()) else valid[..., None]
    state, after = F.gelu(pointwise(net.input_projection, x)), []
    for layer in net.residual_layers:
        state = _layer(layer, state, step, first_mel, inside)
        after.append(state)
    return after


def _layer(layer: Layer, state: Tensor, step: Tensor, first_mel: Tensor, inside: Tensor | None) -> Tensor:
    project_step, project, inner = (getattr(layer, layer.names[part]) for part in ("step", "condition", "block"))
    told = state + pointwise(project_step, step) + pointwise(project, first_mel)
    return state + block(inner.net, told, inside)
