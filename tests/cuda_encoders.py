"""The GPU's content encoders on a CPU, beside their specification, with random weights."""

import dataclasses

import huberts
import torch

from fastsvc.config import RecogniserConfig
from fastsvc.engine.cuda.hubert import CudaHubertEncoder
from fastsvc.engine.cuda.recogniser import CudaRecogniserEncoder
from fastsvc.features import content
from fastsvc.model.hubert import Hubert
from fastsvc.model.recogniser import Recogniser

HEARING = RecogniserConfig(phones=("-", "a", "b"), channels=24, layers=5, bottleneck=6)
# every channel count different, kernels that are no multiple of their strides, odd position kernel
ODD = dataclasses.replace(
    huberts.TINY,
    channels=48,
    position_kernel=9,
    conv_channels=(8, 12, 16, 20),
    conv_kernels=(10, 8, 5, 4),
    conv_strides=(5, 4, 3, 4),
)


def audio_of(samples, level=0.1, offset=0.02):
    return level * torch.randn(samples) + offset


def hubert_of(config=huberts.TINY, dtype=torch.float32):
    return CudaHubertEncoder(config, huberts.tensors(config), dtype, "cpu")


def hubert_plain(config=huberts.TINY):
    model = Hubert(config).eval().requires_grad_(False)
    model.load_state_dict(huberts.tensors(config))
    return model


def recogniser_of(config=HEARING, dtype=torch.float32):
    torch.manual_seed(0)
    return CudaRecogniserEncoder(config, Recogniser(config).state_dict(), dtype, "cpu")


def recogniser_plain(config=HEARING):
    torch.manual_seed(0)
    return content.RecogniserEncoder(config, Recogniser(config).state_dict())


def poison(encoder):
    """What other recordings left behind must not matter."""
    for program, _ in encoder.programs.by_shape.values():
        for value in vars(program).values():
            for tensor in value if isinstance(value, tuple) else [value]:
                if isinstance(tensor, torch.Tensor) and tensor.is_floating_point():
                    tensor.fill_(torch.nan)
