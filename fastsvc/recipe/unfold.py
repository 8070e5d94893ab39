"""An engine's lowered denoiser back as a network that can be trained: the inverse of the passes fold and lower.

Lowering multiplies matrices together and keeps the step vectors of a few noise levels alone, so the trained factors are
lost, but a network of the same function is not: the skips get the identity as their common projection, biases that were
summed stay in one place, and the projections of the step are solved so that they give exactly the stored vectors at the
stored levels and a smooth curve between them. Weights stored in fp16 keep their rounding.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from fastsvc.config import AcousticConfig
from fastsvc.errors import EngineError
from fastsvc.model import process, pulse_mel
from fastsvc.model.acoustic import AcousticModel
from fastsvc.model.wavenet import step_features

RANK = 1e-6  # of the largest singular value: in weaker directions rounding would make large weights
TINY = 1e-12
RIDGE = 1e-4  # of the step features' energy: levels with nearly equal features must not make large weights


@torch.no_grad()
def unfold(tensors: dict[str, Tensor], config: AcousticConfig, levels: Sequence[float]) -> dict[str, Tensor]:
    """Tensors of `weights.safetensors` (fastsvc/artifact/lowered.py) → state dict of an AcousticModel, float32.

    ``levels``: the engine's noise levels, in the order of ``steps.vectors``. Raises EngineError for a network whose
    condition or step embedding is not linear in its vectors (Amphion).
    """
    if not config.is_native_edm or config.denoiser.step_embedding != "mlp":
        raise EngineError("this engine's network cannot be trained further", "name another engine with --base")
    part = {name: value.double() for name, value in tensors.items()}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = AcousticModel(config).double()
    state = dict(model.state_dict())
    state |= _condition(part, config) | _layers(part, config)
    state |= _steps(model, part["steps.vectors"], levels)
    return {name: value.float().contiguous() for name, value in state.items()}


def _condition(part: dict[str, Tensor], config: AcousticConfig) -> dict[str, Tensor]:
    """The mean of the singers' rows becomes the bias, so that zeros are a mean voice."""
    rows = part["condition.speakers"]
    mean, condition = rows.mean(0), "condition."
    state = {
        "unit_embed.weight": part["condition.units"].T,
        "unit_embed.bias": mean,
        "f0_embed.weight": part["condition.f0"][:, None],
        "f0_embed.bias": torch.zeros_like(mean),
        "volume_embed.weight": part["condition.volume"][:, None],
        "volume_embed.bias": torch.zeros_like(mean),
    }
    if config.condition.speakers > 1:
        state["spk_embed.weight"] = rows - mean
    if config.condition.key_shift:
        state["aug_shift_embed.weight"] = 5 * part["condition.key_shift"][:, None]
    if config.condition.voicing:
        state["voiced_embed.weight"] = part["condition.voiced"][:, None]
    if config.condition.pulses:
        rows = pulse_mel.table(config.mel, config.norm)
        state["pulse_embed.weight"] = (torch.linalg.pinv(rows, rtol=RANK) @ part["condition.pulses"]).T
    return {condition + name: value for name, value in state.items()}


def _layers(part: dict[str, Tensor], config: AcousticConfig) -> dict[str, Tensor]:
    net = config.denoiser
    width, layers = net.channels, net.layers
    skips = part["skip.weight"].view(layers, width, width)
    zeros = torch.zeros(width, dtype=torch.float64)
    state = {
        "denoiser.input_projection.weight": part["input.weight"].T[:, :, None],
        "denoiser.input_projection.bias": part["input.bias"],
        "denoiser.output_projection.weight": part["output.weight"].T[:, :, None],
        "denoiser.output_projection.bias": part["output.bias"],
        "denoiser.skip_projection.weight": torch.eye(width, dtype=torch.float64)[:, :, None],
        "denoiser.skip_projection.bias": part["skip.bias"],
    }
    for i in range(layers):
        layer, conv = f"denoiser.residual_layers.{i}.", part["conv.weight"][i].T  # [2C, 3C + H]
        last = i + 1 == layers  # its residual is used by nothing
        residual = torch.zeros(width, width).double() if last else math.sqrt(2) * part["residual.weight"][i].T
        bias = zeros if last else math.sqrt(2) * part["residual.bias"][i]
        skip = math.sqrt(layers) * skips[i].T
        state |= {
            layer + "dilated_conv.weight": torch.stack(conv[:, : 3 * width].split(width, dim=1), dim=2),
            layer + "dilated_conv.bias": part["conv.bias"][i],
            layer + "conditioner_projection.weight": conv[:, 3 * width :, None],
            layer + "conditioner_projection.bias": torch.zeros(2 * width).double(),
            layer + "output_projection.weight": torch.cat([residual, skip])[:, :, None],
            layer + "output_projection.bias": torch.cat([bias, zeros]),
        }
    return state


def _steps(model: AcousticModel, vectors: Tensor, levels: Sequence[float]) -> dict[str, Tensor]:
    """Weights and biases of each layer's projection of the step. vectors [levels, L, C]."""
    c_noise = process.coefficients(model.config, torch.tensor(levels, dtype=torch.float32))[3]
    features = model.denoiser.mlp(step_features(c_noise, model.config.denoiser).double())  # [levels, C]
    middle, mean = features.mean(0), vectors.mean(0)
    offsets = features - middle
    gram = offsets @ offsets.T
    ridge = RIDGE * gram.diagonal().mean() + TINY  # of one level all offsets are zero
    weight = torch.linalg.solve(gram + ridge * torch.eye(len(gram)).double(), offsets)
    state = {}
    for i in range(vectors.shape[1]):
        projection = (vectors[:, i] - mean[i]).T @ weight  # [C, C]
        name = f"denoiser.residual_layers.{i}.diffusion_projection."
        state |= {name + "weight": projection, name + "bias": mean[i] - projection @ middle}
    return state
