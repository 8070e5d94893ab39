"""Triton where it is installed; where it is not, enough for the kernels' files to be imported and read."""

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, TypeAlias

from fastsvc.errors import MissingPackageError

try:
    import triton
    from triton import language
except ImportError:
    triton, language = None, SimpleNamespace(constexpr=object)

if TYPE_CHECKING:
    # A kernel's body is another language in Python's spelling: Triton's own types refuse what its compiler takes, as a
    # constexpr in arithmetic, a plain number in place of one, a loop over tl.range.
    class _Anything(type):
        def __getattr__(cls, name: str) -> Any: ...

    class tl(metaclass=_Anything):
        constexpr: TypeAlias = Any
else:
    tl = language

__all__ = ["constant", "jit", "require", "tl"]


def jit(function=None, **options):
    """`triton.jit`, with or without options; without Triton the function as it is, which cannot be started."""
    if function is None:
        return lambda given: jit(given, **options)
    return function if triton is None else triton.jit(function, **options)


def constant(value) -> Any:
    """A number that kernels read from their module; without Triton as it is."""
    return value if triton is None else language.constexpr(value)


def require() -> None:
    """Raises MissingPackageError where there is no Triton."""
    if triton is None:
        raise MissingPackageError("triton", "running kernels", "gpu")
