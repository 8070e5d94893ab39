"""Writing ONNX node by node: every node gives one value, of its own name, and weights stay where they are stored.

Needs the package onnx, which is imported when a writer is made.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

OPSET, IR_VERSION = 18, 8  # what TensorRT 10 and onnxruntime of 2023 read
HEADER_MOST = 100 * 2**20  # bytes, as safetensors itself has it


@dataclass(frozen=True)
class Stored:
    """Where a tensor lies: ``offset`` and ``length`` in bytes of the whole file; ``dtype`` as safetensors calls it."""

    dtype: str
    shape: tuple[int, ...]
    offset: int
    length: int


def header(path: Path) -> dict[str, Stored]:
    """The tensors of a safetensors file, of which only the beginning is read. Raises ValueError, OSError."""
    with open(path, "rb") as file:
        size = file.read(8)
        return places(size + file.read(min(int.from_bytes(size, "little"), HEADER_MOST)))


def places(content: bytes) -> dict[str, Stored]:
    """The tensors of a safetensors file: eight bytes of length, a JSON header, raw little-endian numbers.

    ``content`` may end after the header. Raises ValueError.
    """
    size = int.from_bytes(content[:8], "little")
    if size > min(len(content) - 8, HEADER_MOST):
        raise ValueError("this is not a safetensors file")
    found = {}
    for name, entry in json.loads(content[8 : 8 + size]).items():
        if name != "__metadata__":
            first, last = entry["data_offsets"]
            found[name] = Stored(entry["dtype"], tuple(entry["shape"]), 8 + size + first, last - first)
    return found


class Writer:
    """Collects nodes and initialisers; every node gives one value, of its own name.

    ``half``: what computes does so in float16, but for modules whose names begin as one of ``exact``.
    """

    def __init__(self, tensors: dict[str, Stored], location: str, half: bool, exact: str | tuple[str, ...] = ()):
        import onnx

        self.onnx, self.tensors, self.location, self.exact = onnx, tensors, location, exact
        self.FLOAT, self.HALF = onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16
        self.types = {"F32": self.FLOAT, "F16": self.HALF, "BF16": onnx.TensorProto.BFLOAT16}
        self.computes = self.HALF if half else self.FLOAT
        self.nodes, self.constants = [], {}

    def node(self, op: str, *inputs: str, name: str, **attributes) -> str:
        self.nodes.append(self.onnx.helper.make_node(op, list(inputs), [name], name=name, **attributes))
        return name

    def entered(self, name: str) -> str:
        """An input in what the graph computes in."""
        return name if self.computes == self.FLOAT else self.node("Cast", name, name=f"{name}.half", to=self.HALF)

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
        """A tensor of the file, cast if it is stored otherwise than it is needed."""
        stored, tensor = self.tensors[name], self.onnx.TensorProto()
        tensor.name, tensor.data_type = name, self.types[stored.dtype]
        tensor.dims.extend(stored.shape)
        tensor.data_location = self.onnx.TensorProto.EXTERNAL
        for key, value in (("location", self.location), ("offset", stored.offset), ("length", stored.length)):
            tensor.external_data.add(key=key, value=str(value))
        self.constants[name] = tensor
        wanted = self.FLOAT if name.startswith(self.exact) else self.computes
        return name if tensor.data_type == wanted else self.node("Cast", name, name=f"{name}.cast", to=wanted)

    def parameter(self, name: str) -> str:
        return self._stored(name)

    def exact_values(self, name: str, values) -> str:
        """A float32 tensor inside the graph, whatever the graph computes in."""
        content = values.detach().float().contiguous().numpy().tobytes()
        shape = list(values.shape)
        self.constants[name] = self.onnx.helper.make_tensor(name, self.FLOAT, shape, content, raw=True)
        return name

    def whole(self, name: str, values: list[int]) -> str:
        self.constants[name] = self.onnx.helper.make_tensor(name, self.onnx.TensorProto.INT64, [len(values)], values)
        return name

    def number(self, name: str, value: float) -> str:
        self.constants[name] = self.onnx.helper.make_tensor(name, self.computes, [], [value])
        return name

    def ones(self, name: str, count: int) -> str:
        self.constants[name] = self.onnx.helper.make_tensor(name, self.computes, [count], [1.0] * count)
        return name

    def model(self, name: str, inputs: dict[str, tuple], outputs: dict[str, tuple]) -> bytes:
        """The serialised model; shapes without their batch, free lengths by name, all in float32."""
        helper = self.onnx.helper

        def values(given: dict[str, tuple]) -> list:
            return [helper.make_tensor_value_info(key, self.FLOAT, ["batch", *shape]) for key, shape in given.items()]

        made = helper.make_graph(self.nodes, name, values(inputs), values(outputs), list(self.constants.values()))
        opsets = [helper.make_opsetid("", OPSET)]
        model = helper.make_model(made, opset_imports=opsets, producer_name="fastsvc", ir_version=IR_VERSION)
        return model.SerializeToString(deterministic=True)
