"""Content encoders on a GPU: one static network for every prepared length, captured as a graph, in float16 or float32.

A network is told how much of its input is real, and what lies behind counts for nothing: it is zero where the
specification pads with zeros (convolutions), and −∞ under the softmax where attention would look at it, whose weight
is then exactly 0. Everything else works on rows alone. So a longer prepared length changes nothing but rounding.

There are no convolutions of a library in it: each is a matrix product over rows that lie channels-last, which has no
algorithms to choose from and gives the same every time. ``device`` may be the CPU, for tests: nothing is captured then.
"""

from __future__ import annotations

import torch
from torch import Tensor

from fastsvc.engine.cuda.hubert import CudaHubertEncoder
from fastsvc.engine.cuda.recogniser import CudaRecogniserEncoder
from fastsvc.features import content


def cuda_encoder(kind: str, config, tensors: dict[str, Tensor], dtype: torch.dtype, device):
    """The content encoder that computes in ``dtype``; its units are float32 and stay on the device.

    A recogniser of the kind "gru", which is for evaluation, runs as it is specified.
    """
    if kind == "hubert":
        return CudaHubertEncoder(config, tensors, dtype, device)
    if config.architecture == "gru":
        return content.RecogniserEncoder(config, tensors, device)
    return CudaRecogniserEncoder(config, tensors, dtype, device)
