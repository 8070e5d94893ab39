"""Writing ONNX node by node. Every node has one output of its own name; weights stay in their safetensors file.

Needs the package onnx, which is imported when a writer is constructed.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

OPSET, IR_VERSION = 18, 8  # readable by TensorRT 10 and by onnxruntime of 2023
MAX_HEADER = 100 * 2**20  # bytes, safetensors' own limit


@dataclass(frozen=True)
class StoredTensor:
    """A tensor in a safetensors file: ``offset`` and ``length`` in bytes; ``dtype`` as safetensors names it."""

    dtype: str
    shape: tuple[int, ...]
    offset: int
    length: int


def read_header(path: Path) -> dict[str, StoredTensor]:
    """The tensors of a safetensors file; only its header is read. Raises ValueError, OSError."""
    with open(path, "rb") as file:
        size = file.read(8)
        return tensors_in_header(size + file.read(min(int.from_bytes(size, "little"), MAX_HEADER)))


def tensors_in_header(content: bytes) -> dict[str, StoredTensor]:
    """The tensors of a safetensors file: eight bytes of length, a JSON header, little-endian numbers.

    ``content`` may end after the header. Raises ValueError.
    """
    size = int.from_bytes(content[:8], "little")
    if size > min(len(content) - 8, MAX_HEADER):
        raise ValueError("this is not a safetensors file")
    tensors = {}
    for name, entry in json.loads(content[8 : 8 + size]).items():
        if name != "__metadata__":
            first, last = entry["data_offsets"]
            tensors[name] = StoredTensor(entry["dtype"], tuple(entry["shape"]), 8 + size + first, last - first)
    return tensors


class Writer:
    """Collects nodes and initialisers; every node has one output of its own name.

    ``half``: the graph computes in float16, except for modules whose names begin with one of ``exact``.
    """

    def __init__(self, tensors: dict[str, StoredTensor], location: str, half: bool, exact: str | tuple[str, ...] = ()):
        import onnx

        self.onnx, self.tensors, self.location, self.exact = onnx, tensors, location, exact
        self.FLOAT, self.HALF = onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16
        self.types = {"F32": self.FLOAT, "F16": self.HALF, "BF16": onnx.TensorProto.BFLOAT16}
        self.compute_type = self.HALF if half else self.FLOAT
        self.nodes, self.constants = [], {}

    def node(self, op: str, *inputs: str, name: str, **attributes) -> str:
        self.nodes.append(self.onnx.helper.make_node(op, list(inputs), [name], name=name, **attributes))
        return name

    def graph_input(self, name: str) -> str:
        """An input, cast to the type in which the graph computes."""
        return name if self.compute_type == self.FLOAT else self.node("Cast", name, name=f"{name}.half", to=self.HALF)

    def conv(self, name: str, x: str, op: str = "Conv", **attributes) -> str:
        kernel = [self.tensors[f"{name}.weight"].shape[-1]]
        weight, bias = self.weight(name), self.bias(name)
        return self.node(op, x, weight, bias, name=name, kernel_shape=kernel, **attributes)

    def leaky(self, name: str, x: str, slope: float) -> str:
        return self.node("LeakyRelu", x, name=f"{name}.leaky_relu", alpha=slope)

    def weight(self, name: str) -> str:
        return self._stored(f"{name}.weight")

    def bias(self, name: str) -> str:
        return self._stored(f"{name}.bias")

    def _stored(self, name: str) -> str:
        """A tensor of the file, cast if its stored type is not the one needed."""
        stored, tensor = self.tensors[name], self.onnx.TensorProto()
        tensor.name, tensor.data_type = name, self.types[stored.dtype]
        tensor.dims.extend(stored.shape)
        tensor.data_location = self.onnx.TensorProto.EXTERNAL
        for key, value in (("location", self.location), ("offset", stored.offset), ("length", stored.length)):
            tensor.external_data.add(key=key, value=str(value))
        self.constants[name] = tensor
        needed = self.FLOAT if name.startswith(self.exact) else self.compute_type
        return name if tensor.data_type == needed else self.node("Cast", name, name=f"{name}.cast", to=needed)

    def parameter(self, name: str) -> str:
        return self._stored(name)

    def exact_values(self, name: str, values) -> str:
        """A float32 tensor inside the graph, whatever the graph computes in."""
        content = values.detach().float().contiguous().numpy().tobytes()
        shape = list(values.shape)
        self.constants[name] = self.onnx.helper.make_tensor(name, self.FLOAT, shape, content, raw=True)
        return name

    def integers(self, name: str, values: list[int]) -> str:
        self.constants[name] = self.onnx.helper.make_tensor(name, self.onnx.TensorProto.INT64, [len(values)], values)
        return name

    def scalar(self, name: str, value: float) -> str:
        self.constants[name] = self.onnx.helper.make_tensor(name, self.compute_type, [], [value])
        return name

    def ones(self, name: str, count: int) -> str:
        self.constants[name] = self.onnx.helper.make_tensor(name, self.compute_type, [count], [1.0] * count)
        return name

    def model(self, name: str, inputs: dict[str, tuple], outputs: dict[str, tuple]) -> bytes:
        """The serialised model. ``inputs`` and ``outputs``: float32 shapes without batch, free lengths as names."""
        helper = self.onnx.helper

        def values(shapes: dict[str, tuple]) -> list:
            return [helper.make_tensor_value_info(key, self.FLOAT, ["batch", *shape]) for key, shape in shapes.items()]

        graph = helper.make_graph(self.nodes, name, values(inputs), values(outputs), list(self.constants.values()))
        opsets = [helper.make_opsetid("", OPSET)]
        model = helper.make_model(graph, opset_imports=opsets, producer_name="fastsvc", ir_version=IR_VERSION)
        return model.SerializeToString(deterministic=True)
