"""Weight normalisation folded away: w = g · v / ‖v‖, the norm over all axes but the first.

PyTorch has two spellings of it, ``X.weight_g`` with ``X.weight_v``, and since 2.0
``X.parametrizations.weight.original0`` with ``…original1``.
"""

from torch import Tensor

PARTS = {
    ".weight_g": ".weight_v",
    ".weight_v": ".weight_g",
    ".parametrizations.weight.original0": ".parametrizations.weight.original1",
    ".parametrizations.weight.original1": ".parametrizations.weight.original0",
}
GAINS = (".weight_g", ".original0")


def partner(name: str) -> str | None:
    """The name of a pair's other half; None for a tensor that belongs to no pair."""
    for ending, other in PARTS.items():
        if name.endswith(ending):
            return name.removesuffix(ending) + other
    return None


def folded_name(name: str) -> str:
    """``X.weight`` for both halves of a pair; any other name unchanged."""
    for ending in PARTS:
        if name.endswith(ending):
            return name.removesuffix(ending) + ".weight"
    return name


def fold(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Replace every pair by ``X.weight``; everything else passes through."""
    folded = {}
    for name, tensor in tensors.items():
        other = partner(name)
        if other is None:
            folded[name] = tensor
        elif not name.endswith(GAINS):
            direction = tensor.double()
            norm = direction.flatten(1).norm(dim=1).view(-1, *[1] * (direction.dim() - 1))
            folded[folded_name(name)] = (tensors[other].double() * direction / norm).to(tensor.dtype)
    return folded
