"""Content encoders on a GPU: one static network for every prepared length, captured as a graph, in float16 or float32.

A network gets the valid length of its input, and the padding behind it has no effect: padding is zero where the
specification pads with zeros (convolutions), and −∞ under the softmax of attention, where its weight is then exactly 0.
Everything else works on rows alone. So a longer prepared length changes nothing but rounding.

No library convolutions are used: each convolution is a matrix product over channels-last rows, which has no algorithms
to choose from and gives the same result every time. ``device`` may be the CPU, for tests; then nothing is captured.
"""

from __future__ import annotations

import torch
from torch import Tensor

from fastsvc.engine.cuda.conformer import CudaConformerEncoder
from fastsvc.engine.cuda.hubert import CudaHubertEncoder
from fastsvc.engine.cuda.recogniser import CudaRecogniserEncoder
from fastsvc.features import content


def cuda_encoder(kind: str, config, tensors: dict[str, Tensor], dtype: torch.dtype, device):
    """The content encoder that computes in ``dtype``; its units are float32 and stay on the device.

    A recogniser of the architecture "gru", which is for evaluation, runs as the specification's module.
    """
    if kind == "hubert":
        return CudaHubertEncoder(config, tensors, dtype, device)
    if config.architecture == "gru":
        return content.RecogniserEncoder(config, tensors, device)
    form = CudaConformerEncoder if config.architecture == "conformer" else CudaRecogniserEncoder
    return form(config, tensors, dtype, device)
