"""Weight normalisation folded away: w = g · v / ‖v‖, the norm over all axes but the first."""

from torch import Tensor


def fold(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Replace every pair ``X.weight_g``, ``X.weight_v`` by ``X.weight``; everything else passes through."""
    folded = {}
    for name, tensor in tensors.items():
        if name.endswith(".weight_v"):
            gain = tensors[name[:-1] + "g"].double()
            direction = tensor.double()
            norm = direction.flatten(1).norm(dim=1).view(-1, *[1] * (direction.dim() - 1))
            folded[name[:-2]] = (gain * direction / norm).to(tensor.dtype)
        elif not name.endswith(".weight_g"):
            folded[name] = tensor
    return folded
