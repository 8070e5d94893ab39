"""The vocoder as an ONNX graph for TensorRT and onnxruntime, written node by node from the configuration.

Nothing is traced, so writing takes a few milliseconds and gives the same bytes every time (plans are kept under the
graph's hash). Every node has the name of its module, such as `resblocks.3.convs1.1`. Weights are external data, at
their offsets in the engine's `vocoder.safetensors`, and are cast where their stored type is not the graph's. Inside a
graph sequences are [B, C, T].

An engine's folder holds its graphs for other programs. fastsvc never opens them, as a stranger's graph could hold
anything: it writes them again.
"""

from __future__ import annotations

import importlib.util
import math

import torch
from torch import Tensor

from fastsvc.artifact import engine_folder
from fastsvc.artifact.onnx import source_filter
from fastsvc.artifact.onnx.writer import StoredTensor, Writer, read_header
from fastsvc.config import AnyVocoderConfig, SourceFilterConfig, VocoderConfig
from fastsvc.errors import EngineError, MissingPackageError
from fastsvc.model import packed
from fastsvc.model.vocoder import LAST_SLOPE, SLOPE
from fastsvc.model.vocoders import extra_name

NORM_EPSILON = 1e-5  # torch.nn.functional.layer_norm's
EXACT = "conv_post."  # computed in float32 even in a float16 graph: samples need more than 11 bits


def graph_of_folder(folder: engine_folder.Artifact, config: AnyVocoderConfig, name: str) -> bytes:
    """The graph called ``name`` in fastsvc.artifact.engine_folder.GRAPHS, over an engine's vocoder.safetensors.

    Raises MissingPackageError without onnx, EngineError where the weights are damaged or do not fit the configuration.
    """
    half = next(key for key, value in engine_folder.GRAPHS.items() if value == name)
    try:
        stored = read_header(folder.verify(engine_folder.VOCODER))
        if any(key.endswith(packed.SCALES) for key in stored):
            raise EngineError(
                f"{folder.path} stores its weights as int8, which the vocoder's graph cannot read",
                "build it again without --store, or use the vocoder backend torch or triton",
            )
        return _checked(config, stored, half)
    except (
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        RecursionError,
    ) as error:  # a damaged header may raise any of these
        raise EngineError(
            f"{folder.path}: {engine_folder.VOCODER} is damaged: {error}", "build the engine again"
        ) from None


def graph_of_tensors(tensors: dict[str, Tensor], config: AnyVocoderConfig) -> bytes:
    """The graph in float32; its weights are passed beside it under their names. Raises as :func:`graph_of_folder`."""
    kinds = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16"}
    stored = {
        name: StoredTensor(kinds.get(value.dtype, ""), tuple(value.shape), 0, 0) for name, value in tensors.items()
    }
    return _checked(config, stored, half=False)


def _checked(config: AnyVocoderConfig, stored: dict[str, StoredTensor], half: bool) -> bytes:
    if importlib.util.find_spec("onnx") is None:
        raise MissingPackageError("onnx", "writing the vocoder's graph", "onnx")
    try:
        return graph(config, stored, engine_folder.VOCODER, half)
    except KeyError as error:  # a missing tensor, or an unknown type
        remedy = "build the engine again, or use another vocoder backend"
        raise EngineError(f"the vocoder's tensors cannot be written as a graph: {error}", remedy) from None


def graph(config: AnyVocoderConfig, tensors: dict[str, StoredTensor], location: str, half=False) -> bytes:
    """A serialised ONNX model of a vocoder of any family; ``location``: the file of ``tensors``, beside the graph."""
    if isinstance(config, SourceFilterConfig):
        return source_filter.graph(config, tensors, location, half)
    return generator_graph(config, tensors, location, half)


def generator_graph(config: VocoderConfig, tensors: dict[str, StoredTensor], location: str, half=False) -> bytes:
    """A serialised ONNX model of fastsvc.model.vocoder.Generator, weight norm folded; batch and length are free.

    Inputs, all float32: mel [B, T, M], source [B, T·source_hop_samples] but for vocoders without one, and only where
    noise_sigma > 0 noise [B, T, initial_channels], or with a table of speakers the vector of one of them as speaker
    [B, T, initial_channels]. Output: audio [B, T·hop_samples] float32.
    ``half`` computes in float16 except for the last convolution and tanh; layer norms keep float32 inside.
    ``location``: the file of ``tensors``, beside the graph. Needs the package onnx.
    """
    writer = Writer(tensors, location, half, EXACT)
    kinds = len(config.resblock_kernels)
    x = writer.node("Transpose", writer.graph_input("mel"), name="mel.transposed", perm=[0, 2, 1])
    x = writer.conv("conv_pre", x, pads=[3, 3])
    extra = extra_name(config)
    if extra is not None:
        added = writer.node("Transpose", writer.graph_input(extra), name=f"{extra}.transposed", perm=[0, 2, 1])
        if config.noise_sigma:
            added = writer.node("Mul", added, writer.scalar("noise_sigma", config.noise_sigma), name="noise.scaled")
        x = writer.node("Add", x, added, name=f"{extra}.added")
    axis = writer.integers("source.axis", [1])
    source = ""
    if config.source_channels:
        source = writer.node("Unsqueeze", writer.graph_input("source"), axis, name="source.channel")
    for i in range(len(config.upsample_rates)):
        x = _upsampled(writer, config, i, writer.leaky(f"ups.{i}", x, SLOPE))
        if config.source_conv(i):
            x = writer.node("Add", x, _branch(writer, config, i, source), name=f"ups.{i}.excited")
        blocks = [_resblock(writer, config, i * kinds + kind, kind, x) for kind in range(kinds)]
        x = blocks[0]
        for kind, block in enumerate(blocks[1:], 1):
            x = writer.node("Add", x, block, name=f"resblocks.{i * kinds + kind}.summed")
        if kinds > 1:
            x = writer.node("Mul", x, writer.scalar("kinds", 1 / kinds), name=f"ups.{i}.mean")
    x = writer.leaky("conv_post", x, LAST_SLOPE)
    if half:
        x = writer.node("Cast", x, name="conv_post.exact", to=writer.FLOAT)
    x = writer.conv("conv_post", x, pads=[3, 3])
    x = writer.node("Tanh", x, name="tanh")
    writer.node("Squeeze", x, axis, name="audio")
    inputs: dict[str, tuple] = {"mel": ("frames", config.mel.bins)}
    if source:
        inputs["source"] = ("source_samples",)
    if extra is not None:
        inputs[extra] = ("frames", config.initial_channels)
    return writer.model("vocoder", inputs, {"audio": ("samples",)})


def _upsampled(writer: Writer, config: VocoderConfig, stage: int, x: str) -> str:
    rate, kernel = config.upsample_rates[stage], config.upsample_kernels[stage]
    padding = (kernel - rate) // 2
    return writer.conv(f"ups.{stage}", x, op="ConvTranspose", strides=[rate], pads=[padding] * 2)


def _branch(writer: Writer, config: VocoderConfig, stage: int, source: str) -> str:
    """The excitation at the rate of one stage, as in Generator.source_branch."""
    name, stride = config.source_conv(stage), math.prod(config.upsample_rates[stage + 1 :])
    if config.source == "sine":
        return writer.conv(name, source)
    x = writer.conv(name, source, strides=[stride], pads=[stride // 2] * 2)
    if config.family != "m4":
        return x
    x = writer.node("Relu", x, name=f"{name}.relu")
    x = writer.node("Transpose", x, name=f"{name}.frames", perm=[0, 2, 1])
    ones = writer.ones(f"{name}.ones", config.initial_channels >> (stage + 1))
    x = writer.node("LayerNormalization", x, ones, name=f"{name}.layer_norm", axis=-1, epsilon=NORM_EPSILON)
    return writer.node("Transpose", x, name=f"{name}.channels", perm=[0, 2, 1])


def _resblock(writer: Writer, config: VocoderConfig, index: int, kind: int, x: str) -> str:
    size = config.resblock_kernels[kind]
    for j, dilation in enumerate(config.resblock_dilations[kind]):
        y = x
        for part, step in [("convs1", dilation), ("convs2", 1)] if config.resblock == "1" else [("convs", dilation)]:
            name = f"resblocks.{index}.{part}.{j}"
            pads = [(size - 1) * step // 2] * 2
            y = writer.conv(name, writer.leaky(name, y, SLOPE), dilations=[step], pads=pads)
        x = writer.node("Add", y, x, name=f"resblocks.{index}.{j}.sum")
    return x
