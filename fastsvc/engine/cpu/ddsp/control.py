"""The control network of DDSP-SVC 6 on a CPU, over channels-last rows."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from fastsvc.config.ddsp import GROUPS, DdspConfig
from fastsvc.engine.cpu.ddsp.blocks import CpuBlocks
from fastsvc.engine.cpu.rvc.rows import neighbours
from fastsvc.model.ddsp.control import PITCH_HZ, SLOPE

EPSILON = 1e-5  # of the group norm


@dataclass(frozen=True)
class GroupNorm:
    """Mean and 1/deviation of each channel's group over a whole recording, [channels]."""

    mean: Tensor
    scale: Tensor


class CpuControl:
    """Features of some frames → their filters, from lowered tensors, in float32.

    Frames of the result are right ``config.control_halo_frames`` from both ends of the input, and up to the recording's
    own ends.
    """

    def __init__(self, tensors: dict[str, Tensor], config: DdspConfig):
        self.config = config
        self.part = {
            name.removeprefix("control."): w.float() for name, w in tensors.items() if name.startswith("control.")
        }
        self.blocks = CpuBlocks(tensors, "control", config.version)

    def sums(self, units: Tensor, first: int, last: int) -> Tensor:
        """Sums and sums of squares [2, groups] of the first convolution over the frames first … last − 1, float64."""
        rows = self._first(units)[first:last].double().view(last - first, GROUPS, -1)
        return torch.stack((rows.sum((0, 2)), rows.square().sum((0, 2))))

    def group_norm(self, sums: Tensor, frames: int) -> GroupNorm:
        """:meth:`sums` of a whole recording → its norm."""
        each = self.config.hidden // GROUPS
        mean, square = sums / (frames * each)
        scale = (square - mean.square()).clamp(min=0).add(EPSILON).rsqrt()
        return GroupNorm(*(value.float().repeat_interleave(each) for value in (mean, scale)))

    def __call__(
        self,
        units: Tensor,
        f0_hz: Tensor,
        volume: Tensor,
        phase: Tensor,
        excitation: Tensor,
        voice: Tensor,
        norm: GroupNorm | None = None,
        trace: list[tuple[str, Tensor]] | None = None,
    ) -> Tensor:
        """units [T, D], f0_hz, volume and phase [T], excitation [T·hop, 2], voice [H]: a row of `control.speakers`,
        or a mixture → control [T, 4F]. ``norm``: the recording's, which version 6.0 needs."""
        part, rows = self.part, self._first(units)
        if self.config.version == "6.0":
            assert norm is not None, "version 6.0 needs the norm of the whole recording"
            rows = (rows - norm.mean).mul_(norm.scale).mul_(part["group.gain"]).add_(part["group.bias"])
            rows = F.leaky_relu(rows, SLOPE, inplace=True)
            x = torch.outer((1 + f0_hz / PITCH_HZ).log(), part["f0"]).addr_(2 * phase, part["phase"])
        else:
            rows = torch.prelu(rows, part["units.slope"])
            frames = excitation.view(len(units), -1, 2).transpose(1, 2).flatten(1)
            told = torch.addmm(part["excitation.bias"], neighbours(frames, 3), part["excitation.weight"])
            rows = torch.cat((rows, torch.prelu(told, part["excitation.slope"])), dim=1)
            x = rows.new_zeros(len(units), self.config.hidden)
        x.addmm_(neighbours(rows, 3), part["stack.weight"]).add_(voice).addr_(volume, part["volume"])
        for layer in range(self.config.hidden_layers):
            self._attend(layer, x)
            rows = F.layer_norm(x, x.shape[-1:]) if self.config.norm else x.clone()
            self.blocks.add(layer, rows, x)
            if trace is not None:
                trace.append((f"control layer {layer}", x.clone()))
        return torch.addmm(part["output.bias"], F.layer_norm(x, x.shape[-1:]), part["output.weight"])

    def _first(self, units: Tensor) -> Tensor:
        return torch.addmm(self.part["units.bias"], neighbours(units, 3), self.part["units.weight"])

    def _attend(self, layer: int, x: Tensor) -> None:
        """x += what upstream's attention gives a frame alone."""
        if not self.config.attention:
            return
        part = {name: value[layer] for name, value in self.part.items() if name.split(".")[0] in _ATTENTION}

        def normed(rows: Tensor, name: str) -> Tensor:
            return F.layer_norm(rows, rows.shape[-1:], part[f"{name}.gain"], part[f"{name}.bias"])

        rows = normed(x, "before_norm")
        rows = normed(torch.addmm(part["attended.bias"], rows, part["attended.weight"]).add_(rows), "first_norm")
        wide = F.gelu(torch.addmm(part["feed.bias"], rows, part["feed.weight"]))
        x += normed(torch.addmm(part["fed.bias"], wide, part["fed.weight"]).add_(rows), "second_norm")


_ATTENTION = ("before_norm", "attended", "first_norm", "feed", "fed", "second_norm")
