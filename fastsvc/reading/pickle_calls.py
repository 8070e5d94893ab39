"""The calls and arguments allowed in a checkpoint's pickle: tensors inside their storages, and a few containers."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

# Objects beside the tensors in checkpoints of fairseq and of trainers that save their settings, grouped by the stand-in
# that torch gets for them (reading/inert.py).
_PATHS = ("Path", "PosixPath", "WindowsPath", "PurePath", "PurePosixPath", "PureWindowsPath")
_NUMBERS = ("bool", "bool_", "float16", "float32", "float64", "complex64", "complex128", "str_", "bytes_")
_NUMBERS += tuple(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))
INERT = (
    "argparse.Namespace",
    "types.SimpleNamespace",
    *(f"builtins.{name}" for name in ("bool", "bytes", "dict", "float", "frozenset", "int", "list", "range", "slice")),
    "builtins.str",
    *(f"datetime.{name}" for name in ("date", "datetime", "time", "timedelta", "timezone")),
    "decimal.Decimal",
    "fractions.Fraction",
    "uuid.UUID",
    *(f"pathlib.{name}" for name in _PATHS),
    *(f"pathlib._local.{name}" for name in _PATHS),  # as Python 3.13 writes them
    *(f"numpy.{name}" for name in _NUMBERS),  # classes that settings name
    "fairseq.data.dictionary.Dictionary",
    "omegaconf.base.ContainerMetadata",
    "omegaconf.base.Metadata",
    "omegaconf.dictconfig.DictConfig",
    "omegaconf.listconfig.ListConfig",
    "omegaconf.nodes.AnyNode",
    "torch.torch_version.TorchVersion",
    "typing.Any",
)
MAPPINGS = (  # become plain dicts
    "collections.defaultdict",
    "lightning.fabric.utilities.data.AttributeDict",
    "lightning.pytorch.utilities.parsing.AttributeDict",
    "lightning_fabric.utilities.data.AttributeDict",
    "pytorch_lightning.utilities.parsing.AttributeDict",
)
LISTS = ("collections.deque",)
_NUMPY = ("numpy.core.multiarray", "numpy._core.multiarray")  # before version 2, and since
SCALARS, ARRAYS = tuple(f"{name}.scalar" for name in _NUMPY), tuple(f"{name}._reconstruct" for name in _NUMPY)
ARRAY, DTYPE = "numpy.ndarray", "numpy.dtype"
_DTYPE = re.compile(r"[<>=|]?[biufcSUVMm][0-9]{0,9}")  # all but objects
STAND_IN_NAMES = (*INERT, *MAPPINGS, *LISTS)
TENSORS = ("torch._utils._rebuild_tensor", "torch._utils._rebuild_tensor_v2")
UNTYPED = "torch._utils._rebuild_tensor_v3"  # its storage counts bytes, its type is a separate argument
PARAMETERS = ("torch._utils._rebuild_parameter", "torch._utils._rebuild_parameter_with_state")
WRAPPED = "torch._tensor._rebuild_from_type_v2"  # (function, class, its arguments, attributes)
SETS = ("builtins.set", "collections.OrderedDict", "collections.Counter")  # containers that hash their items
CALLABLE = frozenset((*STAND_IN_NAMES, *SCALARS, *ARRAYS, DTYPE, *TENSORS, UNTYPED, *PARAMETERS, WRAPPED, *SETS)) | {
    "_codecs.encode",
    "builtins.bytearray",
    "builtins.complex",
    "torch.Size",
    "torch.device",
}
INSTANTIABLE = frozenset((*STAND_IN_NAMES, "collections.OrderedDict", "torch.Size"))  # created by their __new__
ITEM_BYTES = {
    **dict.fromkeys(("ByteStorage", "CharStorage", "BoolStorage", "UntypedStorage"), 1),
    **dict.fromkeys(("ShortStorage", "HalfStorage", "BFloat16Storage"), 2),
    **dict.fromkeys(("IntStorage", "FloatStorage"), 4),
    **dict.fromkeys(("LongStorage", "DoubleStorage", "ComplexFloatStorage"), 8),
    "ComplexDoubleStorage": 16,
}
TYPE_BYTES = {"torch.uint16": 2, "torch.uint32": 4, "torch.uint64": 8}  # an element of UNTYPED; float8 has one byte


@dataclass(frozen=True)
class GlobalName:
    """Stands for a class or function."""

    name: str


@dataclass(frozen=True)
class PlainDtype:
    """Stands for a numpy.dtype of plain values."""


@dataclass(frozen=True)
class Storage:
    """Stands for a storage of ``items`` numbers."""

    items: int


@dataclass(frozen=True)
class TupleValue:
    """Stands for a tuple: ``size`` counts the values in all nested tuples; ``slow``: it holds a number that is slow to
    compare as a key of a mapping."""

    items: tuple
    depth: int = 1
    size: int = 0
    slow: bool = False


def call_fault(name: str, arguments: tuple) -> str | None:
    """Why a call of an allowed function is refused for its arguments, or None."""
    if name in TENSORS and exceeds_storage(*(*arguments, None, None, None, None)[:4]):
        return "a tensor that claims more numbers than its storage holds"
    if name == UNTYPED:
        storage, offset, sizes, strides, *_, kind, _ = (*arguments, *[None] * 8)[:8]
        kind = getattr(kind, "name", "")
        width = 1 if kind.startswith("torch.float8") else TYPE_BYTES.get(kind)
        if width is None or not isinstance(storage, Storage):
            return f"a tensor of the type {kind}"
        if exceeds_storage(Storage(storage.items // width), offset, sizes, strides):
            return "a tensor that claims more numbers than its storage holds"
    if name == WRAPPED:
        inner, kind, inner_arguments = (*arguments, None, None, None)[:3]
        plain = (
            isinstance(inner, GlobalName)
            and inner.name in (*TENSORS, *PARAMETERS)
            and isinstance(inner_arguments, TupleValue)
        )
        if not plain or getattr(kind, "name", "") not in ("torch.nn.parameter.Parameter", "torch.Tensor"):
            return "a tensor of someone's own class"
        return call_fault(inner.name, inner_arguments.items)
    if name == "_codecs.encode" and not (
        len(arguments) == 2 and isinstance(arguments[0], str) and arguments[1] == "latin1"
    ):
        return "_codecs.encode for something other than bytes"  # hex would double its argument again and again
    if name == "builtins.bytearray" and any(isinstance(part, int) for part in arguments):
        return "builtins.bytearray of a size"
    if name == DTYPE and not (arguments and isinstance(arguments[0], str) and _DTYPE.fullmatch(arguments[0])):
        return f"a numpy.dtype of objects ({str(arguments[0])[:40] if arguments else 'none'})"
    if name in SCALARS and not (len(arguments) == 2 and isinstance(arguments[0], PlainDtype)):
        return "a numpy scalar that is not a plain value"
    if name in ARRAYS and not (
        len(arguments) == 3 and arguments[0] == GlobalName(ARRAY) and _is_empty_shape(arguments[1])
    ):
        return "a numpy array of someone's own class, or of a size before its content"
    return None


def _is_empty_shape(shape) -> bool:
    """Whether it is the shape (0,), which numpy writes before an array's content."""
    return isinstance(shape, TupleValue) and shape.items == (0,)


def exceeds_storage(storage, offset, sizes, strides) -> bool:
    """Whether such a tensor exceeds its storage, which torch would then enlarge, or the numbers are not sizes."""
    if not isinstance(storage, Storage) or not isinstance(sizes, TupleValue) or not isinstance(strides, TupleValue):
        return True
    numbers = (offset, *sizes.items, *strides.items)
    if len(sizes.items) != len(strides.items) or not all(isinstance(n, int) and 0 <= n < 2**62 for n in numbers):
        return True
    if math.prod(sizes.items) == 0:
        return False
    return offset + sum((size - 1) * stride for size, stride in zip(sizes.items, strides.items)) >= storage.items
