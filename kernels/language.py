"""Triton where it is installed; where it is not, enough for the kernels' files to be imported and read."""

from fastsvc.errors import MissingPackageError

try:
    import triton
    import triton.language as tl
except ImportError:
    triton = None

    class _Language:
        constexpr = object

    tl = _Language()

__all__ = ["jit", "require", "tl"]


def jit(function=None, **options):
    """`triton.jit`, with or without options; without Triton the function as it is, which cannot be started."""
    if function is None:
        return lambda given: jit(given, **options)
    return function if triton is None else triton.jit(function, **options)


def require() -> None:
    """Raises MissingPackageError where there is no Triton."""
    if triton is None:
        raise MissingPackageError("triton", "running kernels", "gpu")
