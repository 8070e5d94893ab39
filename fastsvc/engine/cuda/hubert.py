"""HuBERT and ContentVec on a GPU, cut as in fastsvc/features/hubert.py: whole up to 60 s, then windows of 40 s.

Audio and first convolution stay in float32 (moments for the group norm in float64), because a quiet recording, or one
with an offset, has more digits than float16 holds. The first convolution's output is normalised. Norms and the sums of
the softmax are computed in float32 inside PyTorch's kernels.

- A strided convolution is one product for each stride of its taps, over views: kernel 3 and stride 2 make two products,
  [x[2t], x[2t+1]] · W and x[2t+2] · W. A view whose rows overlap would be copied first.
- The positional convolution (128 taps, 16 groups of 48 channels) would have columns too narrow and rows that overlap by
  127 of 128. Four neighbouring outputs at once read 131 rows: a quarter of the copies for 2 % more arithmetic.
- Attention is masked, so the memory-efficient kernel runs it; the flash kernel knows no masks.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from fastsvc.config import HubertConfig
from fastsvc.engine.cuda.copies import to_device
from fastsvc.engine.cuda.programs import LENGTHS, Programs, audio_to_device, prepared_length
from fastsvc.features import hubert
from fastsvc.model.hubert import ConvLayer, FeatureExtractor

FRONT = 512  # units at once in the convolutions: about 200 MB between the first two
NEIGHBOURS = 4  # outputs of the positional convolution at once
MOMENT_ROWS = 256  # windows summed by one small product; many such products run in parallel
EXACT = "feature_extractor.conv_layers.0."
Recording = tuple[Tensor, int, "tuple[Tensor, Tensor] | None"]  # samples, number of units, first convolution


class CudaHubertEncoder(hubert.HubertEncoder):
    """Units stay on the device. Past 60 s each window computes its own convolutions, so overlaps are computed twice."""

    def __init__(self, config: HubertConfig, tensors: dict[str, Tensor], dtype: torch.dtype, device):
        self.config, self.device = config, torch.device(device)
        self.output_device = self.device
        with torch.inference_mode(False):
            self.weights = HubertWeights(config, tensors, dtype, self.device)
        self.front = self.weights.front
        self.programs = Programs(lambda shape: HubertProgram(self.weights, *shape), self.device)
        self._describe(config)

    def encode(self, audio) -> Tensor:
        """audio [samples] at 16 kHz, tensor or array -> units [max(1, (samples - 80) // 320), D], on the device."""
        return self.programs.within_memory(
            lambda: hubert.HubertEncoder.encode(self, audio_to_device(audio, self.device))
        )

    def _features(self, audio: Tensor, count: int) -> Recording:
        """The recording; for several windows, with the first convolution's weights, which depend on all of it."""
        return audio, count, None if len(hubert.windows(count)) == 1 else self.front.first(audio)

    def _attend(self, features: Recording, begin: int, end: int) -> Tensor:
        (audio, count, first), hop = features, self.hop_samples
        reach = self.config.position_kernel
        start, stop = max(0, begin - reach), min(count, end + reach)
        program, replay = self.programs.prepared((prepared_length(stop - start), first is None))
        samples = len(audio) if first is None else (stop - start - 1) * hop + self.config.window_samples
        program.audio[:samples].copy_(audio[start * hop : start * hop + samples], non_blocking=True)
        program.set_bounds(samples, stop - start, begin - start, end - start)
        if first is not None:
            for target, source in zip(program.first, first):
                target.copy_(source)
        replay()
        return program.out[begin - start : end - start].clone()

    def warm_up(self, seconds: Iterable[float] | None = None) -> None:
        """Make the graphs for recordings of these lengths, longest first; None: for every length up to 60 s.

        The last window of a longer recording may have a length without a graph.
        """
        hop, window = self.hop_samples, self.config.window_samples
        counts = [(round(duration * self.rate_hz) - window) // hop + 1 for duration in seconds or ()]
        longest = max([0, *(n for n in counts if n > hubert.WHOLE)])
        single_pass = LENGTHS if seconds is None else (n for n in counts if n <= hubert.WHOLE)
        shapes = {min(prepared_length(n), hubert.WHOLE) for n in single_pass}
        shapes |= {min(longest, 3 * hubert.KEEP)} if longest else set()
        for units in sorted(shapes, reverse=True):
            self.encode(torch.zeros((units - 1) * hop + window))


class HubertWeights:
    """The network's tensors as the products take them: in ``dtype``, the first convolution in float32."""

    def __init__(self, config: HubertConfig, tensors: dict[str, Tensor], dtype: torch.dtype, device: torch.device):
        self.config, self.dtype, self.device = config, dtype, device
        self.tensors = {
            name: value.to(device, torch.float32 if name.startswith(EXACT) else dtype)
            for name, value in tensors.items()
            if not (".attention." in name and name.split(".")[-2] in ("q_proj", "k_proj", "v_proj"))
        }
        self.front = hubert.Front([self._first_layer()])
        self.convs = [
            StridedConv(self.tensors.pop(f"feature_extractor.conv_layers.{i}.conv.weight"), stride)
            for i, stride in enumerate(config.conv_strides[1:], 1)
        ]
        name = "encoder.pos_conv_embed.conv"
        self.position = GroupedConv(self.tensors.pop(f"{name}.weight"), self[f"{name}.bias"], config.position_groups)
        self.qkv = []
        for i in range(config.layers):
            parts = [f"encoder.layers.{i}.attention.{part}_proj" for part in "qkv"]
            rows = (torch.cat([tensors[f"{part}.{kind}"] for part in parts]) for kind in ("weight", "bias"))
            self.qkv.append(tuple(row.to(device, dtype) for row in rows))

    def __getitem__(self, name: str) -> Tensor:
        return self.tensors[name]

    def pair(self, name: str) -> tuple[Tensor, Tensor]:
        return self[f"{name}.weight"], self[f"{name}.bias"]

    def norm(self, x: Tensor, name: str) -> Tensor:
        return F.layer_norm(x, x.shape[-1:], *self.pair(name), self.config.norm_eps)

    def _first_layer(self) -> ConvLayer:
        with torch.device("meta"):
            layer = cast(ConvLayer, FeatureExtractor(self.config).conv_layers[0])
        state = {name.removeprefix(EXACT): value for name, value in self.tensors.items() if name.startswith(EXACT)}
        layer.load_state_dict(state, assign=True)
        return layer.requires_grad_(False)


class StridedConv:
    """[T, C] -> [(T - k) // stride + 1, C']: a product for every ``stride`` taps."""

    def __init__(self, weight: Tensor, stride: int):
        self.kernel, self.stride = weight.shape[2], stride
        taps = weight.permute(2, 1, 0)  # [k, C, C']
        self.parts = [part.reshape(-1, weight.shape[0]).contiguous() for part in taps.split(stride)]

    def __call__(self, x: Tensor) -> Tensor:
        count, width = (len(x) - self.kernel) // self.stride + 1, self.stride * x.shape[1]
        rows = [
            x.as_strided((count, len(w)), (width, 1), x.storage_offset() + i * width) for i, w in enumerate(self.parts)
        ]
        y = rows[0] @ self.parts[0]
        for row, weight in zip(rows[1:], self.parts[1:]):
            y.addmm_(row, weight)
        return y


class GroupedConv:
    """[T, C] -> [T, C], T a multiple of :data:`NEIGHBOURS`: a batch of products, one for each group."""

    def __init__(self, weight: Tensor, bias: Tensor, groups: int):
        outputs, inputs, self.kernel = weight.shape
        self.groups, self.bias = groups, bias
        taps = weight.view(groups, outputs // groups, inputs, self.kernel).permute(0, 3, 2, 1)  # [G, k, C/G, C'/G]
        wide = weight.new_zeros(groups, self.kernel + NEIGHBOURS - 1, inputs, NEIGHBOURS, outputs // groups)
        for i in range(NEIGHBOURS):
            wide[:, i : i + self.kernel, :, i] = taps
        self.weight = wide.flatten(1, 2).flatten(2)

    def __call__(self, x: Tensor) -> Tensor:
        length, half = len(x), self.kernel // 2
        x = F.pad(x.unflatten(1, (self.groups, -1)).transpose(0, 1), (0, 0, half, self.kernel - half + NEIGHBOURS))
        x = x.contiguous()  # [G, T and its padding, C/G]
        size, width = (self.groups, length // NEIGHBOURS, self.weight.shape[1]), x.shape[2]
        rows = x.as_strided(size, (x.shape[1] * width, NEIGHBOURS * width, 1)).contiguous()
        y = rows @ self.weight
        return y.view(self.groups, length, -1).transpose(0, 1).flatten(1) + self.bias


class HubertProgram:
    """One prepared length of ``units``: static inputs, and the network over them.

    ``whole``: the input is a whole recording, so the program computes the group norm's moments itself; otherwise the
    caller fills ``first``, weight and bias of the first convolution.
    """

    def __init__(self, weights: HubertWeights, units: int, whole: bool):
        config, device = weights.config, weights.device
        self.weights, self.units, self.whole = weights, units, whole
        conv = weights.front.layers[0].conv
        self.kernel, self.stride = conv.kernel_size[0], conv.stride[0]
        # Whole recordings end with samples that give no unit, but count for the group norm.
        self.audio = torch.zeros(units * config.hop_samples + config.window_samples, device=device)
        self.bounds = torch.zeros(4, dtype=torch.int64, device=device)
        weight, bias = (torch.zeros(shape, device=device) for shape in weights.front.shapes())
        self.first = weight, bias
        self.out = torch.zeros(units, config.unit_channels, device=device)
        self.unit_numbers = torch.arange(units, device=device)
        self.windows = torch.arange((len(self.audio) - self.kernel) // self.stride + 1, device=device)

    def set_bounds(self, samples: int, valid_units: int, low: int, high: int) -> None:
        """Set the numbers of valid samples and units; attention reads the units [low, high)."""
        windows = (samples - self.kernel) // self.stride + 1
        self.bounds.copy_(to_device(torch.tensor((windows, valid_units, low, high)), self.bounds.device))

    def run(self) -> None:
        weights, config = self.weights, self.weights.config
        windows, valid_units, low, high = self.bounds.unbind()
        first = weights.front.normed(*self._moments(windows)) if self.whole else self.first
        x = torch.cat([self._front(begin, first) for begin in range(0, self.units, FRONT)])
        x = x.masked_fill((self.unit_numbers >= valid_units)[:, None], 0)
        x = weights.norm(x + F.gelu(weights.position(x)), "encoder.layer_norm")
        outside = (self.unit_numbers < low) | (self.unit_numbers >= high)
        mask = torch.zeros_like(outside, dtype=x.dtype).masked_fill_(outside, -torch.inf)
        with _kernels(x.device):
            for i in range(config.layers):
                x = self._layer(i, x, mask.expand(1, config.heads, self.units, self.units))
        self.out.copy_(F.linear(x, *weights.pair("final_proj")) if config.projection else x)

    def _moments(self, windows: Tensor) -> tuple[Tensor, Tensor]:
        """Mean [k] and covariance [k, k] of the first ``windows`` windows of k samples, float64."""
        rows = self.audio.unfold(0, self.kernel, self.stride)
        rows = rows.double().masked_fill_((self.windows >= windows)[:, None], 0)
        parts = F.pad(rows, (0, 0, 0, -len(rows) % MOMENT_ROWS)).unflatten(0, (-1, MOMENT_ROWS))
        mean = rows.sum(0) / windows
        return mean, (parts.transpose(1, 2) @ parts).sum(0) / windows - mean[:, None] * mean

    def _front(self, begin: int, first: tuple[Tensor, Tensor]) -> Tensor:
        """The convolutions' output from unit ``begin`` on, projected, [at most FRONT, C]."""
        weights, hop = self.weights, self.weights.config.hop_samples
        end = min(begin + FRONT, self.units)
        samples = self.audio[begin * hop : (end - 1) * hop + weights.config.window_samples]
        x = F.gelu(F.linear(samples.unfold(0, self.kernel, self.stride), *first)).to(weights.dtype)
        for conv in weights.convs:
            x = F.gelu(conv(x))
        return F.linear(
            weights.norm(x, "feature_projection.layer_norm"), *weights.pair("feature_projection.projection")
        )

    def _layer(self, index: int, x: Tensor, mask: Tensor) -> Tensor:
        weights, name = self.weights, f"encoder.layers.{index}"
        heads = F.linear(x, *weights.qkv[index]).unflatten(1, (3, self.weights.config.heads, -1))
        q, k, v = heads.permute(1, 2, 0, 3)[:, None]
        attended = F.scaled_dot_product_attention(q, k, v, mask)[0].transpose(0, 1).flatten(1)
        x = weights.norm(x + F.linear(attended, *weights.pair(f"{name}.attention.out_proj")), f"{name}.layer_norm")
        y = F.gelu(F.linear(x, *weights.pair(f"{name}.feed_forward.intermediate_dense")))
        y = F.linear(y, *weights.pair(f"{name}.feed_forward.output_dense"))
        return weights.norm(x + y, f"{name}.final_layer_norm")


def _kernels(device: torch.device):
    """On a GPU: attention by the kernel that takes masks in float16 and float32, or by plain products if it cannot."""
    if device.type != "cuda":
        return contextlib.nullcontext()
    return sdpa_kernel([SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH])
