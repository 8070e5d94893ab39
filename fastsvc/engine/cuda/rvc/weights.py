"""The lowered tensors of RVC's acoustic part (fastsvc/artifact/lowered_rvc.py) as a GPU's products take them."""

from __future__ import annotations

import torch
from torch import Tensor

from fastsvc.config.rvc import RvcConfig
from fastsvc.engine.cuda.rvc.attention import near_rows

EXACT = "prior."  # the encoder's last product, whose result is a logarithm, stays in float32


class RvcWeights:
    """Tensors on the device in ``dtype``: one dict for each layer of the encoder and each coupling of the flow."""

    def __init__(self, tensors: dict[str, Tensor], config: RvcConfig, dtype: torch.dtype, device: torch.device):
        self.config, self.dtype, self.device = config, dtype, device
        encoder, flow = (self._part(tensors, prefix) for prefix in ("encoder.", "flow."))
        self.input = encoder.pop("input.weight"), encoder.pop("input.bias")
        self.prior = encoder.pop("prior.weight"), encoder.pop("prior.bias")
        self.layers = [self._layer({name: value[i] for name, value in encoder.items()}) for i in range(config.layers)]
        self.couplings = [{name: value[i] for name, value in flow.items()} for i in range(config.couplings)]

    def _part(self, tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
        part = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
        types = {name: torch.float32 if name.startswith(EXACT) else self.dtype for name in part}
        return {name: value.to(self.device, types[name]) for name, value in part.items()}

    def _layer(self, layer: dict[str, Tensor]) -> dict[str, Tensor]:
        """The second convolution is a product over neighbours here, as the first one is: on a GPU copies cost little,
        and one sum in float32 is more exact than a rounded one for each tap."""
        narrow = layer["narrow.weight"].unflatten(1, (self.config.kernel, -1))  # [inner, taps, H]
        layer["narrow.weight"] = narrow.transpose(0, 1).flatten(0, 1).contiguous()
        for name in ("relative.keys", "relative.values"):
            layer[name] = near_rows(layer[name])
        return layer
